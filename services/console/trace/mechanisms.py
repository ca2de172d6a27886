from dataclasses import dataclass, replace
from uuid import UUID

from services.console.asking import DEFINITIONS, ConsoleSettings, ServiceAnswer, ask_in_transaction
from services.console.findings import Finding, Mark
from services.console.trace.request_trace import RequestTrace, step
from services.notifier.definition import DEFINITION as NOTIFIER
from shared import clock
from shared.database import Transaction
from shared.messaging import dead_letters, inbox
from shared.messaging.lag import LATE
from shared.messaging.tables import DeadLetterRow, InboxRow


async def add_mechanisms(settings: ConsoleSettings, traced: RequestTrace) -> None:
    for answer in await ask_in_transaction(DEFINITIONS, settings, lambda tx: _heard(tx, traced.event_ids)):
        _add(traced, answer)


@dataclass(frozen=True, slots=True)
class Heard:
    rows: list[InboxRow]
    parked: list[DeadLetterRow]


async def _heard(tx: Transaction, ids: set[UUID]) -> Heard:
    parked = [letter for known in ids if (letter := await dead_letters.of_event(tx, known)) is not None]
    return Heard(await inbox.rows_of(tx, ids), parked)


def _add(traced: RequestTrace, answer: ServiceAnswer[Heard]) -> None:
    service = answer.service
    if answer.value is None:
        if service not in {line.about for line in traced.unanswered}:
            traced.unanswered.append(answer.finding("trace"))
        return
    for row in answer.value.rows:
        name, _ = traced.published.get(row.event_id, (row.topic, None))
        traced.steps.append(step(service, "heard", row.seen_at, f"{name} {row.event_id}"))
    traced.steps += [_parked(service, letter) for letter in answer.value.parked]
    if service == NOTIFIER.name:
        heard = {row.event_id for row in answer.value.rows} | {row.event_id for row in answer.value.parked}
        traced.steps += [
            Finding(service, "not heard", Mark.ACT, f"{name} {event_id}", "parcours lag --service notifier")
            for event_id, (name, at) in traced.published.items()
            if event_id not in heard and clock.now() - at > LATE
        ]


def _parked(service: str, letter: DeadLetterRow) -> Finding:
    where = f"{letter.topic}/{letter.partition}@{letter.offset}"
    is_parked, is_rejected = letter.state == "parked", letter.state == "rejected"
    remedy = ""
    if is_parked:
        remedy = f"decide: parcours {service} dead-letters redrive | discard {letter.id}"
    elif is_rejected:
        remedy = "its portal sends it again, mended"
    code = f", {letter.code}" if letter.code else ""
    mark = Mark.ACT if remedy else Mark.OK
    return replace(step(service, letter.state, letter.parked_at, f"{where}{code}"), mark=mark, remedy=remedy)
