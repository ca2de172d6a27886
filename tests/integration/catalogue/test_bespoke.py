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
    in_days,
    problem,
    time_is,
)
from tests.support.builders import an_agent
from tests.support.consuming import received, take

SIRET = "21350238800019"
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


async def reply(ask: Ask, request_id: UUID, answer: str, *, by: str = BRETAGNE, **more: Any) -> Any:
    body = {"answer": answer, "advisor": ADVISOR, "message": "Bonjour."} | more
    return await ask("POST", f"/bespoke-requests/{request_id}/answers", by=by, **body)


async def test_each_request_is_said_once_to_be_with_its_delegation_however_often_it_comes(
    database: Database, events_of: EventsOf
) -> None:
    request = a_bespoke_request(wished_from=in_days(30), wished_until=in_days(60))
    request_id = await hear(database, request)
    for _ in range(2):
        async with database.transaction() as tx:
            await tx.execute(text("DELETE FROM inbox"))
        await hear(database, request, request_id)
    [receipt] = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestReceived)]
    assert receipt.model_dump(include=_PUBLISHED) == request.model_dump(include=_PUBLISHED)
    assert (receipt.request_id, receipt.request_source) == (request_id, "/tests")
    assert "printemps" not in receipt.model_dump_json()


_PUBLISHED = {
    "siret",
    "authority",
    "delegation",
    "theme",
    "trainees",
    "wished_from",
    "wished_until",
    "requested_by",
}


async def test_requests_of_two_portals_with_one_id_are_both_said(
    database: Database, events_of: EventsOf
) -> None:
    event_id = uuid4()
    for source in ("/portals/iel", "/portals/ouest"):
        await take(router, database, [replace(received(a_bespoke_request(), event_id), source=source)])
    receipts = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestReceived)]
    assert [event.request_source for event in receipts] == ["/portals/iel", "/portals/ouest"]


async def test_a_request_is_qualified_proposed_and_agreed_to_with_a_private_session(
    a_bespoke_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request_id = await hear(database, a_bespoke_request())
    shown = (await ask("GET", f"/bespoke-requests/{request_id}", by=BRETAGNE)).json()
    assert (shown["state"], shown["authority"], shown["trainees"]) == ("received", "Ville de Rennes", 15)
    assert shown["requester"] == OFFICER
    for answer in ("qualified", "proposed"):
        assert (await reply(ask, request_id, answer)).json()["state"] == answer
    agreed = await reply(ask, request_id, "agreed", session=a_session())
    assert agreed.status_code == 200, agreed.text
    session_id = agreed.json()["session_id"]

    answers = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestAnswered)]
    assert [event.answer for event in answers] == ["qualified", "proposed", "agreed"]
    assert {event.request_id for event in answers} == {request_id}
    assert answers[-1].session_id == UUID(session_id)
    assert answers[-1].requested_by == Contact(**OFFICER)
    scheduled, opened = await events_of(session_id)
    assert isinstance(scheduled, SessionScheduled)
    assert isinstance(opened, SessionOpened)
    assert (scheduled.format, scheduled.organiser, scheduled.capacity) == ("bespoke", "bretagne", 20)
    assert (scheduled.minimum, scheduled.audience.sirets) == (12, (SIRET,))
    assert scheduled.starts_at - scheduled.enrolment_closes_at in (
        timedelta(days=15),
        timedelta(days=15, hours=1),
        timedelta(days=15, hours=-1),
    )
    problem(await ask("GET", f"/sessions/{session_id}"), 404)
    assert (await ask("GET", f"/sessions/{session_id}", by=BRETAGNE)).status_code == 200
    problem(await reply(ask, request_id, "declined"), 409)


async def test_a_request_heard_twice_is_one_request(
    a_bespoke_offer: str, ask: Ask, database: Database
) -> None:
    request_id = await hear(database, a_bespoke_request())
    await reply(ask, request_id, "declined")
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM inbox"))  # as after ninety days
    await hear(database, a_bespoke_request(), request_id)
    (only,) = (await ask("GET", "/bespoke-requests", by=BRETAGNE)).json()["items"]
    assert only["state"] == "declined"


async def test_two_portals_requests_of_one_id_are_two_each_answered_to_its_own(
    ask: Ask, database: Database, events_of: EventsOf
) -> None:
    ce_id = uuid4()
    for source in ("/portals/iel", "/portals/ouest", "/portals/iel"):
        await take(router, database, [replace(received(a_bespoke_request(), ce_id), source=source)])
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM inbox"))  # as after ninety days
    again = replace(received(a_bespoke_request(), ce_id), source="/portals/ouest")
    await take(router, database, [again])

    items = (await ask("GET", "/bespoke-requests", by=BRETAGNE)).json()["items"]
    assert {item["request_id"] for item in items} == {str(ce_id)}
    first, second = sorted((item["bespoke_id"] for item in items), key=lambda known: known != str(ce_id))
    assert first == str(ce_id)
    await reply(ask, UUID(second), "declined")
    [answered] = [event for event in await events_of(SIRET) if isinstance(event, BespokeRequestAnswered)]
    assert (answered.request_id, answered.request_source) == (ce_id, "/portals/ouest")
    states = [
        (await ask("GET", f"/bespoke-requests/{each}", by=BRETAGNE)).json()["state"]
        for each in (first, second)
    ]
    assert states == ["received", "declined"]


