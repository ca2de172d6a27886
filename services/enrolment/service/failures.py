"""Why nothing was done for an organiser, or by a link. Each is raised: the transaction stores nothing."""

from collections.abc import Mapping
from uuid import UUID

from services.enrolment.rules.messages import MessageFault
from services.enrolment.rules.organising import OrganisingFault, RankingFault
from services.enrolment.rules.states import State
from shared.events.enrolment import Attendance
from shared.events.reasons import Reason


class EnrolmentFailure(Exception):
    """Nothing was done."""


class NotFound(EnrolmentFailure):
    """There is no such thing, or it belongs to another delegation: which of the two stays unsaid."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class ChangedMeanwhile(EnrolmentFailure):
    """This enrolment is not any more as it was seen."""

    def __init__(self, enrolment_id: UUID) -> None:
        super().__init__(enrolment_id)
        self.enrolment_id = enrolment_id


class HasEnded(EnrolmentFailure):
    """The enrolment has ended, in this state."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


class HasStarted(EnrolmentFailure):
    """The session has started: who does not come is absent, and withdraws no more."""


class NotPossible(EnrolmentFailure):
    """The session, or the enrolment, is not in the state for it."""

    def __init__(self, fault: OrganisingFault) -> None:
        super().__init__(fault)
        self.fault = fault


class RefusedByRules(EnrolmentFailure):
    """The rules of the session refuse it, as they would refuse an agent."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class DraftHasChanged(EnrolmentFailure):
    """The draft of a ranking is not any more in the version that was seen."""


class UndecidedCandidates(EnrolmentFailure):
    """So many candidates have no rank, and are not among those who are not selected."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class InvalidRanking(EnrolmentFailure):
    """The ranking does not name each candidate once."""

    def __init__(self, fault: RankingFault) -> None:
        super().__init__(fault)
        self.fault = fault


class InvalidRecords(EnrolmentFailure):
    """These records of attendance cannot be kept, by their index."""

    def __init__(self, faults: Mapping[int, OrganisingFault]) -> None:
        super().__init__(faults)
        self.faults = faults


class AttendanceHasChanged(EnrolmentFailure):
    """This attendance is recorded now, and was not seen; by enrolment."""

    def __init__(self, attendance: Mapping[UUID, Attendance | None]) -> None:
        super().__init__(attendance)
        self.attendance = attendance


class MessageNotTaken(EnrolmentFailure):
    """The message cannot leave at this time, or not to those whom it names."""

    def __init__(self, fault: MessageFault) -> None:
        super().__init__(fault)
        self.fault = fault


class MessageHasLeft(EnrolmentFailure):
    """The message has left: it cannot be taken back."""


class UnknownCode(EnrolmentFailure):
    """The code at the door is that of nobody who has a seat in the session."""
