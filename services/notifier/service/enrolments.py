from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeGuard
from uuid import UUID

from services.notifier import letters
from services.notifier.letters import Letter, LetterType, ScheduledLetter
from services.notifier.service import corrections, new_addresses
from services.notifier.store import corrections as kept_corrections
from services.notifier.store import enrolments, fan_outs, queue, replays, sessions
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.corrections import Correction, Corrections, changes
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, Decision, NewAddressGiven
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey

EventOfAgent = Decision | AgentDetailsCorrected | NewAddressGiven


async def process(tx: Transaction, received: Sequence[Received[EventOfAgent]], now: datetime) -> None:
    """An event read late, for example redriven, is corrected by newer corrections."""
    agents_and_moments = [(_agent_of(record.event), record.received_at) for record in received]
    made = [
        Correction(agent, moment, changes(record.event))
        for record, (agent, moment) in zip(received, agents_and_moments, strict=True)
        if isinstance(record.event, AgentDetailsCorrected)
    ]
    await kept_corrections.lock(tx, exclusive=bool(made))
    newer = await kept_corrections.newer(tx, Topic.ENROLMENT_DECISIONS, agents_and_moments)
    decisions: list[Received[Decision]] = []
    for record, (agent, moment) in zip(received, agents_and_moments, strict=True):
        if isinstance(record.event, AgentDetailsCorrected):
            await _process_decisions(tx, decisions, now)
            decisions = []
            still_right = corrections.still_right(record.event, agent, moment, newer)
            await corrections.apply(tx, record.id, still_right, moment)
        elif _is_new_address(record):
            if "email" not in newer.since(agent, moment):
                await new_addresses.write(tx, record)
        elif _is_decision(record):
            decisions.append(_as_corrected(record, newer) if newer else record)
    await _process_decisions(tx, decisions, now)
    await kept_corrections.keep(tx, Topic.ENROLMENT_DECISIONS, made)


def _agent_of(event: EventOfAgent) -> AgentKey:
    if isinstance(event, AgentDetailsCorrected):
        return AgentKey(event.issuer, event.agent_id)
    return event.agent.key


def _is_new_address(record: Received[EventOfAgent]) -> TypeGuard[Received[NewAddressGiven]]:
    return isinstance(record.event, NewAddressGiven)


def _is_decision(record: Received[EventOfAgent]) -> TypeGuard[Received[Decision]]:
    return isinstance(record.event, Decision)


def _as_corrected(decision: Received[Decision], newer: Corrections) -> Received[Decision]:
    agent = newer.apply(decision.event.agent, decision.received_at)
    return replace(decision, event=decision.event.model_copy(update={"agent": agent}))


async def _process_decisions(tx: Transaction, received: Sequence[Received[Decision]], now: datetime) -> None:
    if not received:
        return
    enrolled = [decision.event for decision in received if isinstance(decision.event, AgentEnrolled)]
    await sessions.lock(tx, {event.session_id for event in enrolled}, exclusive=False)
    before = await enrolments.lock(tx, {decision.event.enrolment_id for decision in received})
    read = letters.read_decisions(before, [decision.event for decision in received])
    changed = {enrolment_id: (received[place], state) for enrolment_id, (place, state) in read.states.items()}
    await enrolments.save(tx, changed)
    called_for = [(received[place], letter) for place, letter in read.letters]
    await queue.add(tx, await _without_useless(tx, called_for))
    seated = [decision for decision, _ in changed.values() if isinstance(decision.event, AgentEnrolled)]
    await _queue_what_has_begun(tx, seated, now)
    await replays.announce_late(tx, [event.enrolment_id for event in enrolled])


async def _without_useless(
    tx: Transaction, called_for: Sequence[tuple[Received[Decision], Letter]]
) -> list[tuple[Received[Decision], Letter]]:
    """Leave out evaluation letters without a link."""
    attended = {
        decision.event.session_id
        for decision, letter in called_for
        if letter.template is LetterType.EVALUATION
    }
    known = await sessions.find(tx, attended) if attended else {}
    unasked = {session_id for session_id, session in known.items() if session.evaluation_url is None}
    return [
        (decision, letter)
        for decision, letter in called_for
        if letter.template is not LetterType.EVALUATION or decision.event.session_id not in unasked
    ]


async def _queue_what_has_begun(tx: Transaction, seated: Sequence[Received[Decision]], now: datetime) -> None:
    """Scheduled letters that have not begun will find the enrolment themselves."""
    known = await sessions.find(tx, {decision.event.session_id for decision in seated})
    not_started = await fan_outs.not_started(tx, known)
    begun: defaultdict[ScheduledLetter, list[UUID]] = defaultdict(list)
    for decision in seated:
        session = known.get(decision.event.session_id)
        if session is not None:
            for planned in letters.scheduled_letters(session, decision.received_at, now):
                if (session.session_id, planned.template) not in not_started:
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
