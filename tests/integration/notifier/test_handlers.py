"""From events to the queue: each event is mailed once, whatever comes twice, late or out of order."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.event import listen, remove

from services.notifier import handlers, letters
from services.notifier.service import mails, news
from services.notifier.store import enrolments, fan_outs, replays, sessions
from services.notifier.tables import MailState
from shared import clock
from shared.database import Database
from shared.events.catalogue import (
    ReplayPublished,
    ResourceWithdrawn,
    SessionCancelled,
    SessionChanged,
    SessionScheduled,
)
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, EnrolmentRefused, EnrolmentWithdrawn
from shared.events.topics import Topic
from tests.integration.notifier.conftest import Notifier
from tests.support.consuming import received
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent, at


def scheduled(**changes: Any) -> SessionScheduled:
    return SessionScheduled.model_validate(a_session(**changes).model_dump())


def enrolled(number: int, **changes: Any) -> AgentEnrolled:
    agent = an_agent(agent_id=f"A-{number}", email=f"a{number}@ville.example")
    event = a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent, **changes)
    assert isinstance(event, AgentEnrolled)
    return event


def a_replay(**changes: Any) -> ReplayPublished:
    fields = {
        "resource_id": uuid4(),
        "version": 1,
        "title": "Replay : IA et droit",
        "url": "https://replay.example/1",
        "published_at": at("2025-05-01T10:00+02:00"),
        "organiser": "bretagne",
        "session_id": SESSION_ID,
    }
    return ReplayPublished.model_validate(fields | changes)


async def recipients(notifier: Notifier, template: str) -> list[str]:
    return sorted(row.recipient for row in await notifier.rows(where=f"template = '{template}'"))


async def test_an_event_that_comes_twice_mails_once(notifier: Notifier) -> None:
    event = enrolled(1)
    (event_id,) = await notifier.hear(event)
    await notifier.hear(event, event, ids=[event_id, uuid4()])
    assert len(await notifier.rows()) == 1


@pytest.mark.parametrize("issuers", [("iel", "martinique"), ("", "iel")], ids=["two", "one of before"])
async def test_two_issuers_same_identifier_are_two_agents_with_a_letter_each(
    notifier: Notifier, issuers: tuple[str, str]
) -> None:
    agents = [
        an_agent(agent_id="1001", issuer=issuer, email=f"agent@{issuer or 'before'}.example")
        for issuer in issuers
    ]
    await notifier.hear(scheduled())
    await notifier.hear(*(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent) for agent in agents))
    await notifier.hear(a_replay())

    await notifier.deliver()

    letters = [(mail.recipient, mail.message["Subject"]) for mail in notifier.relay.taken]
    assert sorted(to for to, _ in letters) == sorted([agent.email for agent in agents] * 2)
    assert len(set(letters)) == 4, "the confirmation and the replay, each to both"
    sent = [json.loads(data) for name, data in await notifier.published() if name.endswith("EmailSent.v1")]
    letters_sent = sorted((event["issuer"], event["agent_id"], event["template"]) for event in sent)
    templates = ("enrolment-confirmed", "replay-available")
    assert letters_sent == [(issuer, "1001", template) for issuer in issuers for template in templates]
    for event in sent:
        (row,) = await notifier.rows(where=f"mail_id = '{event['mail_id']}'")
        assert row.address == f"agent@{event['issuer'] or 'before'}.example"


async def test_the_queue_itself_refuses_a_second_mail_for_an_event(notifier: Notifier) -> None:
    """Even if the inbox were emptied."""
    event = enrolled(1)
    (event_id,) = await notifier.hear(event)
    await notifier.change("DELETE FROM inbox")
    await notifier.change("DELETE FROM enrolment")
    await notifier.hear(event, ids=[event_id])
    assert len(await notifier.rows()) == 1


async def test_a_decision_that_overtakes_its_session_waits_for_it(notifier: Notifier) -> None:
    await notifier.hear(enrolled(1))
    assert await notifier.deliver() == 0
    assert await notifier.states() == ["pending"]
    await notifier.hear(scheduled())
    assert await notifier.deliver() == 1
    assert await notifier.states() == ["sent"]


async def test_mails_that_wait_for_their_session_hold_up_no_other(notifier: Notifier) -> None:
    await notifier.hear(scheduled())
    await notifier.hear(*(enrolled(n, session_id=uuid4()) for n in range(300)))
    await notifier.hear(enrolled(1000))
    assert await notifier.deliver() == 1


async def test_a_refusal_for_an_unknown_session_waits_for_nothing(notifier: Notifier) -> None:
    await notifier.hear(a_decision(EnrolmentRefused, reason="unknown_session"))
    assert await notifier.deliver() == 1


async def test_a_letter_shows_the_session_as_it_is_when_it_is_sent(notifier: Notifier) -> None:
    await notifier.hear(scheduled())
    await notifier.hear(enrolled(1))
    changed = a_session(version=3, venue="Salle neuve")
    await notifier.hear(SessionChanged.model_validate(changed.model_dump()))
    await notifier.hear(
        SessionChanged.model_validate(a_session(version=2, venue="Salle vieille").model_dump())
    )
    await notifier.deliver()
    body = notifier.relay.taken[0].message.get_body(("plain",))
    assert body is not None
    assert "Salle neuve" in body.get_content()


async def test_a_promotion_sends_both_letters_in_one_batch(notifier: Notifier) -> None:
    waitlisted = a_decision(AgentWaitlisted, version=1, position=1)
    await notifier.hear(waitlisted, a_decision(AgentEnrolled, version=2, from_waiting_list=True))
    assert sorted(row.template for row in await notifier.rows()) == ["seat-assigned", "waitlisted"]


async def test_a_cancelled_session_mails_each_enrolment_and_nobody_else(notifier: Notifier) -> None:
    await notifier.hear(scheduled())
    seats = [enrolled(n) for n in range(3)]
    await notifier.hear(*seats)
    await notifier.hear(
        SessionCancelled.model_validate(a_session(version=2, status="cancelled").model_dump())
    )
    assert len(await notifier.rows()) == 3
    await notifier.hear(
        *(
            EnrolmentWithdrawn.model_validate(
                seat.model_dump() | {"version": 2, "by": "session_cancelled", "request_id": None}
            )
            for seat in seats
        )
    )
    assert await recipients(notifier, "session-cancelled") == ["A-0", "A-1", "A-2"]


async def test_a_replay_is_mailed_to_everyone_enrolled_and_to_nobody_else(notifier: Notifier) -> None:
    await notifier.hear(scheduled())
    left = enrolled(3)
    await notifier.hear(
        enrolled(1),
        enrolled(2),
        left,
        EnrolmentWithdrawn.model_validate(left.model_dump() | {"version": 2}),
        a_decision(AgentWaitlisted, enrolment_id=uuid4(), position=1, agent=an_agent(agent_id="A-4")),
        enrolled(5, session_id=uuid4()),
    )
    await notifier.hear(a_replay())
    assert await recipients(notifier, "replay-available") == ["A-1", "A-2"]
    await notifier.deliver()
    (row,) = await notifier.rows(where="template = 'replay-available' AND recipient = 'A-1'")
    (mail,) = [taken for taken in notifier.relay.taken if taken.message_id == row.message_id]
    assert mail.message["Subject"] == "Le replay est disponible : « Replay : IA et droit »"
    assert "https://replay.example/1" in mail.content.decode().replace("=\r\n", "")


async def test_a_corrected_replay_mails_nobody_again(notifier: Notifier) -> None:
    await notifier.hear(enrolled(1))
    replay = a_replay()
    await notifier.hear(replay)
    await notifier.hear(replay.model_copy(update={"version": 2, "title": "Corrigé"}))
    assert await recipients(notifier, "replay-available") == ["A-1"]


async def test_letters_still_to_be_sent_have_the_address_that_a_replay_was_corrected_to(
    notifier: Notifier,
) -> None:
    await notifier.hear(enrolled(1), enrolled(2))
    replay = a_replay()
    await notifier.hear(replay)
    await notifier.change("UPDATE mail SET state = 'sent' WHERE recipient = 'A-1'")
    waiting = a_replay(resource_id=uuid4())
    await notifier.take(waiting)  # its fan-out has not begun
    right = {"version": 3, "url": "https://replay.example/right"}
    await notifier.take(replay.model_copy(update=right), waiting.model_copy(update=right))
    await notifier.take(replay.model_copy(update={"version": 2, "url": "https://replay.example/late"}))
    await notifier.hear(enrolled(3))
    rows = await notifier.rows(
        "recipient, event_id, details ->> 'replay_url' AS url, created_at, mail_id",
        where="template = 'replay-available'",
    )
    assert len(rows) == 6
    old = [(row.recipient, row.url) for row in rows if row.url != "https://replay.example/right"]
    assert old == [("A-1", "https://replay.example/1")], "it has left"


async def test_letters_about_a_replay_that_was_withdrawn_are_not_sent_nor_written(notifier: Notifier) -> None:
    await notifier.hear(scheduled())
    await notifier.hear(enrolled(1), enrolled(2))
    replay, waiting = a_replay(), a_replay(resource_id=uuid4())
    await notifier.hear(replay)
    await notifier.take(waiting)  # its fan-out has not begun
    await notifier.change("UPDATE mail SET state = 'sent' WHERE recipient = 'A-1'")
    gone = [
        ResourceWithdrawn(resource_id=each.resource_id, version=2, withdrawn_at=clock.now())
        for each in (replay, waiting)
    ]
    await notifier.take(*gone)
    await notifier.hear(enrolled(3))  # of whom it is heard later
    await notifier.deliver()
    rows = await notifier.rows("recipient, state", where="template = 'replay-available'")
    assert {(row.recipient, row.state) for row in rows} == {("A-1", "sent"), ("A-2", "superseded")}
    (left,) = await notifier.rows("mail_id", where="template = 'replay-available' AND state = 'sent'")
    async with notifier.database.transaction() as tx:
        again = await mails.resend(tx, left.mail_id, actor="assistance")
    await notifier.deliver()
    (copy,) = await notifier.rows("state", where=f"mail_id = '{again}'")
    assert copy.state == "superseded"
    await notifier.hear(replay.model_copy(update={"version": 3}))  # which nobody publishes
    assert len(await recipients(notifier, "replay-available")) == 3


async def test_a_withdrawal_that_an_older_version_has_passed_over_is_taken_in_by_a_rebuild(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled())
    await notifier.hear(enrolled(1))
    replay, stays = a_replay(), a_replay(resource_id=uuid4())
    await notifier.hear(replay, stays)
    gone = ResourceWithdrawn(resource_id=replay.resource_id, version=2, withdrawn_at=clock.now())
    latest = {Topic.CATALOGUE_SESSIONS: [], Topic.CATALOGUE_RESOURCES: [received(gone), received(stays)]}
    for _ in range(2):
        async with notifier.database.transaction() as tx:
            await handlers.projections.restore(tx, latest)
    async with notifier.database.quiet_transaction() as tx:
        (_, replays_compared) = await handlers.projections.compare(tx, latest)
    assert list(replays_compared.differences()) == []
    await notifier.deliver()
    rows = await notifier.rows("state", where="template = 'replay-available'")
    assert sorted(row.state for row in rows) == ["sent", "superseded"]


async def test_an_enrolment_that_is_read_after_the_replay_gets_the_letter_too(notifier: Notifier) -> None:
    """The two topics have no common order."""
    await notifier.hear(a_replay())
    await notifier.hear(enrolled(1))
    assert await recipients(notifier, "replay-available") == ["A-1"]


async def test_a_replay_and_an_enrolment_at_the_same_time_miss_nobody(notifier: Notifier) -> None:
    sessions: list[UUID] = [uuid4() for _ in range(25)]
    for number, session_id in enumerate(sessions):
        await asyncio.gather(
            notifier.hear(enrolled(number, session_id=session_id)),
            notifier.hear(a_replay(session_id=session_id)),
        )
    assert len(await recipients(notifier, "replay-available")) == 25


async def test_without_the_lock_a_replay_and_an_enrolment_at_once_would_miss_each_other(
    notifier: Notifier,
) -> None:
    """The race is real: both transactions open, neither sees the other's row."""
    event, replay = enrolled(1), a_replay()
    async with notifier.database.quiet_transaction() as tx, notifier.database.quiet_transaction() as other:
        await enrolments.save(tx, {event.enrolment_id: (received(event), letters.EnrolmentState.ENROLLED)})
        await replays.announce_late(tx, [event.enrolment_id])
        (saved,) = await replays.save(other, news.replay_letters([received(replay)]))
        await fan_outs.store(other, [saved.announcement])
    assert await recipients(notifier, "replay-available") == []


