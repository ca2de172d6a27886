"""Answers to a portal about a record that no decision answers."""

from collections.abc import Sequence
from uuid import UUID

from shared.events.cloudevents import Received
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.vocabulary import Event, FieldProblem
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.outbox import OutboxEvent
from shared.messaging.portals.admission import Rejected
from shared.messaging.router import Router

_GIVEN_UP = FieldProblem(
    pointer="", message="A fault of ours: the request had no effect, and the operators gave it up. Ask them."
)


def of_rejected(rejected: Rejected) -> RequestRejected | None:
    """Return None if no known portal sent the record."""
    return _rejection(rejected, rejected.request_id, rejected.code, rejected.problems)


def of_discarded(letter: DeadLetter) -> RequestRejected | None:
    """Return None if no portal sent the dead letter."""
    return _rejection(letter, letter.event_id, RejectionCode.INTERNAL, (_GIVEN_UP,))


def _rejection(
    sent: Rejected | DeadLetter,
    request_id: UUID | None,
    code: RejectionCode,
    problems: tuple[FieldProblem, ...],
) -> RequestRejected | None:
    if sent.portal is None or sent.source is None:
        return None
    return RequestRejected(
        request_id=request_id,
        request_source=sent.source,
        portal=sent.portal,
        topic=sent.record.topic,
        partition=sent.record.partition,
        offset=sent.record.offset,
        code=code,
        problems=problems,
    )


def of_given_up(router: Router, letters: Sequence[DeadLetter]) -> list[RequestRejected]:
    """Return the rejections that this service owes for dead letters given up."""
    answered = (of_discarded(letter) for letter in letters if _answers(router, letter))
    return [answer for answer in answered if answer is not None]


def _answers(router: Router, letter: DeadLetter) -> bool:
    return any(
        subscription.topic == letter.record.topic and subscription.answers(letter.event_type)
        for subscription in router.subscriptions.values()
    )


def of_accepted(received: Received[Event]) -> OutboxEvent | None:
    """Return None if no portal sent the request."""
    if received.portal is None:
        return None
    accepted = RequestAccepted(request_id=received.id, request_source=received.source, portal=received.portal)
    return OutboxEvent(accepted, received.traceparent)