async def test_nominations_are_not_the_catalogues(database: Database) -> None:
    nominated = TraineesNominated(
        siret=SIRET, session_id=uuid4(), agents=(an_agent(),), nominated_by=Contact(**OFFICER)
    )
    await hear(database, nominated)
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM dead_letter")) == 0


async def test_a_request_is_seen_and_answered_by_its_delegation_alone(
    a_bespoke_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request_id = await hear(database, a_bespoke_request())
    path = f"/bespoke-requests/{request_id}"
    for by, status in ((None, 401), (PORTAL, 403), (CORSE, 404), (BRETAGNE, 200), (ADMIN, 200)):
        assert (await ask("GET", path, by=by)).status_code == status
    assert (await ask("GET", "/bespoke-requests", by=CORSE)).json()["items"] == []
    before = await events_of()
    problem(await reply(ask, request_id, "declined", by=CORSE), 404)
    assert await events_of() == before


async def test_two_advisors_do_not_answer_over_each_other(
    a_bespoke_offer: str, ask: Ask, database: Database
) -> None:
    request_id = await hear(database, a_bespoke_request())
    read = (await ask("GET", f"/bespoke-requests/{request_id}", by=BRETAGNE)).headers["etag"]
    assert (await reply(ask, request_id, "proposed", if_match=read)).status_code == 200
    problem(await reply(ask, request_id, "declined", if_match=read), 412)


async def test_requests_come_the_newest_first_a_page_at_a_time_by_state(
    a_bespoke_offer: str, ask: Ask, database: Database
) -> None:
    ids = [str(await hear(database, a_bespoke_request(authority=f"Ville n° {n}"))) for n in range(5)]
    await reply(ask, UUID(ids[0]), "declined")
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await ask("GET", "/bespoke-requests", by=BRETAGNE, limit=2, **cursor)).json()
        listed += [item["request_id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert listed == ids[::-1]
    declined = (await ask("GET", "/bespoke-requests", by=BRETAGNE, state="declined")).json()["items"]
    assert [item["request_id"] for item in declined] == ids[:1]


async def test_an_agreement_on_an_impossible_session_changes_nothing(
    a_bespoke_offer: str, ask: Ask, database: Database, events_of: EventsOf
) -> None:
    request_id = await hear(database, a_bespoke_request())
    await reply(ask, request_id, "proposed")
    before = await events_of()
    for session, field in (
        (a_session(offer_id="rien"), "body.session.offer_id"),
        (a_session(venue=None), "body.session.venue"),
        (a_session(ends_at=in_days(2).isoformat()), "body.session.ends_at"),
        (a_session(organiser="corse"), "body.session.organiser"),
        (None, "body.session"),
    ):
        assert field in problem(await reply(ask, request_id, "agreed", session=session), 422)
    assert await events_of() == before
    shown = (await ask("GET", f"/bespoke-requests/{request_id}", by=BRETAGNE)).json()
    assert (shown["state"], shown["session_id"]) == ("proposed", None)


async def test_who_asked_is_forgotten_a_year_after_the_last_answer_or_the_receipt_and_not_before(
    a_bespoke_offer: str, ask: Ask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, still_open, unread = [await hear(database, a_bespoke_request()) for _ in range(3)]
    await reply(ask, settled, "declined")
    await reply(ask, still_open, "proposed")
    settings = SimpleNamespace(
        catalogue_bespoke_kept_days=365, catalogue_audit_kept_days=1826, read_log_kept_days=1826
    )

    async def requester(request_id: UUID) -> Any:
        shown = (await ask("GET", f"/bespoke-requests/{request_id}", by=BRETAGNE)).json()
        return shown["requester"] or (shown["message"], shown["answer"], shown["advisor"])

    for days, known in ((364, OFFICER), (366, (None, None, None))):
        async with time_is(monkeypatch, clock.now() + timedelta(days=days)):
            await end_old_rows(database, REGISTER, settings)
        assert await requester(settled) == known
        assert await requester(still_open) == known
        assert await requester(unread) == known


async def test_an_answer_and_a_resource_leave_their_line(
    a_bespoke_offer: str, ask: Ask, database: Database
) -> None:
    request_id = await hear(database, a_bespoke_request())
    await reply(ask, request_id, "declined")
    resource = {"kind": "dossier", "title": "Un dossier", "url": "https://dossier.example/1"}
    published = (await ask("POST", "/resources", by=BRETAGNE, **resource)).json()
    async with database.quiet_transaction() as tx:
        query = "SELECT subject::text, actor, action, changes FROM audit_log ORDER BY id"
        answered, publication = (await tx.execute(text(query))).all()
    assert (answered.subject, answered.actor, answered.action) == (str(request_id), BRETAGNE, "answered")
    assert answered.changes == {"state": ["received", "declined"]}
    assert (publication.subject, publication.actor, publication.action) == (
        published["resource_id"],
        BRETAGNE,
        "published",
    )
    assert OFFICER["email"] not in str(answered.changes)


async def test_an_audience_names_real_sirets(look: Ask) -> None:
    draft = {
        "offer_id": "ia-et-territoires",
        "enrolment_opens_at": in_days(1).isoformat(),
        "starts_at": in_days(40).isoformat(),
        "ends_at": in_days(41).isoformat(),
        "audience": {"sirets": ["21350238800018"]},
    }
    assert problem(await look("POST", "/sessions", by=BRETAGNE, **draft), 422) == ["body.audience.sirets.0"]
