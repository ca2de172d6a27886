"""Pages answer whatever is sent to them as what it is: never by a fault of ours."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from services.catalogue import pages
from services.catalogue.pages import session_form
from shared.auth import Tokens
from shared.database import Database
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, a_form, hidden, log_in
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, PUBLIC_URL, drafted, in_days, published
from tests.integration.catalogue.test_bespoke import a_bespoke_request, hear
from tests.integration.catalogue.test_resources import REPLAY
from tests.support.guards import NOWHERE, a_guard

LONG = "9" * 5000
RUBBISH = ["\0", "a\r\nBcc: x@y.example", "é\ufeff\U0010ffff{0}%s", LONG, "Europe", "2099-12-31T23:59"]
QUERY = (
    *(
        "recherche",
        "format",
        "delegation",
        "theme",
        "mois",
        "du",
        "au",
        "ouvertes",
        "passees",
        "vue",
        "apres",
    ),
    *("avant", "tri", "etat", "offre", "depuis", "debut", "type", "fait", "vers"),
)
TYPED = (
    *(session_form.FIELDS | {session_form.SIRETS, session_form.UNLIMITED}),
    *("towns-0-town", "towns-0-starts_at", "modules-0-ends_at", "questions-0-kind", "reserved_seats-0-seats"),
    *(
        "version",
        "ligne",
        "formulaire",
        "apercu",
        "confirmer",
        "reason",
        "copie",
        "modele",
        "replay_url",
        "url",
    ),
    *(
        "resource_kind",
        "themes-enjeux-ia",
        "theme-x",
        "format",
        "closes_days_before",
        "answer",
        "advisor_email",
    ),
)
MOMENT = in_days(41).strftime("%Y-%m-%dT%H:%M")


@pytest.fixture
async def addresses(ask: Ask, database: Database, tokens_file: Path, an_empty_offer: str) -> dict[str, str]:
    """The addresses of all pages, each by its route, where what they are about is there."""
    there = {
        "{session_id:uuid}": await published(ask, an_empty_offer),
        "{resource_id:uuid}": (await ask("POST", "/replays", by=BRETAGNE, **REPLAY)).json()["resource_id"],
        "{bespoke_id:uuid}": str(await hear(database, a_bespoke_request())),
        "{offer_id}": an_empty_offer,
    }
    site = pages.Site(database=NOWHERE, tokens=Tokens(tokens_file), guard=a_guard(), address=PUBLIC_URL)
    routes: list[str] = [getattr(route, "path", "") for route in pages.build(site).routes]
    named = re.compile("|".join(map(re.escape, there)))
    found = {route: named.sub(lambda match: there[match[0]], route) for route in routes}
    assert not any("{" in address for address in found.values())
    return {route: address for route, address in found.items() if "/deconnexion" not in route}


@pytest.mark.parametrize("what", RUBBISH)
async def test_rubbish_in_every_address_and_field_is_no_fault_of_ours(
    visit: HttpBrowser, addresses: dict[str, str], what: str
) -> None:
    await log_in(visit, ADMIN)
    key = hidden((await visit.get("/gestion/sessions/nouvelle")).text, "cle")
    found = {}
    for route, address in addresses.items():
        answers = [
            await visit.get(address, params=dict.fromkeys(QUERY, what[:900])),
            await visit.post(address, data=dict.fromkeys(TYPED, what) | {"cle": key}),
        ]
        if "{" in route:
            elsewhere = re.sub(r"\{[^}]*\}", quote(what, safe=""), route)
            answers += [await visit.get(elsewhere), await visit.post(elsewhere, data={"cle": key})]
        found[route] = {answer.status_code for answer in answers}
    assert {route: statuses for route, statuses in found.items() if max(statuses) >= 500} == {}


@pytest.mark.parametrize("place", ["new", "series", "published"])
async def test_each_field_of_a_session_may_be_wrong_by_itself(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask, place: str
) -> None:
    address = {
        "new": "/gestion/sessions/nouvelle",
        "series": "/gestion/sessions/serie",
        "published": f"/gestion/sessions/{await published(ask, an_empty_offer)}",
    }[place]
    await log_in(visit)
    rows = {"towns-0-town": "Brest", "towns-0-starts_at": MOMENT, "modules-0-title": "Matin"}
    right = a_form(an_empty_offer) | rows | {"modules-0-starts_at": MOMENT, "modules-0-ends_at": MOMENT}
    right |= {"cle": hidden((await visit.get(address)).text, "cle"), "version": "1"}
    found = {}
    for field in sorted({*right, *session_form.FIELDS} - {"cle"}):
        for what in ("²", LONG):
            answer = await visit.post(address, data=right | {field: what})
            found[field, what[:9]] = answer.status_code
            if place == "published" and answer.status_code == 303:
                right["version"] = hidden((await visit.get(address)).text, "version")
    # A page to look at again is 200; 412 is a form of a version that never was.
    assert set(found.values()) <= {200, 303, 412, 422}
    assert {field for (field, _), status in found.items() if status == 412} <= {"version"}
    assert found["timezone", LONG[:9]] == 422


async def test_a_form_of_another_log_in_or_of_none_does_nothing(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    address = f"/gestion/sessions/{(await drafted(ask, an_empty_offer))['session_id']}/publier"
    await log_in(visit)
    key = hidden((await visit.get("/gestion/sessions/nouvelle")).text, "cle")
    for forged in ("", "x", key[:-1], f"{key} ", LONG):
        assert (await visit.post(address, data={"cle": forged, "version": "1"})).status_code == 403
    cookies = dict(visit.cookies)
    visit.cookies.clear()
    for name, value in cookies.items():
        for forged in (value[:-1], value.swapcase(), "x" * 5000, ""):
            answer = await visit.get("/gestion", headers={"cookie": f"{name}={forged}"})
            assert answer.headers["location"].startswith("/gestion/connexion")
