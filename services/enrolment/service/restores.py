"""After a restore: find published decisions that the database has lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.enrolment.rules.states import State
from services.enrolment.store import enrolments
from shared.database import Transaction
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
)

SLICE = 1_000
_SAYS: Mapping[type[Decision], frozenset[State]] = {
    AgentEnrolled: frozenset({State.ENROLLED}),
    AgentWaitlisted: frozenset({State.WAITLISTED}),
    SeatOffered: frozenset({State.OFFERED}),
    SeatOfferLapsed: frozenset({State.LAPSED}),
    SeatNotObtained: frozenset({State.NOT_OBTAINED}),
    EnrolmentPending: frozenset({State.PENDING_APPROVAL, State.PENDING_SELECTION}),
    EnrolmentRefused: frozenset({State.REFUSED}),
    EnrolmentWithdrawn: frozenset({State.WITHDRAWN, State.SESSION_CANCELLED}),
    AttendanceRecorded: frozenset({State.ATTENDED, State.ABSENT, State.ABSENT_JUSTIFIED, State.CERTIFIED}),
}


@dataclass(frozen=True, slots=True)
class PublishedDecision:
    kind: type[Decision]
    enrolment_id: UUID
    session_id: UUID
    version: int

    @classmethod
    def of(cls, event: Decision) -> "PublishedDecision":
        return cls(type(event), event.enrolment_id, event.session_id, event.version)


@dataclass(frozen=True, slots=True)
class LostDecision:
    """A published decision that is missing here. ``state`` is None if its enrolment is missing too."""

    published: PublishedDecision
    stands: State | None


async def reconcile(tx: Transaction, published: Sequence[PublishedDecision]) -> list[LostDecision]:
    """Stored versions rise to the published ones, so that consumers accept the next decisions as newer."""
    versions = {decision.enrolment_id: decision.version for decision in published}
    found = await enrolments.states(tx, versions)
    await enrolments.raise_versions(tx, versions)
    lost = []
    for decision in published:
        version, stands = found.get(decision.enrolment_id, (0, None))
        if not _is_known(decision, version, stands):
            lost.append(LostDecision(decision, stands))
    return lost


def _is_known(decision: PublishedDecision, version: int, stands: State | None) -> bool:
    if version == decision.version:
        return stands in _SAYS[decision.kind]
    return version > decision.version
