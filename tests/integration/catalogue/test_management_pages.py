"""The pages of a delegation: who gets in, whose forms are taken, what is told beside a field."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.catalogue import api, jobs, pages
from shared import clock
from shared.auth import Tokens
from shared.database import Database
from shared.events import Event
from shared.events.catalogue import (
    BespokeRequestAnswered,
    ReplayPublished,
    SessionCancelled,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
)
from tests.integration.catalogue.conftest import PUBLIC_URL, Ask, in_days, time_is
from tests.integration.catalogue.test_api import BRETAGNE, CORSE, published
from tests.integration.catalogue.test_bespoke import asked, hear

Told = Callable[..., Awaitable[list[Event]]]
Browser = httpx.AsyncClient


async def log_in(browser: Browser, token: str = BRETAGNE) -> httpx.Response:
    return await browser.post("/gestion/connexion", data={"jeton": token})


@pytest.fixture
async def desk(visit: Browser) -> Browser:
    """Somebody of Bretagne, logged in."""
    assert (await log_in(visit)).status_code == 303
    return visit


def hidden(page: str, name: str) -> str:
    match = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert match, page
    return unescape(match[1])


async def send(browser: Browser, page: str, to: str = "", **fields: str) -> httpx.Response:
    """Fill in the form of a page as a browser does: all its fields, with ``fields`` changed."""
    body = (await browser.get(page)).text
    form = {"cle": hidden(body, "cle")}
    if 'name="version"' in body:
        form["version"] = hidden(body, "version")
    return await browser.post(to or page, data=form | fields)


def a_form(offer_id: str, /, **changes: str) -> dict[str, str]:
    def local(days: float) -> str:
        return in_days(days).strftime("%Y-%m-%dT%H:%M")

    fields = {
        "offer_id": offer_id,
        "title": "L'IA à Brest",
        "starts_at": local(40),
        "ends_at": local(40.3),
        "enrolment_opens_at": local(-1),
        "venue": "Brest",
    }
    return fields | changes


async def created(desk: Browser, offer_id: str, /, **changes: str) -> str:
    answer = await send(desk, "/gestion/sessions/nouvelle", **a_form(offer_id, **changes))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].split("?")[0]


def error_of(page: httpx.Response, field: str) -> str:
    match = re.search(rf'id="{field}-erreur">([^<]*)<', page.text)
    assert match, page.text
    assert re.search(rf'name="{field}"[^>]*aria-describedby="[^"]*{field}-erreur"', page.text)
    return unescape(match[1])


# --------------------------------------------------------------------------------------------- who gets in


async def test_a_token_opens_the_pages_and_the_cookie_says_nothing_of_it(visit: Browser) -> None:
    assert (await visit.get("/gestion")).headers["location"] == "/gestion/connexion"
    answer = await log_in(visit)
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert BRETAGNE not in cookie
    assert answer.headers["location"] == "/gestion"
    page = await visit.get("/gestion")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert "Sessions · Bretagne" in page.text


async def test_the_cookie_is_for_https_and_this_host_alone_where_the_site_is_on_https(visit: Browser) -> None:
    cookie = (await log_in(visit)).headers["set-cookie"]
    assert cookie.startswith("__Host-gestion=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_on_ones_own_machine_http_will_do(database: Database, tokens_file: Path) -> None:
    async with on(database, Tokens.load(tokens_file), "http://127.0.0.1:8001") as browser:
        assert "Secure" not in (await log_in(browser)).headers["set-cookie"]
        assert (await browser.get("/gestion")).status_code == 200


@asynccontextmanager
async def on(database: Database, tokens: Tokens, address: str) -> AsyncIterator[Browser]:
    """A browser on the pages of a site with these tokens, at this address."""
    web = api.build(database, tokens)
    pages.beside(web, pages.build(pages.Site(database=database, tokens=tokens, address=address)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=web), base_url=address) as browser:
        yield browser


async def test_no_other_token_opens_them(visitor: Browser) -> None:
    for token in ("", "nobody", "portail", "é" * 1000):
        answer = await log_in(visitor, token)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "Ce jeton n’ouvre pas cet espace" in answer.text


async def test_leaving_ends_the_login_here_and_not_only_in_the_browser(desk: Browser) -> None:
    cookies = dict(desk.cookies)
    await send(desk, "/gestion", "/gestion/deconnexion")
    desk.cookies.clear()
    desk.cookies.update(cookies)
    assert (await desk.get("/gestion")).status_code == 303


async def test_a_login_ends_after_a_day_of_work_and_with_its_token(
    desk: Browser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours, status in ((7.9, 200), (8.1, 303)):
        async with time_is(monkeypatch, clock.now() + timedelta(hours=hours)):
            assert (await desk.get("/gestion")).status_code == status
    async with on(database, Tokens([]), PUBLIC_URL) as without_token:
        without_token.cookies.update(desk.cookies)
        assert (await without_token.get("/gestion")).status_code == 303
    async with time_is(monkeypatch, clock.now() + timedelta(hours=9)):
        await jobs.forget(database, timedelta(days=365))
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM login")) == 0


def in_the_role(role: str, tokens_file: Path) -> Tokens:
    """The tokens, of which the one of Bretagne has this role."""
    entries = json.loads(tokens_file.read_text())
    changed = [entry | {"role": role} if entry["name"] == BRETAGNE else entry for entry in entries]
    tokens_file.write_text(json.dumps(changed))
    return Tokens.load(tokens_file)


async def test_a_login_ends_with_the_role_of_its_token(
    desk: Browser, database: Database, tokens_file: Path
) -> None:
    for role, status in (("organiser", 200), ("support", 303)):
        async with on(database, in_the_role(role, tokens_file), PUBLIC_URL) as browser:
            browser.cookies.update(desk.cookies)
            assert (await browser.get("/gestion")).status_code == status


# ------------------------------------------------------------------------------------------ whose forms


async def test_a_form_without_the_key_of_the_login_is_refused(
    desk: Browser, an_empty_offer: str, told: Told
) -> None:
    path = await created(desk, an_empty_offer)
    for fields in ({"x": ""}, {"cle": ""}, {"cle": "autre"}, {"cle": "é"}):
        for action in ("", "/publier", "/annuler", "/copier", "/replay"):
            assert (await desk.post(path + action, data=fields | {"title": "Autre"})).status_code == 403
        assert (await desk.post("/gestion/deconnexion", data=fields)).status_code == 403
    assert await told() == []


async def test_a_form_from_elsewhere_is_refused_even_with_the_key(desk: Browser, an_empty_offer: str) -> None:
    path = await created(desk, an_empty_offer)
    key = hidden((await desk.get(path)).text, "cle")
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://ailleurs.example"},
        {"origin": "http://[bad"},
    ):
        assert (await desk.post(f"{path}/publier", data={"cle": key}, headers=headers)).status_code == 403
        login = await desk.post("/gestion/connexion", data={"jeton": BRETAGNE}, headers=headers)
        assert login.status_code == 403


async def test_a_proxy_may_call_the_service_by_another_name(visitor: Browser) -> None:
    for origin, status in (
        (PUBLIC_URL, 303),
        ("http://catalogue:8001", 303),
        ("https://ailleurs.example", 403),
    ):
        headers = {"host": "catalogue:8001", "origin": origin}
        login = await visitor.post("/gestion/connexion", data={"jeton": BRETAGNE}, headers=headers)
        assert login.status_code == status, origin


async def test_what_is_no_form_is_refused(visitor: Browser) -> None:
    path = "/gestion/connexion"
    assert (await visitor.post(path, json={"jeton": BRETAGNE})).status_code == 400
    assert (await visitor.post(path, data={"jeton": "a" * 300_000})).status_code == 413
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await visitor.post(path, content=b"jeton=%ff", headers=form)).status_code == 400
    assert (await visitor.post(path, content=b"\xff", headers=form)).status_code == 400


async def test_a_delegation_sees_nothing_of_another(ask: Ask, desk: Browser, an_empty_offer: str) -> None:
    theirs = await published(ask, an_empty_offer)
    await desk.post("/gestion/deconnexion", data={"cle": hidden((await desk.get("/gestion")).text, "cle")})
    await log_in(desk, CORSE)
    listed = await desk.get("/gestion?passees=oui")
    assert theirs not in listed.text
    key = {"cle": hidden(listed.text, "cle")}
    for session_id in (theirs, uuid4()):
        path = f"/gestion/sessions/{session_id}"
        assert (await desk.get(path)).status_code == 404
        assert (await desk.get(f"{path}/annuler")).status_code == 404
        for action in ("", "/publier", "/annuler", "/copier", "/replay"):
            assert (await desk.post(path + action, data=key)).status_code == 404


# ------------------------------------------------------------------------------------ what can be done


async def test_a_session_is_drafted_published_changed_and_cancelled(
    desk: Browser, an_empty_offer: str, told: Told
) -> None:
    path = await created(desk, an_empty_offer, experts="Une juriste\r\nUn élu", summary="Une journée.")
    assert await told() == []
    assert "Le brouillon est enregistré" in (await desk.get(f"{path}?fait=creee")).text
    done = await send(desk, path, f"{path}/publier")
    assert done.headers["location"] == f"{path}?fait=publiee"
    assert (await send(desk, path, capacity="12", venue="Quimper")).status_code == 303
    assert "C’est définitif" in (await desk.get(f"{path}/annuler")).text
    assert (await send(desk, f"{path}/annuler")).headers["location"] == f"{path}?fait=annulee"
    scheduled, opened, changed, cancelled = await told()
    assert isinstance(scheduled, SessionScheduled)
    assert isinstance(opened, SessionOpened)
    assert isinstance(changed, SessionChanged)
    assert isinstance(cancelled, SessionCancelled)
    assert (scheduled.title, scheduled.capacity, scheduled.organiser) == ("L'IA à Brest", 30, "bretagne")
    assert (changed.capacity, changed.venue) == (12, "Quimper")
    page = (await desk.get(path)).text
    assert "Une session annulée le reste" in page
    assert f"modifiée par {BRETAGNE} (lieu et places)" in page


async def test_a_session_without_a_limit_of_seats_can_be_made_and_limited(
    desk: Browser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(desk, an_empty_offer, illimite="oui", capacity="7")
    session = path.rsplit("/", 1)[1]
    shown = await ask("GET", f"/sessions/{session}", by=BRETAGNE)
    assert shown.json()["capacity"] is None
    assert (await send(desk, path, capacity="")).status_code == 422
    assert (await send(desk, path, capacity="7")).status_code == 303
    assert (await ask("GET", f"/sessions/{session}", by=BRETAGNE)).json()["capacity"] == 7


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"offer_id": ""}, "offer_id", "Ce champ est obligatoire."),
        ({"offer_id": "rien"}, "offer_id", "Cette offre n’existe pas."),
        ({"starts_at": ""}, "starts_at", "Ce champ est obligatoire."),
        ({"starts_at": "demain"}, "starts_at", "Indiquez une date et une heure"),
        ({"ends_at": "2026-01-01T00:00"}, "ends_at", "Les dates ne se suivent pas"),
        ({"capacity": "-1"}, "capacity", "Indiquez un nombre entier de places"),
        ({"capacity": "beaucoup"}, "capacity", "Indiquez un nombre entier de places"),
        ({"join_url": "javascript:alert(1)"}, "join_url", "Indiquez une adresse complète"),
        ({"timezone": "Europe/Atlantide"}, "timezone", "Ce fuseau horaire n’existe pas."),
        ({"title": "a" * 301}, "title", "Le titre a de 1 à 300 caractères"),
        ({"waiting_list": "tirage"}, "waiting_list", "Cette valeur n’est pas valide."),
    ],
)
async def test_an_error_stands_beside_its_field_and_what_was_typed_stays(
    visitor: Browser, changes: dict[str, str], field: str, said: str
) -> None:
    await log_in(visitor)
    answer = await send(visitor, "/gestion/sessions/nouvelle", **a_form("ia-et-territoires", **changes))
    assert answer.status_code == 422
    assert error_of(answer, field).startswith(said)
    assert "Rien n’a été enregistré" in answer.text
    assert 'value="Brest"' in answer.text


async def test_html_that_was_typed_comes_back_as_text(desk: Browser, an_empty_offer: str) -> None:
    typed = '"><script>alert(1)</script>'
    form = a_form(an_empty_offer, title=typed, summary=f"</textarea>{typed}")
    path = await created(desk, an_empty_offer, **form)
    for page in (
        (await desk.get(path)).text,
        (await send(desk, "/gestion/sessions/nouvelle", **form | {"ends_at": ""})).text,
        (await desk.get("/gestion")).text,
    ):
        assert "<script" not in page
        assert "&lt;script&gt;" in page


async def test_a_change_over_somebody_elses_is_not_made_and_is_kept_for_another_look(
    desk: Browser, an_empty_offer: str, ask: Ask
) -> None:
    path = await created(desk, an_empty_offer)
    page = (await desk.get(path)).text
    api_path = f"/sessions/{path.rsplit('/', 1)[1]}"
    await ask("PATCH", api_path, by=BRETAGNE, venue="Morlaix")
    form = {"cle": hidden(page, "cle"), "version": hidden(page, "version"), "title": "Un autre titre"}
    answer = await desk.post(path, data=form)
    assert answer.status_code == 409
    assert "Cette session a changé depuis" in answer.text
    assert 'value="Un autre titre"' in answer.text
    assert (await ask("GET", api_path, by=BRETAGNE)).json()["title"] == "L'IA à Brest"
    again = await desk.post(path, data=form | {"version": hidden(answer.text, "version")})
    assert again.status_code == 303
    shown = (await ask("GET", api_path, by=BRETAGNE)).json()
    assert (shown["title"], shown["venue"]) == ("Un autre titre", "Morlaix")


async def test_the_past_stays_and_the_page_says_so(desk: Browser, an_empty_offer: str, told: Told) -> None:
    path = await created(desk, an_empty_offer)
    await send(desk, path, f"{path}/publier")
    before = await told()
    answer = await send(desk, path, enrolment_opens_at=in_days(2).strftime("%Y-%m-%dT%H:%M"))
    assert error_of(answer, "enrolment_opens_at").startswith("Ce moment est passé")
    assert (await send(desk, path, f"{path}/publier", version="x")).status_code == 409
    twice = await desk.get(path)
    published_again = await desk.post(
        f"{path}/publier", data={"cle": hidden(twice.text, "cle"), "version": hidden(twice.text, "version")}
    )
    assert "La session est déjà publiée." in published_again.text
    assert await told() == before


async def test_a_session_keeps_a_zone_that_no_delegation_has(
    desk: Browser, an_empty_offer: str, ask: Ask
) -> None:
    session_id = await published(ask, an_empty_offer, timezone="America/New_York")
    page = (await desk.get(f"/gestion/sessions/{session_id}")).text
    assert '<option value="America/New_York" selected>' in page
    assert page.count(" selected>") == 2  # zone, waiting list


async def test_to_look_is_not_to_do(desk: Browser, an_empty_offer: str, told: Told) -> None:
    path = await created(desk, an_empty_offer)
    await send(desk, path, f"{path}/publier")
    before = await told()
    for method in ("HEAD", "GET"):
        for address in (path, f"{path}/annuler", "/gestion/sessions/nouvelle", "/gestion/connexion"):
            assert (await desk.request(method, address)).status_code == 200, (method, address)
    assert (await desk.get(f"{path}/publier")).status_code == 405
    assert await told() == before


async def test_a_copy_is_a_draft_at_another_time(desk: Browser, an_empty_offer: str, ask: Ask) -> None:
    path = await created(desk, an_empty_offer)
    start = in_days(80).strftime("%Y-%m-%dT%H:%M")
    answer = await send(desk, path, f"{path}/copier", copie=start)
    assert answer.headers["location"].endswith("?fait=copiee")
    assert len((await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]) == 2
    assert error_of(await send(desk, path, f"{path}/copier", copie="bientôt"), "copie")


async def test_a_replay_is_published_from_the_page_of_its_session(
    desk: Browser, an_empty_offer: str, ask: Ask, told: Told
) -> None:
    began = {"enrolment_opens_at": in_days(-9), "starts_at": in_days(-0.1), "ends_at": in_days(0.2)}
    dates = {name: moment.isoformat() for name, moment in began.items()}
    path = f"/gestion/sessions/{await published(ask, an_empty_offer, **dates)}"
    assert "Le titre" in error_of(
        await send(desk, path, f"{path}/replay", replay_title="", replay_url="https://v.example.org/1"),
        "replay_title",
    )
    fields = {"replay_title": "Revoir", "replay_url": "https://v.example.org/1", "replay_theme": "enjeux-ia"}
    answer = await send(desk, path, f"{path}/replay", **fields)
    assert answer.headers["location"] == f"{path}?fait=replay"
    (replay,) = [event for event in await told() if isinstance(event, ReplayPublished)]
    assert (replay.title, replay.themes) == ("Revoir", ("enjeux-ia",))
    other = await send(desk, path, f"{path}/replay", **fields | {"replay_title": "Autre"})
    assert "en ligne à cette adresse" in error_of(other, "replay_url")
    not_begun = await created(desk, an_empty_offer)
    refused = await send(desk, not_begun, f"{not_begun}/replay", **fields)
    assert (refused.status_code, "La session n’est pas publiée." in refused.text) == (422, True)


# -------------------------------------------------------------------------------------------- sheets


async def upload(desk: Browser, content: bytes, *, key: str | None = None, **fields: str) -> httpx.Response:
    path = "/gestion/sessions/importer"
    form = {"cle": hidden((await desk.get(path)).text, "cle") if key is None else key} | fields
    return await desk.post(path, data=form, files={"fichier": ("sessions.csv", content, "text/csv")})


async def test_a_sheet_is_tried_then_drafted_and_comes_out_again(
    desk: Browser, an_empty_offer: str, ask: Ask
) -> None:
    content = (
        "Offre;Début;Fin;Ouverture des inscriptions;Lieu\r\n"
        f"{an_empty_offer};30/03/2027 09:30;30/03/2027 17:00;01/03/2027 09:00;Rennes\r\n"
    ).encode("cp1252")
    tried = await upload(desk, content, essai="oui")
    assert "Le fichier est bon\u00a0: 1 session." in tried.text
    assert (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"] == []
    assert "1 session en brouillon" in (await upload(desk, content)).text
    (item,) = (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]
    assert (item["organiser"], item["starts_at"]) == ("bretagne", "2027-03-30T07:30:00Z")
    exported = await desk.get("/gestion/sessions.csv")
    assert exported.headers["content-disposition"] == 'attachment; filename="sessions.csv"'
    assert item["session_id"] in exported.text


async def test_every_line_that_is_wrong_is_told_in_french(
    desk: Browser, an_empty_offer: str, told: Told
) -> None:
    good = f"{an_empty_offer};2027-03-30 09:30;2027-03-30 17:00;2027-03-01 09:00;<b>Rennes</b>\n"
    lines = [
        good,
        good.replace("17:00", "08:00"),
        good.replace("essai", "rien"),
        good.replace("2027-03-30 09", "x"),
    ]
    answer = await upload(
        desk, ("Offre;Début;Fin;Ouverture des inscriptions;Lieu\n" + "".join(lines)).encode()
    )
    assert answer.status_code == 422
    rows = re.findall(r"</span>(\d+)</th><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td>", answer.text)
    assert [(line, column) for line, column, _ in rows] == [("3", "Fin"), ("4", "Offre"), ("5", "Début")]
    assert rows[1][2] == "Cette offre n’existe pas."
    assert "<b>Rennes" not in answer.text
    assert "Ce fichier est un classeur" in (await upload(desk, b"PK\x03\x04...")).text
    assert await told() == []


async def test_a_file_comes_with_the_key_of_the_login_too(desk: Browser, an_empty_offer: str) -> None:
    assert (await upload(desk, b"Offre", key="autre")).status_code == 403
    key = hidden((await desk.get("/gestion/sessions/importer")).text, "cle")
    without = await desk.post("/gestion/sessions/importer", data={"cle": key})
    assert without.status_code == 400
    form = {"content-type": "multipart/form-data; boundary=x"}
    for rubbish in (b"", b"--x\r\n\r\n", b"\xff" * 100, b"--x--"):
        answer = await desk.post("/gestion/sessions/importer", content=rubbish, headers=form)
        assert answer.status_code in (400, 403)


# ------------------------------------------------------------------------------------------- bespoke


async def test_a_delegation_answers_an_authority_by_forms(
    desk: Browser, a_bespoke_offer: str, database: Database, told: Told
) -> None:
    request_id = await hear(database, asked(authority="Ville <b>de</b> Rennes"))
    path = f"/gestion/demandes/{request_id}"
    assert path in (await desk.get("/gestion/demandes")).text
    page = (await desk.get(path)).text
    assert "Ville &lt;b&gt;de&lt;/b&gt; Rennes" in page
    assert "Plutôt au printemps." in page
    advisor = {"advisor_name": "Paul Petit", "advisor_email": "paul.petit@delegation.example"}
    assert error_of(await send(desk, path, **advisor), "answer") == "Choisissez une réponse."
    wrong = await send(desk, path, answer="proposed", advisor_name="Paul Petit", advisor_email="paul")
    assert error_of(wrong, "advisor_email").startswith("Indiquez une adresse de courriel")
    done = await send(desk, path, answer="proposed", message="Une journée en mars.", **advisor)
    assert done.headers["location"] == f"{path}?fait=oui"

    empty = await send(desk, path, answer="agreed", **advisor)
    assert error_of(empty, "starts_at") == "Ce champ est obligatoire."
    dates = {name: a_form("")[name] for name in ("starts_at", "ends_at")}
    session = {"offer_id": a_bespoke_offer, "capacity": "15"} | dates
    nowhere = await send(desk, path, answer="agreed", **advisor, **session)
    assert error_of(nowhere, "venue").startswith("Indiquez un lieu")
    assert (await send(desk, path, answer="agreed", venue="Rennes", **advisor, **session)).status_code == 303

    answered = [event for event in await told() if isinstance(event, BespokeRequestAnswered)]
    assert [event.answer for event in answered] == ["proposed", "agreed"]
    (scheduled,) = [event for event in await told() if isinstance(event, SessionScheduled)]
    assert (scheduled.capacity, scheduled.audience.sirets) == (15, ("21350238800019",))
    page = (await desk.get(path)).text
    assert f"/gestion/sessions/{scheduled.session_id}" in page
    assert "Envoyer la réponse" not in page


async def test_the_requests_of_another_delegation_are_not_there(desk: Browser, database: Database) -> None:
    path = f"/gestion/demandes/{await hear(database, asked(delegation='corse'))}"
    listed = await desk.get("/gestion/demandes")
    assert path not in listed.text
    assert (await desk.get(path)).status_code == 404
    assert (await desk.post(path, data={"cle": hidden(listed.text, "cle")})).status_code == 404


async def test_an_answer_over_somebody_elses_is_not_given(
    desk: Browser, a_bespoke_offer: str, database: Database, told: Told
) -> None:
    path = f"/gestion/demandes/{await hear(database, asked())}"
    advisor = {"advisor_name": "Paul Petit", "advisor_email": "paul.petit@delegation.example"}
    page = (await desk.get(path)).text
    assert (await send(desk, path, answer="proposed", **advisor)).status_code == 303
    stale = {"cle": hidden(page, "cle"), "version": hidden(page, "version"), "answer": "declined"} | advisor
    assert (await desk.post(path, data=stale)).status_code == 409
    assert len([event for event in await told() if isinstance(event, BespokeRequestAnswered)]) == 1
