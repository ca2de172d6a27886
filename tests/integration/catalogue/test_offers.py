"""Offers: made, changed and taken back by organisers who act for all, read by every delegation."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.catalogue.offer_files.reading import OfferError
from services.catalogue.rules.offers import LETTER_DAYS
from services.catalogue.service import offers, sessions
from services.catalogue.service.commands import OfferChange, SessionDraft
from shared.database import Database
from shared.events.catalogue import SessionCancelled
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, hidden, log_in, organiser, send, unseen_fields
from tests.integration.catalogue.conftest import (
    ADMIN,
    AS_OF,
    BRETAGNE,
    CORSE,
    EventsOf,
    a_draft_of,
    acting,
    drafted,
    edited,
    in_days,
    listed,
    problem,
    published,
    shown,
)
from tests.support.catalogue import load
from tests.support.locks import locks_awaited

__all__ = ["organiser"]

NEW: dict[str, Any] = {
    "offer_id": "ia-et-finances",
    "format": "webinar",
    "title": "L’IA au service des finances",
    "summary": "Une heure.",
    "terms": {"capacity": 300, "closes_days_before": 1},
}
PATH, NEW_SESSION = "/offers/ia-et-finances", "/gestion/sessions/nouvelle"
LINK = "https://visio.example/finances"
A_DRAFT = a_draft_of("ia-et-finances", join_url=LINK)


@pytest.fixture
async def finances(ask: Ask) -> str:
    """The tag of an offer that was made here."""
    made = await ask("POST", "/offers", by=ADMIN, **NEW)
    assert made.status_code == 201, made.text
    return str(made.headers["etag"])


async def test_an_offer_is_found_and_changed_and_its_history_says_it(ask: Ask, finances: str) -> None:
    made = await shown(ask, PATH)
    assert (made["source"], made["choices"], made["title"]) == ("staff", [], NEW["title"])
    assert (await ask("GET", PATH, if_none_match=finances)).status_code == 304
    change = {"title": "Autrement", "terms": {"capacity": None}}
    _, again = [await ask("PATCH", PATH, by=ADMIN, **change) for _ in range(2)]  # which leaves no entry
    assert again.json() == made | {"title": "Autrement", "terms": made["terms"] | {"capacity": None}}
    problem(await ask("PATCH", PATH, by=ADMIN, if_match=finances, title="Encore"), 412)
    last, first = await listed(ask, f"{PATH}/history", by=CORSE)
    assert [(line["actor"], line["action"]) for line in (first, last)] == [
        (ADMIN, "created"),
        (ADMIN, "changed"),
    ]
    assert set(last["changes"]) == {"title", "terms", "offer_id"}
    assert last["changes"]["title"] == [NEW["title"], "Autrement"]


REFUSED: list[tuple[str, str, dict[str, Any], str | None, int]] = [
    ("POST", "/offers", NEW, BRETAGNE, 403),
    ("POST", "/offers", NEW, None, 401),
    ("POST", "/offers", NEW, ADMIN, 409),
    ("POST", "/offers", NEW | {"offer_id": "x", "themes": ["rien"]}, ADMIN, 422),
    ("PATCH", PATH, {"title": "À moi"}, BRETAGNE, 403),
    ("PATCH", PATH, {"title": None}, ADMIN, 422),
    ("PATCH", PATH, {"terms": {"audience": {"delegations": ["atlantide"]}}}, ADMIN, 422),
    ("PATCH", "/offers/rien", {"title": "Rien"}, ADMIN, 404),
    ("GET", "/offers/rien", {}, None, 404),
    ("GET", f"{PATH}/history", {}, None, 401),
]


@pytest.mark.usefixtures("finances")
async def test_a_request_about_an_offer_is_refused(ask: Ask) -> None:
    found = [
        (method, path, fields, by, (await ask(method, path, by=by, **fields)).status_code)
        for method, path, fields, by, _ in REFUSED
    ]
    assert found == REFUSED


async def test_of_many_that_make_the_same_offer_at_once_one_does(ask: Ask) -> None:
    answers = await asyncio.gather(*(ask("POST", "/offers", by=ADMIN, **NEW) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_session_keeps_the_terms_of_its_offer_from_when_it_was_drafted(
    ask: Ask, finances: str
) -> None:
    first = await ask("POST", "/sessions", by=BRETAGNE, **A_DRAFT)
    await ask("PATCH", PATH, by=ADMIN, terms={"capacity": 20})
    second = await ask("POST", "/sessions", by=BRETAGNE, **A_DRAFT)
    found = {item["session_id"]: item["capacity"] for item in await listed(ask, by=BRETAGNE)}
    assert found == {first.json()["session_id"]: 300, second.json()["session_id"]: 20}
    problem(await ask("PATCH", PATH, by=ADMIN, format="mooc"), 409)


async def test_sessions_that_are_not_over_follow_the_days_on_which_letters_are_sent(
    ask: Ask, finances: str, events_of: EventsOf
) -> None:
    ahead, cancelled = [await published(ask, "ia-et-finances", join_url=LINK) for _ in range(2)]
    await ask("POST", f"/sessions/{cancelled}/cancel", by=BRETAGNE)
    for title in ("Autrement", "Encore"):  # a change of another kind publishes nothing
        await ask("PATCH", PATH, by=ADMIN, title=title, terms={"last_reminder_days_before": 3})
    days = [getattr(event, "last_reminder_days_before", None) for event in await events_of(ahead)]
    assert days == [1, 1, 3]
    assert isinstance((await events_of(cancelled))[-1], SessionCancelled)


# -------------------------------------------------------------------- while sessions are being drafted


@pytest.mark.usefixtures("finances")
async def test_a_change_of_format_waits_for_the_sessions_that_are_being_drafted_and_is_refused(
    ask: Ask, database: Database
) -> None:
    async with database.transaction() as tx:
        await sessions.draft(acting(tx), SessionDraft.model_validate(A_DRAFT))
        changing = asyncio.ensure_future(ask("PATCH", PATH, by=ADMIN, format="mooc"))
        await locks_awaited(database)
    problem(await changing, 409)


@pytest.mark.usefixtures("finances")
async def test_an_offer_is_not_taken_back_over_a_session_that_is_being_drafted(
    visit: HttpBrowser, ask: Ask, database: Database
) -> None:
    await log_in(visit, ADMIN)
    async with database.transaction() as tx:
        await sessions.draft(acting(tx), SessionDraft.model_validate(A_DRAFT))
        taking_back = asyncio.ensure_future(send(visit, "/gestion/offres/ia-et-finances/retirer"))
        await locks_awaited(database)
    assert (await taking_back).status_code == 422
    assert (await ask("GET", PATH)).status_code == 200


@pytest.mark.usefixtures("offer")
async def test_a_load_that_changes_a_format_waits_for_the_sessions_that_are_being_drafted(
    database: Database, tmp_path: Path
) -> None:
    offer_id = "inet-conduire-transition-numerique"
    async with database.quiet_transaction() as tx:
        await tx.execute(text("DELETE FROM session WHERE offer_id = :offer_id"), {"offer_id": offer_id})
    changed = edited(tmp_path, "inet.yaml", "format: inet", "format: local_event")
    async with database.transaction() as tx:
        draft = SessionDraft.model_validate(A_DRAFT | {"offer_id": offer_id})
        await sessions.draft(acting(tx), draft)
        loading = asyncio.ensure_future(load(database, changed, as_of=AS_OF))
        await locks_awaited(database)
    with pytest.raises(OfferError, match=f"offer {offer_id}: format: the offer has sessions"):
        await loading


@pytest.mark.usefixtures("finances")
@pytest.mark.parametrize("by", ["json", "sheet"])
async def test_a_session_that_is_drafted_while_the_format_changes_has_the_new_format(
    ask: Ask, database: Database, by: str
) -> None:
    dates = ";".join(f"{in_days(days):%Y-%m-%d %H:%M}" for days in (-1, 40, 40.3))
    sheet = f"Offre;Ouverture des inscriptions;Début;Fin\nia-et-finances;{dates}".encode()
    async with database.transaction() as tx:
        change = OfferChange.model_validate({"format": "mooc"})
        await offers.change(acting(tx, ADMIN, None), "ia-et-finances", change)
        if by == "json":
            drafting = asyncio.ensure_future(ask("POST", "/sessions", by=BRETAGNE, **A_DRAFT))
        else:
            drafting = asyncio.ensure_future(ask("POST", "/sessions/import", by=BRETAGNE, content=sheet))
        await locks_awaited(database)
    assert (await drafting).is_success, (await drafting).text
    assert [session["format"] for session in await listed(ask, by=BRETAGNE)] == ["mooc"]


# ------------------------------------------------------------------------------------------------ loads


@pytest.mark.usefixtures("offer")
async def test_a_load_leaves_an_offer_as_it_was_changed_here(
    ask: Ask, database: Database, tmp_path: Path
) -> None:
    path = "/offers/ia-et-territoires"
    await ask("PATCH", path, by=ADMIN, title="Ici", terms={"quota_per_authority": 4})
    before = await shown(ask, path)
    assert {"title", "terms"} <= set(before["choices"])
    assert (await load(database, as_of=AS_OF)).offers_changed == 0
    assert await shown(ask, path) == before
    files = edited(tmp_path, "local_events.yaml", "themes: [usages", "themes: [transition-numerique, usages")
    assert (await load(database, files, as_of=AS_OF)).offers_changed == 1
    after = await shown(ask, path)
    assert after == before | {"themes": after["themes"]}
    assert "transition-numerique" in after["themes"]


@pytest.mark.usefixtures("offer")
async def test_a_change_of_an_offer_that_an_older_version_loaded_survives_the_next_load(
    ask: Ask, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE offer SET loaded = NULL"))
    path = "/offers/ia-et-territoires"
    changed = await ask("PATCH", path, by=ADMIN, title="Ici")
    assert "title" in changed.json()["choices"]
    await load(database, as_of=AS_OF)
    assert await shown(ask, path) == changed.json()


@pytest.mark.usefixtures("offer")
async def test_a_load_leaves_an_offer_withdrawn_and_makes_no_new_session_of_it(
    database: Database, tmp_path: Path
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE offer SET withdrawn_at = now() WHERE offer_id = 'ia-et-territoires'"))
    files = edited(tmp_path, "local_events.yaml", "themes: [usages", "themes: [transition-numerique, usages")
    assert (await load(database, files, as_of=AS_OF)).offers_changed == 1
    async with database.transaction() as tx:
        assert (await offers.show(tx, "ia-et-territoires")).withdrawn_at is not None
        await tx.execute(text("DELETE FROM session WHERE offer_id = 'ia-et-territoires'"))
    with pytest.raises(OfferError, match="was taken back"):
        await load(database, as_of=AS_OF)


# ------------------------------------------------------------------------------------------------ pages


def an_offer_form(**changes: str) -> dict[str, str]:
    fields = {"title": "L’IA et les finances", "format": "webinar", "summary": "Une heure."}
    terms = {"closes_days_before": "0", "waiting_list": "none", "offer_hold_hours": "48"}
    terms |= dict.fromkeys(LETTER_DAYS, "5")
    return (
        fields | terms | {"approval": "none", "timezone": "Europe/Paris", "theme-enjeux-ia": "oui"} | changes
    )


async def test_an_offer_is_made_by_a_form(visit: HttpBrowser, an_empty_offer: str, ask: Ask) -> None:
    await log_in(visit, ADMIN)
    made = await send(visit, "/gestion/offres/nouvelle", **an_offer_form(capacity="12"))
    assert made.headers["location"] == "/gestion/offres/l-ia-et-les-finances?fait=offre-creee"
    offer = await shown(ask, "/offers/l-ia-et-les-finances")
    assert (offer["title"], offer["themes"]) == ("L’IA et les finances", ["enjeux-ia"])
    assert (offer["terms"]["capacity"], offer["terms"]["last_reminder_days_before"]) == (12, 5)
    assert "L’IA et les finances" in (await visit.get("/gestion/offres?recherche=finances")).text
    assert "L’IA et les finances" not in (await visit.get("/gestion/offres?format=mooc")).text


async def test_a_delegation_reads_offers_and_changes_none(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    path = f"/gestion/offres/{an_empty_offer}"
    assert path in (await organiser.get("/gestion/offres")).text
    page = (await organiser.get(path)).text
    assert "<form" not in page[page.index("<main") : page.index("</main")]
    assert (await organiser.get("/gestion/offres/nouvelle")).status_code == 403
    key = hidden((await organiser.get(NEW_SESSION)).text, "cle")
    for form in (path, f"{path}/retirer", f"{path}/remettre", "/gestion/offres/nouvelle"):
        assert (await organiser.post(form, data={"cle": key} | an_offer_form())).status_code == 403


async def test_an_offer_that_is_taken_back_is_nowhere_until_it_is_restored(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    public, path = f"/offres/{an_empty_offer}", f"/gestion/offres/{an_empty_offer}"

    async def found() -> list[int]:
        session = a_draft_of(an_empty_offer, organiser="corse")
        drafting = await ask("POST", "/sessions", by=ADMIN, **session)
        answers = [await visit.get(public), await ask("GET", f"/offers/{an_empty_offer}"), drafting]
        site_map, new = (await visit.get("/sitemap.xml")).text, (await visit.get(NEW_SESSION)).text
        listings = [public in site_map, f'value="{an_empty_offer}"' in new, len(await listed(ask, "/offers"))]
        return [*(answer.status_code for answer in answers), *listings]

    await log_in(visit, ADMIN)
    assert (await send(visit, f"{path}/retirer")).is_redirect
    assert await found() == [410, 410, 422, 0, 0, 0]
    form = unseen_fields((await visit.get(path)).text)
    assert (await visit.post(f"{path}/remettre", data=form | {"version": "x"})).status_code == 412
    assert (await visit.post(f"{path}/remettre", data=form)).is_redirect
    assert await found() == [200, 200, 201, 1, 1, 1]


async def test_an_offer_stays_as_long_as_a_session_of_it_or_that_requires_it_goes_on(
    visit: HttpBrowser, an_empty_offer: str, finances: str, ask: Ask, database: Database
) -> None:
    past = "starts_at = now() - interval '2 days', ends_at = now() - interval '1 day'"

    async def over() -> None:
        async with database.transaction() as tx:
            await tx.execute(text(f"UPDATE session SET status = 'published', {past}"))

    async def taken_back() -> int:
        return (await send(visit, f"/gestion/offres/{an_empty_offer}/retirer")).status_code

    await log_in(visit, ADMIN)
    session_id = (await drafted(ask, an_empty_offer))["session_id"]
    assert await taken_back() == 422, "of a draft"
    await ask("POST", f"/sessions/{session_id}/publish", by=BRETAGNE)
    assert await taken_back() == 422, "of a session that is to come"
    await over()
    required = {"prerequisite": {"offer_id": an_empty_offer}}
    requires = await ask("POST", "/sessions", by=BRETAGNE, **A_DRAFT | required)
    assert await taken_back() == 422, "of a session that requires its certificate"
    await over()
    assert await taken_back() == 303
    assert (await visit.get(f"/sessions/{session_id}")).status_code == 200
    later = {"starts_at": in_days(9).isoformat()}
    for made_of_it in (session_id, requires.json()["session_id"]):
        problem(await ask("POST", f"/sessions/{made_of_it}/duplicate", by=BRETAGNE, **later), 409)
