"""Who gets into the pages of a delegation, and whose forms are taken."""

import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.catalogue import api, pages
from shared import clock, security_log
from shared.auth import Tokens
from shared.database import Database
from shared.guard import Guard, LimitMet
from shared.process.jobs import end_old_rows
from shared.web import logins
from tests.conftest import Ask
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    created,
    hidden,
    log_in,
    organiser,
    send,
    unseen_fields,
)
from tests.integration.catalogue.conftest import (
    ADMIN,
    BRETAGNE,
    CORSE,
    PUBLIC_URL,
    SITES,
    EventsOf,
    published,
    time_is,
)
from tests.support.guards import a_guard

__all__ = ["organiser"]


async def test_a_token_opens_the_pages_and_the_cookie_says_nothing_of_it(visit: HttpBrowser) -> None:
    assert (await visit.get("/gestion")).headers["location"] == "/gestion/connexion"
    answer = await log_in(visit)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert BRETAGNE not in cookie
    assert answer.headers["location"] == "/gestion"
    page = await visit.get("/gestion")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert "Sessions · Bretagne" in page.text


async def test_the_head_says_who_one_is_with_which_rights_and_leads_to_all_places(visit: HttpBrowser) -> None:
    await log_in(visit, ADMIN)
    rights, places = _account((await visit.get("/gestion")).text)
    assert rights == "Exploitation, toutes les délégations"
    delegations, support, operations, own = places
    assert delegations == f"{SITES['enrolment']}/inscriptions/gestion"
    assert own == "/gestion/connexions"
    assert support == f"{SITES['notifier']}/courriels/suivi"
    assert operations == f"{SITES['notifier']}/courriels/exploitation"
    await log_in(visit, BRETAGNE)
    page = (await visit.get("/gestion/demandes")).text
    assert f'<a href="{SITES["notifier"]}/courriels/chiffres">Chiffres</a>' in page
    rights, places = _account(page)
    assert rights == "Organisation, Bretagne"
    assert places == [delegations, own]


async def test_a_public_page_leads_organisers_to_what_waits_for_them(
    visitor: HttpBrowser, database: Database, tokens_file: Path
) -> None:
    async def leads(browser: HttpBrowser) -> list[str]:
        page = (await browser.get("/accessibilite")).text
        return re.findall(r'<a href="([^"]*)">Espace des délégations<', page)

    assert await leads(visitor) == [f"{SITES['enrolment']}/inscriptions/gestion"]
    async with on(database, Tokens(tokens_file), PUBLIC_URL) as browser:
        assert await leads(browser) == ["/gestion"], "where enrolment is not said to be anywhere"


def _account(page: str) -> tuple[str, list[str]]:
    """What the head says of whoever is logged in: their rights, and where it leads."""
    (head,) = re.findall(r'<div class="account">.*?<form', page, re.DOTALL)
    (rights,) = re.findall(r"<br>(.*?)</p>", head)
    return rights, re.findall(r'<a href="([^"]*)"', head)


