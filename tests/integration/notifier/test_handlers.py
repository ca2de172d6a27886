"""From events to the queue: each event is mailed once, whatever comes twice, late or out of order."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifier import handlers, jobs, letters
from services.notifier.service import mails, news
from services.notifier.store import enrolments, fan_outs, replays, sessions
from shared import clock
from shared.database import Database
from shared.events.catalogue import ResourceWithdrawn
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, EnrolmentRefused, SeatOffered
from shared.events.notifier import EmailSent
from shared.events.topics import Topic
from tests.integration.notifier.conftest import Notifier, queue_many
from tests.integration.notifier.events import (
    a_session_replay,
    cancelled,
    changed,
    enrolled,
    scheduled,
    withdrawn,
)
from tests.support.consuming import received
from tests.support.statements import plan_of, statements
from tests.unit.notifier.builders import a_decision, an_agent
from tests.unit.notifier.reading import body

REPLAY = "replay-available"


async def test_an_event_that_comes_twice_mails_once(notifier: Notifier) -> None:
    event = enrolled(1)
    (event_id,) = await notifier.hear(event)
    await notifier.hear(event, event, ids=[event_id, uuid4()])
    assert len(await notifier.rows()) == 1


async def test_the_queue_itself_refuses_a_second_mail_for_an_event(notifier: Notifier) -> None:
    """Even if the inbox were emptied."""
    event = enrolled(1)
    (event_id,) = await notifier.hear(event)
    await notifier.change("DELETE FROM inbox")
    await notifier.change("DELETE FROM enrolment")
    await notifier.hear(event, ids=[event_id])
    assert len(await notifier.rows()) == 1


async def test_an_old_decision_redriven_later_mails_nothing(notifier: Notifier) -> None:
    first = enrolled(1)
    await notifier.hear(withdrawn(first))
    await notifier.hear(first)
    assert [row.template for row in await notifier.rows()] == ["withdrawn"]


async def test_two_issuers_same_identifier_are_two_agents_with_a_letter_each(known: Notifier) -> None:
    issuers = ("", "iel", "martinique")
    for issuer in issuers:
        agent = an_agent(agent_id="1001", issuer=issuer, email=f"agent@{issuer or 'before'}.example")
        await known.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    await known.hear(a_session_replay())
    await known.deliver()
    sent = sorted((event["issuer"], event["template"]) for event in await known.events(EmailSent))
    assert sent == [(issuer, template) for issuer in issuers for template in ("enrolment-confirmed", REPLAY)]
    for row in await known.rows():
        assert row.address == f"agent@{row.issuer or 'before'}.example"


async def test_a_decision_that_overtakes_its_session_waits_for_it(notifier: Notifier) -> None:
    await notifier.hear(enrolled(1))
    assert (await notifier.deliver(), await notifier.states()) == (0, ["pending"])
    await notifier.hear(scheduled())
    assert (await notifier.deliver(), await notifier.states()) == (1, ["sent"])


async def test_a_decision_that_overtakes_a_change_of_its_session_waits_for_it(known: Notifier) -> None:
    await known.hear(enrolled(1, session_version=3))
    assert (await known.deliver(), await known.states()) == (0, ["pending"])
    await known.hear(changed(version=3, venue="Salle neuve"))
    assert (await known.deliver(), await known.states()) == (1, ["sent"])
    assert "Salle neuve" in body(known.relay.taken[0].message, "text/plain")


async def test_mails_that_wait_for_their_session_hold_up_no_other(known: Notifier) -> None:
    await known.hear(*(enrolled(n, session_id=uuid4()) for n in range(110)))  # one claim takes a hundred
    await known.hear(enrolled(1000))
    assert await known.deliver() == 1


async def test_a_letter_shows_the_session_as_it_is_when_it_is_sent(queued: Notifier) -> None:
    await queued.hear(changed(version=3, venue="Salle neuve"))
    await queued.hear(changed(version=2, venue="Salle vieille"))
    await queued.deliver()
    assert "Salle neuve" in body(queued.relay.taken[0].message, "text/plain")


async def test_a_cancelled_session_mails_each_enrolment_once(known: Notifier) -> None:
    seats = [enrolled(n) for n in range(3)]
    await known.hear(*seats)
    await known.hear(cancelled())
    assert len(await known.rows()) == 3
    await known.hear(*(withdrawn(seat, by="session_cancelled", request_id=None) for seat in seats))
    assert await known.addressees("session-cancelled") == ["A-0", "A-1", "A-2"]


async def test_a_replay_is_mailed_to_everyone_enrolled_once_and_to_nobody_else(known: Notifier) -> None:
    left, replay = enrolled(3), a_session_replay()
    waits = a_decision(AgentWaitlisted, enrolment_id=uuid4(), position=1, agent=an_agent(agent_id="A-4"))
    await known.hear(enrolled(1), left, withdrawn(left), waits, enrolled(5, session_id=uuid4()))
    await known.hear(replay)
    await known.hear(replay.model_copy(update={"version": 2, "title": "Corrigé"}))
    await known.hear(enrolled(2))  # the two topics have no common order
    assert await known.addressees(REPLAY) == ["A-1", "A-2"]


async def test_letters_still_to_be_sent_have_the_address_that_a_replay_was_corrected_to(
    notifier: Notifier,
) -> None:
    await notifier.hear(enrolled(1), enrolled(2))
    replay, waiting = a_session_replay(), a_session_replay()
    await notifier.hear(replay)
    await notifier.change("UPDATE mail SET state = 'sent' WHERE recipient = 'A-1'")
    await notifier.take(waiting)  # its fan-out has not begun
    right = {"version": 3, "url": "https://replay.example/right"}
    await notifier.take(replay.model_copy(update=right), waiting.model_copy(update=right))
    await notifier.take(replay.model_copy(update={"version": 2, "url": "https://replay.example/late"}))
    await notifier.hear(enrolled(3))
    rows = await notifier.rows(where=f"template = '{REPLAY}'")
    old = [(row.recipient, row.state) for row in rows if row.details["replay_url"] != right["url"]]
    assert (len(rows), old) == (6, [("A-1", "sent")])


async def test_letters_about_a_replay_that_was_withdrawn_are_not_sent_nor_written(known: Notifier) -> None:
    await known.hear(enrolled(1), enrolled(2))
    replay, waiting = a_session_replay(), a_session_replay()
    await known.hear(replay)
    await known.take(waiting)  # its fan-out has not begun
    await known.change("UPDATE mail SET state = 'sent' WHERE recipient = 'A-1'")
    await known.take(gone(replay), gone(waiting))
    await known.hear(enrolled(3))  # of whom it is heard later
    (left,) = await known.rows(where=f"template = '{REPLAY}' AND state = 'sent'")
    async with known.database.transaction() as tx:
        await mails.resend(tx, left.mail_id, actor="assistance")
    await known.deliver()
    await known.hear(replay.model_copy(update={"version": 3}))  # which nobody publishes
    rows = sorted((row.recipient, row.state) for row in await known.rows(where=f"template = '{REPLAY}'"))
    assert rows == [("A-1", "sent"), ("A-1", "superseded"), ("A-2", "superseded")]


def gone(resource: Any) -> ResourceWithdrawn:
    return ResourceWithdrawn(resource_id=resource.resource_id, version=2, withdrawn_at=clock.now())


async def test_a_withdrawal_that_an_older_version_has_passed_over_is_taken_in_by_a_rebuild(
    known: Notifier,
) -> None:
    await known.hear(enrolled(1))
    replay, stays = a_session_replay(), a_session_replay()
    await known.hear(replay, stays)
    resources = [received(gone(replay)), received(stays)]
    latest = {Topic.CATALOGUE_SESSIONS: [], Topic.CATALOGUE_RESOURCES: resources}
    for _ in range(2):
        async with known.database.transaction() as tx:
            await handlers.projections.restore(tx, latest)
    async with known.database.quiet_transaction() as tx:
        (_, replays_compared) = await handlers.projections.compare(tx, latest)
    assert list(replays_compared.differences()) == []
    await known.deliver()
    assert sorted(row.state for row in await known.rows(where=f"template = '{REPLAY}'")) == [
        "sent",
        "superseded",
    ]


async def test_a_replay_and_an_enrolment_at_the_same_time_miss_nobody(notifier: Notifier) -> None:
    for number in range(10):
        session_id = uuid4()
        await asyncio.gather(
            notifier.hear(enrolled(number, session_id=session_id)),
            notifier.hear(a_session_replay(session_id=session_id)),
        )
    assert len(await notifier.addressees(REPLAY)) == 10


async def test_without_the_lock_a_replay_and_an_enrolment_at_once_would_miss_each_other(
    notifier: Notifier,
) -> None:
    """The race is real: both transactions open, neither sees the other's row."""
    event, replay = enrolled(1), a_session_replay()
    async with notifier.database.quiet_transaction() as tx, notifier.database.quiet_transaction() as other:
        await enrolments.save(tx, {event.enrolment_id: (received(event), letters.EnrolmentState.ENROLLED)})
        await replays.announce_late(tx, [event.enrolment_id])
        (saved,) = await replays.save(other, news.replay_letters([received(replay)]))
        await fan_outs.store(other, [saved.announcement])
    assert await notifier.addressees(REPLAY) == []


