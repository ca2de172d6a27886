"""Offers by the API and on the pages: made and changed by who acts for all, read by every delegation."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from services.catalogue.offer_files.reading import OfferError
from services.catalogue.rules.offers import LETTER_DAYS
from services.catalogue.service import offers, sessions
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import OfferChange, SessionDraft
from shared.auth import Principal, Role
from shared.database import Database
from shared.events.catalogue import SessionCancelled
from tests.conftest import Ask, Eventually
from tests.integration.catalogue.browsing import (
    HttpBrowser,
    hidden,
    log_in,
    organiser,
    send,
)
from tests.integration.catalogue.conftest import (
    ADMIN,
    AS_OF,
    BRETAGNE,
    CORSE,
    EventsOf,
    a_draft_of,
    in_days,
    problem,
    published,
)
from tests.integration.catalogue.test_history_page import text_of
from tests.integration.catalogue.test_loading import edited
from tests.support.catalogue import load

__all__ = ["organiser"]

NEW = {
    "offer_id": "ia-et-finances",
    "format": "webinar",
    "title": "L’IA au service des finances",
    "summary": "Une heure.",
    "terms": {"capacity": 300, "closes_days_before": 1},
}
PATH = "/offers/ia-et-finances"


async def test_an_offer_is_made_found_and_changed_and_its_history_says_it(ask: Ask) -> None:
    made = await ask("POST", "/offers", by=ADMIN, **NEW)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/api/v1/offers/ia-et-finances"
    assert (made.json()["source"], made.json()["choices"]) == ("staff", [])
    assert (await ask("GET", PATH)).json() == made.json()
    tag = made.headers["etag"]
    assert (await ask("GET", PATH, if_none_match=tag)).status_code == 304
    changed = await ask("PATCH", PATH, by=ADMIN, if_match=tag, title="Autrement", terms={"capacity": None})
    assert changed.json()["title"] == "Autrement"
    assert changed.json()["terms"] == made.json()["terms"] | {"capacity": None}
    problem(await ask("PATCH", PATH, by=ADMIN, if_match=tag, title="Encore"), 412)
    (change, creation) = (await ask("GET", f"{PATH}/history", by=CORSE)).json()["items"]
    assert (creation["actor"], creation["action"]) == (ADMIN, "created")
    assert (change["actor"], change["action"]) == (ADMIN, "changed")
    assert change["changes"]["title"] == [NEW["title"], "Autrement"]
    assert set(change["changes"]) == {"title", "terms", "offer_id"}


async def test_the_same_change_again_leaves_no_line(ask: Ask) -> None:
    await ask("POST", "/offers", by=ADMIN, **NEW)
    for _ in range(2):
        assert (await ask("PATCH", PATH, by=ADMIN, title="Autrement")).status_code == 200
    assert len((await ask("GET", f"{PATH}/history", by=ADMIN)).json()["items"]) == 2


_WAITS = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock')"
)


@pytest.fixture
def until_somebody_waits(database: Database, eventually: Eventually) -> Callable[[], Awaitable[None]]:
    """Wait until a transaction waits for another one."""

    async def waits() -> bool:
        async with database.quiet_transaction() as other:
            return bool(await other.scalar(_WAITS))

    return lambda: eventually(waits, "somebody waits")


A_DRAFT = a_draft_of("ia-et-finances", join_url="https://visio.example/finances")


async def test_a_format_changes_after_the_sessions_that_are_being_drafted_and_is_refused(
    ask: Ask, database: Database, until_somebody_waits: Callable[[], Awaitable[None]]
) -> None:
    await ask("POST", "/offers", by=ADMIN, **NEW)
    who = Principal(name=BRETAGNE, role=Role.ORGANISER, delegation="bretagne")
    async with database.transaction() as tx:
        await sessions.draft(Acting(tx, who), SessionDraft.model_validate(A_DRAFT))
        changing = asyncio.ensure_future(ask("PATCH", PATH, by=ADMIN, format="mooc"))
        await until_somebody_waits()
        assert not changing.done()
    problem(await changing, 409)
    assert (await ask("GET", PATH)).json()["format"] == "webinar"


async def test_a_load_that_changes_a_format_waits_for_the_sessions_that_are_being_drafted(
    database: Database, until_somebody_waits: Callable[[], Awaitable[None]], tmp_path: Path
) -> None:
    await load(database, as_of=AS_OF)
    offer_id = "inet-conduire-transition-numerique"
    async with database.quiet_transaction() as tx:
        await tx.execute(text("DELETE FROM session WHERE offer_id = :offer_id"), {"offer_id": offer_id})
    changed = edited(tmp_path, "inet.yaml", "format: inet", "format: local_event")
    who = Principal(name=BRETAGNE, role=Role.ORGANISER, delegation="bretagne")
    async with database.transaction() as tx:
        await sessions.draft(Acting(tx, who), SessionDraft.model_validate(A_DRAFT | {"offer_id": offer_id}))
        loading = asyncio.ensure_future(load(database, changed, as_of=AS_OF))
        await until_somebody_waits()
        assert not loading.done()
    with pytest.raises(OfferError, match=f"offer {offer_id}: format: the offer has sessions"):
        await loading


@pytest.mark.parametrize("by", ["form", "sheet"])
async def test_a_session_that_is_drafted_while_the_format_changes_has_the_new_one(
    ask: Ask, database: Database, until_somebody_waits: Callable[[], Awaitable[None]], by: str
) -> None:
    await ask("POST", "/offers", by=ADMIN, **NEW)
    who = Principal(name=ADMIN, role=Role.ADMIN)
    async with database.transaction() as tx:
        change = OfferChange.model_validate({"format": "mooc"})
        await offers.change(Acting(tx, who), "ia-et-finances", change)
        if by == "form":
            drafting = asyncio.ensure_future(ask("POST", "/sessions", by=BRETAGNE, **A_DRAFT))
        else:
            dates = [f"{in_days(days):%Y-%m-%d %H:%M}" for days in (-1, 40, 40.3)]
            sheet = "Offre;Ouverture des inscriptions;Début;Fin\nia-et-finances;" + ";".join(dates)
            drafting = asyncio.ensure_future(
                ask("POST", "/sessions/import", by=BRETAGNE, content=sheet.encode(), dry_run="false")
            )
        await until_somebody_waits()
    assert (await drafting).is_success, (await drafting).text
    (session,) = (await ask("GET", "/sessions", by=BRETAGNE)).json()["items"]
    assert session["format"] == "mooc"


async def test_only_who_acts_for_all_makes_and_changes_offers(ask: Ask) -> None:
    problem(await ask("POST", "/offers", by=BRETAGNE, **NEW), 403)
    problem(await ask("POST", "/offers", **NEW), 401)
    await ask("POST", "/offers", by=ADMIN, **NEW)
    problem(await ask("PATCH", PATH, by=BRETAGNE, title="À moi"), 403)
    problem(await ask("GET", f"{PATH}/history"), 401)
    problem(await ask("PATCH", "/offers/rien", by=ADMIN, title="Rien"), 404)
    problem(await ask("GET", "/offers/rien"), 404)


async def test_an_offer_that_cannot_be_is_refused(ask: Ask) -> None:
    await ask("POST", "/offers", by=ADMIN, **NEW)
    problem(await ask("POST", "/offers", by=ADMIN, **NEW), 409)
    problem(await ask("POST", "/offers", by=ADMIN, **NEW | {"offer_id": "x", "themes": ["rien"]}), 422)
    audience = {"audience": {"delegations": ["atlantide"]}}
    problem(await ask("PATCH", PATH, by=ADMIN, terms=audience), 422)
    problem(await ask("PATCH", PATH, by=ADMIN, title=None), 422)
    problem(await ask("POST", "/offers", by=ADMIN, **NEW | {"offer_id": "nouvelle"}), 422)


async def test_of_two_who_make_the_same_offer_at_once_one_does(ask: Ask) -> None:
    answers = await asyncio.gather(*(ask("POST", "/offers", by=ADMIN, **NEW) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_session_follows_its_offer_as_it_was_when_it_was_drafted(ask: Ask) -> None:
    await ask("POST", "/offers", by=ADMIN, **NEW)
    dates = {"starts_at": "2027-03-22T08:00:00Z", "ends_at": "2027-03-22T15:00:00Z"}
    draft = {"offer_id": "ia-et-finances", "enrolment_opens_at": "2027-02-01T08:00:00Z", **dates}
    first = (await ask("POST", "/sessions", by=BRETAGNE, **draft)).json()
    assert (first["capacity"], first["format"]) == (300, "webinar")
    await ask("PATCH", PATH, by=ADMIN, terms={"capacity": 20})
    problem(await ask("PATCH", PATH, by=ADMIN, format="mooc"), 409)
    assert (await ask("GET", f"/sessions/{first['session_id']}", by=BRETAGNE)).json()["capacity"] == 300
    assert (await ask("POST", "/sessions", by=BRETAGNE, **draft)).json()["capacity"] == 20


async def test_a_load_leaves_an_offer_as_it_was_changed_here(
    ask: Ask, database: Database, tmp_path: Path
) -> None:
    await load(database, as_of=AS_OF)
    path = "/offers/ia-et-territoires"
    await ask("PATCH", path, by=ADMIN, title="Ici", terms={"quota_per_authority": 4})
    before = (await ask("GET", path)).json()
    assert {"title", "terms"} <= set(before["choices"])
    assert (await load(database, as_of=AS_OF)).offers_changed == 0
    assert (await ask("GET", path)).json() == before
    files = edited(tmp_path, "local_events.yaml", "themes: [usages", "themes: [transition-numerique, usages")
    assert (await load(database, files, as_of=AS_OF)).offers_changed == 1
    after = (await ask("GET", path)).json()
    assert after["title"] == "Ici"
    assert "transition-numerique" in after["themes"]


async def test_a_change_of_an_offer_loaded_before_that_was_kept_survives_the_next_load(
    ask: Ask, database: Database
) -> None:
    await load(database, as_of=AS_OF)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE offer SET loaded = NULL"))
    path = "/offers/ia-et-territoires"
    changed = await ask("PATCH", path, by=ADMIN, title="Ici")
    assert "title" in changed.json()["choices"]
    await load(database, as_of=AS_OF)
    assert (await ask("GET", path)).json() == changed.json()


async def test_sessions_that_are_not_over_follow_the_days_on_which_letters_are_sent(
    ask: Ask, events_of: EventsOf
) -> None:
    await ask("POST", "/offers", by=ADMIN, **NEW)
    link = "https://visio.example/finances"
    ahead = await published(ask, "ia-et-finances", join_url=link)
    cancelled = await published(ask, "ia-et-finances", join_url=link)
    await ask("POST", f"/sessions/{cancelled}/cancel", by=BRETAGNE)
    for title in ("Autrement", "Encore"):  # a change of another kind publishes nothing
        terms = {"last_reminder_days_before": 3}
        changed = await ask("PATCH", PATH, by=ADMIN, title=title, terms=terms)
        assert changed.json()["terms"]["last_reminder_days_before"] == 3
    days = [getattr(event, "last_reminder_days_before", None) for event in await events_of(ahead)]
    assert days == [1, 1, 3]
    assert isinstance((await events_of(cancelled))[-1], SessionCancelled)


# ------------------------------------------------------------------------------------------------ pages


def an_offer_form(**changes: str) -> dict[str, str]:
    fields = {"title": "L’IA et les finances", "format": "webinar", "summary": "Une heure."}
    terms = {"closes_days_before": "0", "waiting_list": "none", "offer_hold_hours": "48"}
    terms |= dict.fromkeys(LETTER_DAYS, "5")
    return (
        fields | terms | {"approval": "none", "timezone": "Europe/Paris", "theme-enjeux-ia": "oui"} | changes
    )


async def test_an_offer_is_made_and_changed_on_pages(visit: HttpBrowser, an_empty_offer: str) -> None:
    await log_in(visit, ADMIN)
    made = await send(visit, "/gestion/offres/nouvelle", **an_offer_form())
    path = "/gestion/offres/l-ia-et-les-finances"
    assert made.headers["location"] == f"{path}?fait=offre-creee"
    assert "L’offre est enregistrée" in (await visit.get(f"{path}?fait=offre-creee")).text
    changed = await send(visit, path, **an_offer_form(capacity="12"))
    assert changed.headers["location"] == f"{path}?fait=offre-modifiee"
    page = text_of((await visit.get(f"{path}/historique")).text)
    assert "Places Avant : sans limite → ; après : 12" in page
    assert "L’IA et les finances" in (await visit.get("/gestion/offres")).text
    assert "Une heure." in (await visit.get("/offres/l-ia-et-les-finances")).text


async def test_a_delegation_reads_offers_and_changes_none(
    organiser: HttpBrowser, an_empty_offer: str
) -> None:
    listed = await organiser.get("/gestion/offres")
    assert f"/gestion/offres/{an_empty_offer}" in listed.text
    assert "Nouvelle offre" not in listed.text
    page = await organiser.get(f"/gestion/offres/{an_empty_offer}")
    assert "<form" not in page.text[page.text.index("<main") : page.text.index("</main")]
    assert (await organiser.get("/gestion/offres/nouvelle")).status_code == 403
    key = hidden((await organiser.get("/gestion/sessions/nouvelle")).text, "cle")
    path = f"/gestion/offres/{an_empty_offer}"
    assert (await organiser.post(path, data={"cle": key} | an_offer_form())).status_code == 403
    new = await organiser.get(f"/gestion/sessions/nouvelle?offre={an_empty_offer}")
    assert f'value="{an_empty_offer}" selected' in new.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("recherche=introuvable", "Aucune offre ne correspond à ces filtres."),
        ("format=bespoke", "S’approprier les enjeux de l’IA"),
        ("recherche=mooc", "Mooc"),
    ],
)
async def test_offers_are_found_by_their_text_and_format(
    visitor: HttpBrowser, query: str, expected: str
) -> None:
    await log_in(visitor, BRETAGNE)
    page = (await visitor.get(f"/gestion/offres?{query}")).text
    assert expected in page
    assert "Retirer le filtre" in page


async def withdrawn(visit: HttpBrowser, offer_id: str) -> None:
    path = f"/gestion/offres/{offer_id}"
    answer = await send(visit, f"{path}/retirer")
    assert answer.headers["location"] == f"{path}?fait=offre-retiree", answer.text


async def test_an_offer_that_should_not_be_there_is_taken_back_and_had_again(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask
) -> None:
    await log_in(visit, ADMIN)
    path, public = f"/gestion/offres/{an_empty_offer}", f"/offres/{an_empty_offer}"
    session_form = f'value="{an_empty_offer}"'
    assert "Retirer l’offre" in (await visit.get(f"{path}/retirer")).text
    assert (await visit.get(public)).status_code == 200

    await withdrawn(visit, an_empty_offer)

    assert (await visit.get(public)).status_code == 410
    gone = await ask("GET", f"/offers/{an_empty_offer}")
    assert gone.status_code == 410, gone.text
    assert an_empty_offer not in [
        offer["offer_id"] for offer in (await ask("GET", "/offers")).json()["items"]
    ]
    assert public not in (await visit.get("/sitemap.xml")).text
    assert session_form not in (await visit.get("/gestion/sessions/nouvelle")).text
    assert (await ask("POST", "/sessions", by=ADMIN, **a_draft_of(an_empty_offer))).status_code == 422
    page = (await visit.get(path)).text
    assert ">Retirée<" in page
    assert ">Retirée<" in (await visit.get("/gestion/offres")).text
    assert "Retirée" in text_of((await visit.get(f"{path}/historique")).text)

    key, tag = hidden(page, "cle"), hidden(page, "version")
    assert (await visit.post(f"{path}/remettre", data={"cle": key, "version": "x"})).status_code == 412
    await visit.post(f"{path}/remettre", data={"cle": key, "version": tag})
    assert (await visit.get(public)).status_code == 200
    assert session_form in (await visit.get("/gestion/sessions/nouvelle")).text


async def test_an_offer_stays_as_long_as_a_session_of_it_or_one_that_requires_it_goes_on(
    visit: HttpBrowser, an_empty_offer: str, ask: Ask, database: Database
) -> None:
    async def over() -> None:
        past = "starts_at = now() - interval '2 days', ends_at = now() - interval '1 day'"
        async with database.transaction() as tx:
            await tx.execute(text(f"UPDATE session SET status = 'published', {past}"))

    async def refused() -> bool:
        answer = await send(visit, f"/gestion/offres/{an_empty_offer}/retirer")
        return "Cette offre a un brouillon ou une session" in answer.text

    await log_in(visit, ADMIN)
    draft = await ask("POST", "/sessions", by=BRETAGNE, **a_draft_of(an_empty_offer))
    assert draft.status_code == 201, draft.text
    session_id = draft.json()["session_id"]
    assert await refused(), "of a draft"
    assert (await ask("POST", f"/sessions/{session_id}/publish", by=BRETAGNE)).status_code == 200
    assert await refused(), "of a session that is to come"
    await over()
    await ask("POST", "/offers", by=ADMIN, **NEW)
    requires = {"prerequisite": {"offer_id": an_empty_offer}}
    other = await ask("POST", "/sessions", by=BRETAGNE, **a_draft_of("ia-et-finances") | requires)
    assert other.status_code == 201, other.text
    assert await refused(), "of a session that requires its certificate"
    await over()
    await withdrawn(visit, an_empty_offer)
    stays = await visit.get(f"/sessions/{session_id}")
    assert stays.status_code == 200, "what is over stays"
    assert f"/offres/{an_empty_offer}" not in stays.text
    copied = await ask(
        "POST", f"/sessions/{session_id}/duplicate", by=BRETAGNE, starts_at=in_days(9).isoformat()
    )
    assert copied.status_code == 409, copied.text
    required = await ask(
        "POST",
        f"/sessions/{other.json()['session_id']}/duplicate",
        by=BRETAGNE,
        starts_at=in_days(9).isoformat(),
    )
    assert required.status_code == 409, "it requires the certificate of what was taken back"


async def test_an_offer_is_taken_back_after_the_sessions_that_are_being_drafted_and_that_is_refused(
    visit: HttpBrowser, ask: Ask, database: Database, until_somebody_waits: Callable[[], Awaitable[None]]
) -> None:
    await ask("POST", "/offers", by=ADMIN, **NEW)
    await log_in(visit, ADMIN)
    who = Principal(name=BRETAGNE, role=Role.ORGANISER, delegation="bretagne")
    path = f"/gestion{PATH}".replace("/offers/", "/offres/")
    async with database.transaction() as tx:
        await sessions.draft(Acting(tx, who), SessionDraft.model_validate(A_DRAFT))
        taking_back = asyncio.ensure_future(send(visit, f"{path}/retirer"))
        await until_somebody_waits()
        assert not taking_back.done()
    assert "Cette offre a un brouillon ou une session" in (await taking_back).text
    assert (await ask("GET", PATH)).status_code == 200


async def test_a_load_leaves_an_offer_withdrawn_and_makes_no_new_session_of_it(
    database: Database, tmp_path: Path
) -> None:
    await load(database, as_of=AS_OF)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE offer SET withdrawn_at = now() WHERE offer_id = 'ia-et-territoires'"))
    files = edited(tmp_path, "local_events.yaml", "themes: [usages", "themes: [transition-numerique, usages")
    assert (await load(database, files, as_of=AS_OF)).offers_changed == 1
    async with database.quiet_transaction() as tx:
        assert (await offers.show(tx, "ia-et-territoires")).withdrawn_at is not None
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM session WHERE offer_id = 'ia-et-territoires'"))
    with pytest.raises(OfferError, match="was taken back"):
        await load(database, as_of=AS_OF)