async def test_a_log_in_is_prolonged_and_the_page_stays_as_it_is(
    visit: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = "/gestion/connexions/prolonger"
    assert (await visit.get(stay)).headers["location"] == "/gestion/connexion"
    await log_in(visit)
    began = clock.now()
    for minutes in (29, 58, 87):
        async with time_is(monkeypatch, began + timedelta(minutes=minutes)):
            answer = await visit.get(stay)
        assert (answer.status_code, answer.text) == (204, "")
    async with time_is(monkeypatch, began + timedelta(minutes=87 + 31)):
        assert (await visit.get(stay)).status_code == 303


async def test_a_login_leads_to_the_page_that_was_asked_for_and_never_elsewhere(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    path = f"/gestion/sessions/{await published(ask, an_empty_offer)}?fait=creee"
    way = (await visit.get(path)).headers["location"]
    page = (await visit.get(way)).text
    assert hidden(page, "vers") == path
    mistyped = await visit.post("/gestion/connexion", data={"jeton": "presque", "vers": path})
    answer = await visit.post(
        "/gestion/connexion", data={"jeton": BRETAGNE, "vers": hidden(mistyped.text, "vers")}
    )
    assert answer.headers["location"] == path
    for elsewhere in (
        "https://ailleurs.example/", "//ailleurs.example", "/gestion//ailleurs.example",
        "/gestion@ailleurs.example", "/gestion/../sessions",
        "/gestion/\\ailleurs", "/gestion\r\nx: y", "/gestion.ailleurs.example", "/sessions", "",
    ):  # fmt: skip
        answer = await visit.post("/gestion/connexion", data={"jeton": BRETAGNE, "vers": elsewhere})
        assert answer.headers["location"] == "/gestion", elsewhere


def every_hidden(page: str) -> dict[str, str]:
    """What a form brings that nobody types."""
    return {
        unescape(name): unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page)
    }


async def test_who_logs_in_in_another_tab_takes_up_what_was_typed(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    key = hidden((await organiser.get(path)).text, "cle")
    await send(organiser, "/gestion", "/gestion/deconnexion")
    brought = every_hidden((await organiser.post(path, data={"cle": key, "title": "Un titre"})).text)
    too_early = await organiser.post("/gestion/connexion", data=brought)
    assert too_early.status_code == 403
    assert every_hidden(too_early.text) == brought
    assert "n’ouvre pas cet espace" not in too_early.text
    await log_in(organiser)
    taken_up = await organiser.post("/gestion/connexion", data=brought)
    assert taken_up.status_code == 200
    assert "Titre\u00a0: Un titre</textarea>" in taken_up.text
    assert every_hidden(taken_up.text)["title"] == "Un titre"


async def test_what_was_typed_comes_back_when_the_login_ended_before_it_was_sent(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    page = (await organiser.get(path)).text
    form = unseen_fields(page) | {"title": "Un <autre> titre"}
    await send(organiser, "/gestion", "/gestion/deconnexion")
    late = await organiser.post(path, data=form | {"venue": "", "modules-0-title": "Matin"})
    assert late.status_code == 403
    assert "Rien n’a été enregistré" in late.text
    assert "Titre\u00a0: Un &lt;autre&gt; titre\nSéance 1, titre\u00a0: Matin</textarea>" in late.text
    assert form["cle"] not in late.text
    assert hidden(late.text, "vers") == path
    brought = every_hidden(late.text)
    mistyped = await organiser.post("/gestion/connexion", data=brought | {"jeton": "x"})
    assert every_hidden(mistyped.text) == brought
    for untrue in ("https://ailleurs.example/", "/sessions"):
        refused = await organiser.post("/gestion/connexion", data=brought | {"jeton": "x", "envoi": untrue})
        assert every_hidden(refused.text) == brought | {"envoi": ""}, "it can be copied, and goes nowhere"
    again = await organiser.post("/gestion/connexion", data=brought | {"jeton": BRETAGNE})
    assert "Titre\u00a0: Un &lt;autre&gt; titre\nSéance 1, titre\u00a0: Matin</textarea>" in again.text
    assert "Un <autre> titre" not in unescape((await organiser.get(path)).text), "nothing is sent unasked"
    assert f'<form class="form" action="{path}"' in again.text
    once_more = every_hidden(again.text)
    assert once_more["cle"] != form["cle"]
    assert (await organiser.post(path, data=once_more | {"cle": form["cle"]})).status_code == 403
    assert "Un <autre> titre" not in unescape((await organiser.get(path)).text), "its key has ended"
    assert (await organiser.post(path, data=once_more)).status_code == 422, "a séance has to begin some time"
    whole = {name: value for name, value in once_more.items() if not name.startswith("modules-")}
    assert (await organiser.post(path, data=whole)).status_code == 303
    assert "Un <autre> titre" in unescape((await organiser.get(path)).text)
    await send(organiser, "/gestion", "/gestion/deconnexion")
    button = await organiser.post(f"{path}/publier", data={"cle": form["cle"]})
    assert hidden(button.text, "vers") == f"{path}/publier"
    assert "saisie" not in button.text
    assert (
        await organiser.post(path, data=form, headers={"origin": "https://ailleurs.example"})
    ).status_code == 403
    assert await events_of() == []


async def test_what_cannot_be_undone_is_asked_again_by_its_page_when_the_login_ended_before_it_was_sent(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    session_id = await published(ask, an_empty_offer)
    path = f"/gestion/sessions/{session_id}"
    form = unseen_fields((await organiser.get(f"{path}/annuler")).text)

    async def sent_late(action: str, **fields: str) -> str:
        await send(organiser, "/gestion", "/gestion/deconnexion")
        late = await organiser.post(f"{path}/{action}", data=form | fields)
        brought = every_hidden(late.text) | {"jeton": BRETAGNE}
        return unescape((await organiser.post("/gestion/connexion", data=brought)).text)

    page = await sent_late("annuler", reason="Trop peu d’inscrits.")
    assert "Motif\u00a0: Trop peu d’inscrits.</textarea>" in page
    assert f'<a class="button" href="{path}/annuler">' in page
    assert f'action="{path}/annuler"' not in page
    page = await sent_late("places", capacity="14", confirmer="oui")
    assert f'<form class="form" action="{path}/places"' in page
    asked = await organiser.post(f"{path}/places", data=every_hidden(page))
    assert "<h2>Conséquences</h2>" in asked.text
    shown = (await ask("GET", f"/sessions/{session_id}")).json()
    assert (shown["status"], shown["capacity"] == 14) == ("published", False)


async def test_what_was_typed_stays_in_sight_where_too_many_log_in(
    organiser: HttpBrowser, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await created(organiser, an_empty_offer)
    form = unseen_fields((await organiser.get(path)).text) | {"title": "Un autre titre"}
    await send(organiser, "/gestion", "/gestion/deconnexion")
    brought = every_hidden((await organiser.post(path, data=form)).text)

    async def too_many(*_: object) -> None:
        raise LimitMet(7)

    monkeypatch.setattr(Guard, "take", too_many)
    for token in (BRETAGNE, "x"):
        answer = await organiser.post("/gestion/connexion", data=brought | {"jeton": token})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert "set-cookie" not in answer.headers
        assert "Réessayez dans quelques minutes" in answer.text
        assert every_hidden(answer.text) == brought


async def test_the_cookie_is_for_https_and_this_host_alone_where_the_site_is_on_https(
    visit: HttpBrowser,
) -> None:
    cookie = (await log_in(visit)).headers["set-cookie"]
    assert cookie.startswith("__Host-gestion=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_on_ones_own_machine_http_will_do(database: Database, tokens_file: Path) -> None:
    async with on(database, Tokens(tokens_file), "http://127.0.0.1:8001") as browser:
        assert "Secure" not in (await log_in(browser)).headers["set-cookie"]
        assert (await browser.get("/gestion")).status_code == 200


@asynccontextmanager
async def on(database: Database, tokens: Tokens, address: str) -> AsyncIterator[HttpBrowser]:
    """A browser on the pages of a site with these tokens, at this address."""
    guard = a_guard(database)
    web = api.build(database, tokens, guard)
    pages.mount(web, pages.build(pages.Site(database=database, tokens=tokens, guard=guard, address=address)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=web), base_url=address) as browser:
        yield browser


async def test_no_other_token_opens_them(visitor: HttpBrowser) -> None:
    for token in ("", "nobody", "portail", "é" * 1000):
        answer = await log_in(visitor, token)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "Ce jeton n’ouvre pas cet espace" in answer.text


async def test_log_ins_and_log_outs_and_forms_of_others_stand_once_each_in_the_security_log(
    visitor: HttpBrowser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    await log_in(visitor, "nobody")
    await log_in(visitor)
    await visitor.post("/gestion/sessions/nouvelle", data={"cle": "another's"})
    await send(visitor, "/gestion", "/gestion/deconnexion")
    lines = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    assert [(line["event"], line["outcome"], line["where"]) for line in lines] == [
        ("log_in", "refused", "/gestion/connexion"),
        ("log_in", "ok", "/gestion/connexion"),
        ("right", "refused", "/gestion/sessions/nouvelle"),
        ("log_out", "ok", "/gestion/deconnexion"),
    ]
    assert [line["who"].partition(":")[0] for line in lines] == ["", "organiser", "organiser", "organiser"]


async def test_leaving_ends_the_login_here_and_not_only_in_the_browser(organiser: HttpBrowser) -> None:
    cookies = dict(organiser.cookies)
    await send(organiser, "/gestion", "/gestion/deconnexion")
    organiser.cookies.clear()
    organiser.cookies.update(cookies)
    assert (await organiser.get("/gestion")).status_code == 303


async def test_a_login_ends_after_a_day_of_work_and_with_its_token(
    organiser: HttpBrowser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_at = clock.now()
    for minutes, status in (*((used, 200) for used in range(25, 480, 25)), (481, 303)):
        async with time_is(monkeypatch, opened_at + timedelta(minutes=minutes)):
            assert (await organiser.get("/gestion")).status_code == status
    async with on(database, Tokens(), PUBLIC_URL) as without_token:
        without_token.cookies.update(organiser.cookies)
        assert (await without_token.get("/gestion")).status_code == 303
    async with time_is(monkeypatch, clock.now() + timedelta(hours=9)):
        await end_old_rows(database, logins.REGISTER, settings=None)
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM login")) == 0


async def test_a_login_ends_half_an_hour_after_its_last_request(
    organiser: HttpBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_at = clock.now()
    for minutes, status in ((29, 200), (58, 200), (87, 200), (118, 303)):
        async with time_is(monkeypatch, opened_at + timedelta(minutes=minutes)):
            assert (await organiser.get("/gestion")).status_code == status


async def test_the_use_of_a_login_is_written_once_a_minute_at_most(
    organiser: HttpBrowser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_at = clock.now()
    noted = []
    for seconds in (30, 70, 100, 140):
        async with time_is(monkeypatch, opened_at + timedelta(seconds=seconds)):
            await organiser.get("/gestion")
        async with database.quiet_transaction() as tx:
            used_at = await tx.scalar(text("SELECT used_at FROM login"))
        noted.append(round((used_at - opened_at).total_seconds()))
    assert noted == [0, 70, 70, 140]


def in_the_role(role: str, tokens_file: Path) -> Tokens:
    """The tokens, of which the one of Bretagne has this role. Support has no delegation."""
    own = {"role": role, "delegation": "bretagne" if role == "organiser" else None}
    entries = json.loads(tokens_file.read_text())
    changed = [entry | own if entry["name"] == BRETAGNE else entry for entry in entries]
    tokens_file.write_text(json.dumps(changed))
    return Tokens(tokens_file)


async def test_a_login_ends_with_the_role_of_its_token(
    organiser: HttpBrowser, database: Database, tokens_file: Path
) -> None:
    for role, status in (("organiser", 200), ("support", 303)):
        async with on(database, in_the_role(role, tokens_file), PUBLIC_URL) as browser:
            browser.cookies.update(organiser.cookies)
            assert (await browser.get("/gestion")).status_code == status


async def test_a_form_without_the_key_of_the_login_is_refused(
    organiser: HttpBrowser, an_empty_offer: str, events_of: EventsOf
) -> None:
    path = await created(organiser, an_empty_offer)
    for fields in ({"x": ""}, {"cle": ""}, {"cle": "autre"}, {"cle": "é"}):
        for action in ("", "/publier", "/annuler", "/copier", "/replay"):
            assert (await organiser.post(path + action, data=fields | {"title": "Autre"})).status_code == 403
        assert (await organiser.post("/gestion/deconnexion", data=fields)).status_code == 403
    assert await events_of() == []


async def test_a_form_from_elsewhere_is_refused_even_with_the_key(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = await created(organiser, an_empty_offer)
    key = hidden((await organiser.get(path)).text, "cle")
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://ailleurs.example"},
        {"origin": "http://[bad"},
    ):
        assert (
            await organiser.post(f"{path}/publier", data={"cle": key}, headers=headers)
        ).status_code == 403
        login = await organiser.post("/gestion/connexion", data={"jeton": BRETAGNE}, headers=headers)
        assert login.status_code == 403


async def test_a_proxy_may_call_the_service_by_another_name(visitor: HttpBrowser) -> None:
    for origin, status in (
        (PUBLIC_URL, 303),
        ("http://catalogue:8001", 303),
        ("https://ailleurs.example", 403),
    ):
        headers = {"host": "catalogue:8001", "origin": origin}
        login = await visitor.post("/gestion/connexion", data={"jeton": BRETAGNE}, headers=headers)
        assert login.status_code == status, origin


async def test_what_is_no_form_is_refused(visitor: HttpBrowser) -> None:
    path = "/gestion/connexion"
    assert (await visitor.post(path, json={"jeton": BRETAGNE})).status_code == 400
    assert (await visitor.post(path, data={"jeton": "a" * 300_000})).status_code == 413
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await visitor.post(path, content=b"jeton=%ff", headers=form)).status_code == 400
    assert (await visitor.post(path, content=b"\xff", headers=form)).status_code == 400


async def test_a_delegation_sees_nothing_of_another(
    ask: Ask, organiser: HttpBrowser, an_empty_offer: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    theirs = await published(ask, an_empty_offer)
    await organiser.post(
        "/gestion/deconnexion", data={"cle": hidden((await organiser.get("/gestion")).text, "cle")}
    )
    await log_in(organiser, CORSE)
    listed = await organiser.get("/gestion?passees=oui")
    assert theirs not in listed.text
    key = {"cle": hidden(listed.text, "cle")}
    for session_id in (theirs, uuid4()):
        path = f"/gestion/sessions/{session_id}"
        assert (await organiser.get(path)).status_code == 404
        assert (await organiser.get(f"{path}/annuler")).status_code == 404
        for action in ("", "/publier", "/annuler", "/copier", "/replay"):
            assert (await organiser.post(path + action, data=key)).status_code == 404
    lines = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    refused = [line for line in lines if line["event"] == "right"]
    assert len(refused) == 7, "of the one that is another's, not of the one that does not exist"
    assert refused[0]["where"] == "/gestion/sessions/{session_id:uuid}"
    assert {line["who"].partition(":")[0] for line in refused} == {"organiser"}
