"""Decisions about enrolments: where each agent stands, and the letters that this calls for."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TypeGuard
from uuid import UUID

from services.notifier import letters
from services.notifier.letters import Letter, ScheduledLetter, Template
from services.notifier.service import corrections
from services.notifier.store import enrolments, fan_outs, queue, replays, sessions
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, Decision

EventOfAgent = Decision | AgentDetailsCorrected
"""What enrolment publishes about an agent, in order."""


async def take_over(tx: Transaction, received: Sequence[Received[EventOfAgent]], now: datetime) -> None:
    """Take over decisions, and corrections of what they say of agents, in this order."""
    decisions: list[Received[Decision]] = []
    for record in received:
        if _is_decision(record):
            decisions.append(record)
        elif isinstance(record.event, AgentDetailsCorrected):
            await update(tx, decisions, now)
            decisions = []
            await corrections.apply(tx, record.event)
    await update(tx, decisions, now)


def _is_decision(record: Received[EventOfAgent]) -> TypeGuard[Received[Decision]]:
    return isinstance(record.event, Decision)


async def update(tx: Transaction, received: Sequence[Received[Decision]], now: datetime) -> None:
    """Queue the letters that decisions call for, and keep where everyone stands."""
    if not received:
        return
    enrolled = [decision.event for decision in received if isinstance(decision.event, AgentEnrolled)]
    await sessions.lock(tx, {event.session_id for event in enrolled}, exclusive=False)
    before = await enrolments.lock(tx, {decision.event.enrolment_id for decision in received})
    read = letters.read_decisions(before, [decision.event for decision in received])
    changed = {
        enrolment_id: (received[place], standing)
        for enrolment_id, (place, standing) in read.standings.items()
    }
    await enrolments.save(tx, changed)
    called_for = [(received[place], letter) for place, letter in read.letters]
    await queue.add(tx, await _without_useless(tx, called_for))
    seated = [decision for decision, _ in changed.values() if isinstance(decision.event, AgentEnrolled)]
    await _queue_what_has_begun(tx, seated, now)
    await replays.announce_late(tx, [event.enrolment_id for event in enrolled])


async def _without_useless(
    tx: Transaction, called_for: Sequence[tuple[Received[Decision], Letter]]
) -> list[tuple[Received[Decision], Letter]]:
    """The letters but those that ask what somebody thought of a session that has no link for it."""
    attended = {
        decision.event.session_id for decision, letter in called_for if letter.template is Template.EVALUATION
    }
    known = await sessions.find(tx, attended) if attended else {}
    unasked = {session_id for session_id, session in known.items() if session.evaluation_url is None}
    return [
        (decision, letter)
        for decision, letter in called_for
        if letter.template is not Template.EVALUATION or decision.event.session_id not in unasked
    ]


async def _queue_what_has_begun(tx: Transaction, seated: Sequence[Received[Decision]], now: datetime) -> None:
    """Queue what time has called for already, to those who had a seat by then: it may have passed them by.

    What is to come will find them. Where the session is not known yet, all of it is to come.
    """
    known = await sessions.find(tx, {decision.event.session_id for decision in seated})
    to_come = await fan_outs.to_come(tx, known)
    begun: defaultdict[ScheduledLetter, list[UUID]] = defaultdict(list)
    for decision in seated:
        session = known.get(decision.event.session_id)
        if session is not None:
            for planned in letters.scheduled_letters(session, decision.received_at, now):
                if (session.session_id, planned.template) not in to_come:
                    begun[planned].append(decision.event.enrolment_id)
    for planned, ids in begun.items():
        await fan_outs.queue_scheduled(
            tx,
            planned.template,
            ids,
            moment=planned.moment.isoformat(),
            due_at=planned.due_at,
            before=planned.moment,
        )