async def test_a_fan_out_is_one_statement_for_each_slice(
    known: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SLICE", 10)
    await queue_many(known, 30)
    with statements() as asked:
        await known.hear(a_session_replay())
    queued = [statement for statement in asked if "INSERT INTO mail " in statement.sql]
    assert (len(queued), len(await known.addressees(REPLAY))) == (3, 30)


async def test_a_refusal_names_the_nearest_open_sessions_of_the_offer_that_have_a_seat(
    known: Notifier,
) -> None:
    now = clock.now()
    window = {"enrolment_opens_at": now - timedelta(days=1), "enrolment_closes_at": now + timedelta(days=1)}
    closed = {"enrolment_closes_at": now - timedelta(days=1)}
    full, waited_for = uuid4(), uuid4()
    named: list[dict[str, Any]] = [
        {"title": "Tout près", "venue": "Cité, Nantes", "organiser": "pays-de-la-loire", "capacity": 1},
        {"title": "Dans la même délégation", "venue": "Mairie, Brest"},
        {"title": "À distance", "venue": None, "join_url": "https://visio.example/ia", "capacity": None},
    ]
    unnamed: list[dict[str, Any]] = [
        {"title": "Trop tard", **closed},
        {"title": "Annulée", "status": "cancelled"},
        {"title": "Autre offre", "offer_id": "autre"},
        {"title": "Sans place", "capacity": 0},
        {"title": "Complète", "session_id": full, "capacity": 2},
        {"title": "Attendue", "session_id": waited_for, "capacity": 1},
        {"title": "Trop loin", "organiser": "corse", "venue": None},
        {"title": "Sur mesure", "format": "bespoke"},  # one authority's
        {"title": "Pour une collectivité", "audience": {"sirets": ["21440109300015"]}},
    ]
    await known.hear(
        *(scheduled(**{"session_id": uuid4()} | window | fields) for fields in (*reversed(named), *unnamed))
    )
    await known.hear(
        enrolled(1, session_id=full),
        a_decision(SeatOffered, session_id=full, enrolment_id=uuid4(), hold_until=now),
        a_decision(AgentWaitlisted, session_id=waited_for, enrolment_id=uuid4(), position=1),
    )
    await known.hear(a_decision(EnrolmentRefused, reason="session_full"))
    await known.deliver()
    [letter] = [
        letter
        for taken in known.relay.taken
        if "D’AUTRES DATES" in (letter := body(taken.message, "text/plain"))
    ]
    titles = [str(other["title"]) for other in named]
    assert sorted(titles, key=letter.index) == titles
    assert [other["title"] for other in unnamed if other["title"] in letter] == []


async def test_other_sessions_of_an_offer_are_found_without_reading_all(database: Database) -> None:
    plan = await plan_of(database, sessions._ALTERNATIVES, {"ids": [uuid4()]})
    assert "ix_session_offer" in plan
    assert "Seq Scan" not in plan