async def test_a_fan_out_is_one_statement_for_a_thousand_agents(notifier: Notifier) -> None:
    await notifier.hear(scheduled())
    await notifier.change(
        "INSERT INTO enrolment (enrolment_id, version, session_id, standing, issuer, agent_id, address, "
        "given_name, family_name, event_id) SELECT gen_random_uuid(), 1, :session_id, 'enrolled', 'iel', "
        "'A-' || n, 'a' || n || '@ville.example', 'Zoé', 'Durand', gen_random_uuid() "
        "FROM generate_series(1, 3000) AS n",
        session_id=SESSION_ID,
    )
    engine, queued = notifier.database._engine.sync_engine, list[str]()

    def keep(*call: Any) -> None:
        if "INSERT INTO mail " in call[2]:
            queued.append(call[2])

    listen(engine, "before_cursor_execute", keep)
    await notifier.hear(a_replay())
    remove(engine, "before_cursor_execute", keep)
    async with notifier.database.quiet_transaction() as tx:
        assert (await mails.counts(tx))[MailState.PENDING] == 3000
    assert len(queued) == 3


async def test_an_old_decision_redriven_later_mails_nothing(notifier: Notifier) -> None:
    first = enrolled(1)
    await notifier.hear(EnrolmentWithdrawn.model_validate(first.model_dump() | {"version": 2}))
    await notifier.hear(first)
    assert [row.template for row in await notifier.rows()] == ["withdrawn"]


