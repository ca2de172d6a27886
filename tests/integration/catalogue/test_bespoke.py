"""A bespoke request from the portal's event to the private session of the authority."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.catalogue.handlers import router
from services.catalogue.personal_data import REGISTER
from shared import clock
from shared.database import Database
from shared.events import Event
from shared.events.catalogue import (
    BespokeRequestAnswered,
    BespokeRequestReceived,
    SessionOpened,
    SessionScheduled,
)
from shared.events.portal import BespokeTrainingRequested, TraineesNominated
from shared.events.vocabulary import Contact
from shared.process.jobs import end_old_rows
from tests.conftest import Ask
from tests.integration.catalogue.conftest import (
    ADMIN,
    BESPOKE_OFFER,
    BRETAGNE,
    CORSE,
    PORTAL,
    EventsOf,
    audited,
    in_days,
    listed,
    problem,
    shown,
    time_is,
)
from tests.support.builders import an_agent
from tests.support.consuming import received, take

SIRET, PATH = "21350238800019", "/bespoke-requests"
OFFICER = {"name": "Léa Martin", "email": "lea.martin@ville-exemple.fr"}
ADVISOR = {"name": "Paul Petit", "email": "paul.petit@delegation.example"}


def a_bespoke_request(**changes: Any) -> BespokeTrainingRequested:
    fields: dict[str, Any] = {
        "siret": SIRET,
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "requested_by": OFFICER,
        "theme": "enjeux-ia",
        "trainees": 15,
        "message": "Plutôt au printemps.",
    }
    return BespokeTrainingRequested.model_validate(fields | changes)


async def hear(database: Database, event: Event, event_id: UUID | None = None) -> UUID:
    event_id = event_id or uuid4()
    await take(router, database, [received(event, event_id)])
    return event_id


def a_session(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "offer_id": BESPOKE_OFFER,
        "starts_at": in_days(60).isoformat(),
        "ends_at": in_days(60.3).isoformat(),
        "venue": "Hôtel de ville, Rennes",
    }
    return fields | changes


async def reply(
    ask: Ask, request_id: UUID | str, answer: str, *, by: str | None = BRETAGNE, **more: Any
) -> Any:
    body = {"answer": answer, "advisor": ADVISOR, "message": "Bonjour."} | more
    return await ask("POST", f"/bespoke-requests/{request_id}/answers", by=by, **body)


async def test_each_request_is_acknowledged_once_and_kept_once_however_often_it_comes(
    ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request = a_bespoke_request(wished_from=in_days(30), wished_until=in_days(60))
    request_id = await hear(database, request)
    await reply(ask, request_id, "declined")
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM inbox"))  # as after ninety days
    await hear(database, request, request_id)
    receipt, _ = await events_of(SIRET)
    assert isinstance(receipt, BespokeRequestReceived)
    assert receipt.model_dump(include=_PUBLISHED) == request.model_dump(include=_PUBLISHED)
    assert (receipt.request_id, receipt.request_source) == (request_id, "/tests")
    assert "printemps" not in receipt.model_dump_json()
    assert [item["state"] for item in await listed(ask, PATH, by=BRETAGNE)] == ["declined"]


_PUBLISHED = {
    *("siret", "authority", "delegation", "theme", "trainees"),
    *("wished_from", "wished_until", "requested_by"),
}


async def test_requests_of_two_portals_with_one_id_are_two_and_each_is_answered_to_its_own(
    ask: Ask, database: Database, events_of: EventsOf
) -> None:
    event_id = uuid4()
    iel, ouest = "/portals/iel", "/portals/ouest"
    for source in (iel, ouest, iel):
        await take(router, database, [replace(received(a_bespoke_request(), event_id), source=source)])
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM inbox"))  # as after ninety days
    await take(router, database, [replace(received(a_bespoke_request(), event_id), source=ouest)])
    receipts = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestReceived)]
    assert [event.request_source for event in receipts] == [iel, ouest]

    first, second = await listed(ask, PATH, by=BRETAGNE)
    if second["bespoke_id"] == str(event_id):  # the first that came keeps its id
        first, second = second, first
    assert first["bespoke_id"] == first["request_id"] == second["request_id"] == str(event_id)
    await reply(ask, second["bespoke_id"], "declined")
    answered = (await events_of(SIRET))[-1]
    assert isinstance(answered, BespokeRequestAnswered)
    assert (answered.request_id, answered.request_source) == (event_id, ouest)
    states = [
        (await shown(ask, f"{PATH}/{each['bespoke_id']}", by=BRETAGNE))["state"] for each in (first, second)
    ]
    assert states == ["received", "declined"]


async def test_a_request_is_qualified_proposed_and_agreed_to_with_a_private_session(
    a_bespoke_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request_id = await hear(database, a_bespoke_request())
    request = await shown(ask, f"{PATH}/{request_id}", by=BRETAGNE)
    assert (request["state"], request["authority"], request["requester"]) == (
        *("received", "Ville de Rennes"),
        OFFICER,
    )
    for answer in ("qualified", "proposed"):
        assert (await reply(ask, request_id, answer)).json()["state"] == answer
    session_id = (await reply(ask, request_id, "agreed", session=a_session())).json()["session_id"]

    answers = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestAnswered)]
    assert [event.answer for event in answers] == ["qualified", "proposed", "agreed"]
    last = answers[-1]
    assert (last.request_id, last.session_id) == (request_id, UUID(session_id))
    assert last.requested_by == Contact(**OFFICER)
    scheduled, opened = await events_of(session_id)
    assert isinstance(scheduled, SessionScheduled)
    assert isinstance(opened, SessionOpened)
    assert (scheduled.format, scheduled.organiser, scheduled.capacity) == ("bespoke", "bretagne", 20)
    assert (scheduled.minimum, scheduled.audience.sirets) == (12, (SIRET,))
    days = timedelta(days=15)  # before it begins, an hour more or less if the clocks change
    assert abs(scheduled.starts_at - scheduled.enrolment_closes_at - days) <= timedelta(hours=1)
    problem(await ask("GET", f"/sessions/{session_id}"), 404)
    problem(await reply(ask, request_id, "declined"), 409)
    history = await audited(database, request_id)
    assert [(actor, action) for actor, action, _, _ in history] == [(BRETAGNE, "answered")] * 3
    assert OFFICER["email"] not in str(history)


async def test_nominations_are_not_the_catalogues(database: Database) -> None:
    nominated = TraineesNominated(
        siret=SIRET, session_id=uuid4(), agents=(an_agent(),), nominated_by=Contact(**OFFICER)
    )
    await hear(database, nominated)
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM dead_letter")) == 0


@pytest.mark.parametrize(("by", "status"), [(CORSE, 404), (None, 401), (PORTAL, 403), (ADMIN, 200)])
async def test_a_request_is_seen_and_answered_by_its_delegation_and_admins_alone(
    ask: Ask, database: Database, events_of: EventsOf, by: str | None, status: int
) -> None:
    request_id = await hear(database, a_bespoke_request())
    before = len(await events_of())
    assert (await ask("GET", f"{PATH}/{request_id}", by=by)).status_code == status
    assert (await reply(ask, request_id, "declined", by=by)).status_code == status
    found = await ask("GET", PATH, by=by)
    assert len(found.json().get("items", [])) == len(await events_of()) - before == (by == ADMIN)


async def test_a_request_that_a_colleague_answered_meanwhile_is_not_answered(
    ask: Ask, database: Database
) -> None:
    request_id = await hear(database, a_bespoke_request())
    read = (await ask("GET", f"{PATH}/{request_id}", by=BRETAGNE)).headers["etag"]
    assert (await reply(ask, request_id, "proposed", if_match=read)).status_code == 200
    problem(await reply(ask, request_id, "declined", if_match=read), 412)


async def test_requests_come_the_newest_first_a_page_at_a_time_by_state(ask: Ask, database: Database) -> None:
    ids = [str(await hear(database, a_bespoke_request(authority=f"Ville n° {n}"))) for n in range(5)]
    await reply(ask, UUID(ids[0]), "declined")
    page = await shown(ask, PATH, by=BRETAGNE, limit=2)
    found = page["items"]
    while page["next"] is not None:
        page = await shown(ask, PATH, by=BRETAGNE, limit=2, cursor=page["next"])
        found += page["items"]
    assert [item["request_id"] for item in found] == ids[::-1]
    declined = await listed(ask, PATH, by=BRETAGNE, state="declined")
    assert [item["request_id"] for item in declined] == ids[:1]


@pytest.mark.parametrize(
    ("session", "field"),
    [
        ({"offer_id": "rien"}, "body.session.offer_id"),
        ({"venue": None}, "body.session.venue"),
        ({"ends_at": in_days(2).isoformat()}, "body.session.ends_at"),
        ({"organiser": "corse"}, "body.session.organiser"),
        (None, "body.session"),
    ],
)
async def test_an_agreement_on_an_impossible_session_changes_nothing(
    a_bespoke_offer: str,
    ask: Ask,
    database: Database,
    events_of: EventsOf,
    *,
    session: dict[str, Any] | None,
    field: str,
) -> None:
    request_id = await hear(database, a_bespoke_request())
    await reply(ask, request_id, "proposed")
    before = await events_of()
    agreed = await reply(ask, request_id, "agreed", session=session and a_session(**session))
    assert field in problem(agreed, 422)
    assert await events_of() == before
    assert (await shown(ask, f"{PATH}/{request_id}", by=BRETAGNE))["state"] == "proposed"


async def test_the_requester_is_forgotten_a_year_after_the_last_answer_or_the_receipt(
    a_bespoke_offer: str, ask: Ask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, still_open, unread = [await hear(database, a_bespoke_request()) for _ in range(3)]
    await reply(ask, settled, "declined")
    await reply(ask, still_open, "proposed")
    settings = SimpleNamespace(
        catalogue_bespoke_kept_days=365, catalogue_audit_kept_days=1826, read_log_kept_days=1826
    )
    for days, known in ((364, OFFICER), (366, None)):
        async with time_is(monkeypatch, clock.now() + timedelta(days=days)):
            await end_old_rows(database, REGISTER, settings)
        for request_id in (settled, still_open, unread):
            request = await shown(ask, f"{PATH}/{request_id}", by=BRETAGNE)
            assert request["requester"] == known
    ended = await shown(ask, f"{PATH}/{unread}", by=BRETAGNE)
    assert {ended[name] for name in ("message", "answer", "advisor")} == {None}
