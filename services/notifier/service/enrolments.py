"""Decisions about enrolments: where each agent stands, and the letters that this calls for, now and later."""

from collections.abc import Sequence
from datetime import datetime

from services.notifier import letters
from services.notifier.store import enrolments, queue, replays, sessions
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentEnrolled, Decision


async def update(tx: Transaction, received: Sequence[Received[Decision]], now: datetime) -> None:
    """Queue the letters that decisions call for, now and later, and keep where everyone stands."""
    enrolled = [decision.event for decision in received if isinstance(decision.event, AgentEnrolled)]
    await sessions.lock(tx, {event.session_id for event in enrolled}, exclusive=False)
    before = await enrolments.lock(tx, {decision.event.enrolment_id for decision in received})
    read = letters.read_decisions(before, [decision.event for decision in received])
    changed = {
        enrolment_id: (received[place], standing)
        for enrolment_id, (place, standing) in read.standings.items()
    }
    await enrolments.save(tx, changed)
    await queue.drop_scheduled(tx, before.keys() & changed.keys())
    await queue.add(tx, [(received[place], letter) for place, letter in read.letters])
    seated = [decision for decision, _ in changed.values() if isinstance(decision.event, AgentEnrolled)]
    known = await sessions.find(tx, {decision.event.session_id for decision in seated})
    await queue.add(
        tx,
        [
            (decision, letter)
            for decision in seated
            # Where the session is not known yet, its own event will schedule them.
            if (session := known.get(decision.event.session_id)) is not None
            for letter in letters.scheduled_letters(session, decision.received_at, now)
        ],
    )
    await replays.announce_late(tx, [event.enrolment_id for event in enrolled])