async def test_the_topics_that_it_listens_to() -> None:
    topics = handlers.router.subscriptions
    assert set(topics) == {
        Topic.AGENTS_ERASED,
        Topic.CATALOGUE_SESSIONS,
        Topic.CATALOGUE_RESOURCES,
        Topic.CATALOGUE_BESPOKE,
        Topic.CATALOGUE_TRAINERS,
        Topic.ENROLMENT_DECISIONS,
        Topic.ENROLMENT_NOTICES,
        Topic.PORTAL_AGENTS,
    }


async def test_a_refusal_names_other_sessions_of_the_offer_that_are_open(notifier: Notifier) -> None:
    now = clock.now()
    window = {"enrolment_opens_at": now - timedelta(days=1), "enrolment_closes_at": now + timedelta(days=1)}
    closed = {"enrolment_opens_at": now - timedelta(days=9), "enrolment_closes_at": now - timedelta(days=1)}
    await notifier.hear(
        scheduled(),
        scheduled(session_id=uuid4(), title="Ailleurs", organiser="corse", **window),
        scheduled(session_id=uuid4(), title="Ici aussi", **window),
        scheduled(session_id=uuid4(), title="Trop tard", **closed),
        scheduled(session_id=uuid4(), title="Annulée", status="cancelled", **window),
        scheduled(session_id=uuid4(), title="Autre offre", offer_id="autre", **window),
        scheduled(session_id=uuid4(), title="Sans place", capacity=0, **window),
        scheduled(session_id=uuid4(), title="Sur mesure", format="bespoke", **window),
        scheduled(session_id=uuid4(), title="Nantes", audience={"sirets": ["21440109300015"]}, **window),
    )
    await notifier.hear(a_decision(EnrolmentRefused, reason="session_full"))
    await notifier.deliver()
    body = notifier.relay.taken[0].message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert text.index("Ici aussi") < text.index("Ailleurs")
    assert not any(title in text for title in ("Trop tard", "Annulée", "Autre offre", "Sans place"))
    assert not any(title in text for title in ("Sur mesure", "Nantes")), "told one authority of another's"


async def test_other_sessions_of_an_offer_are_found_without_reading_all(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        query = text(f"EXPLAIN {sessions._ALTERNATIVES}")
        plan = "\n".join(await tx.scalars(query, {"ids": [uuid4()], "most": 3}))
    assert "ix_session_offer" in plan
    assert "Seq Scan" not in plan
