"""The reasons why an action was refused. Each is raised, so that the transaction stores nothing."""

from collections.abc import Mapping
from uuid import UUID

from services.enrolment.rules.messages import MessageFault
from services.enrolment.rules.organising import OrganisingFault, RankingFault
from services.enrolment.rules.states import State
from shared.events.enrolment import Attendance
from shared.events.reasons import Reason


class EnrolmentFailure(Exception):
    pass


class NotFound(EnrolmentFailure):
    """The thing does not exist or belongs to another delegation. The answer does not say which."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class ChangedMeanwhile(EnrolmentFailure):
    """The enrolment has changed since it was shown."""

    def __init__(self, enrolment_id: UUID) -> None:
        super().__init__(enrolment_id)
        self.enrolment_id = enrolment_id


class HasEnded(EnrolmentFailure):
    """The enrolment has ended in this state."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


class HasStarted(EnrolmentFailure):
    """The session has started: absence is recorded as attendance instead of a withdrawal."""


class NotPossible(EnrolmentFailure):
    """The state of the session or enrolment does not allow the action."""

    def __init__(self, fault: OrganisingFault) -> None:
        super().__init__(fault)
        self.fault = fault


class RefusedByRules(EnrolmentFailure):
    """The rules of the session refuse the action, as they would refuse an agent."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class DraftHasChanged(EnrolmentFailure):
    """The draft of the ranking has changed since it was shown."""


class UndecidedCandidates(EnrolmentFailure):
    """This many candidates have no rank and are not marked as not selected."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class InvalidRanking(EnrolmentFailure):
    """The ranking does not name each candidate once."""

    def __init__(self, fault: RankingFault) -> None:
        super().__init__(fault)
        self.fault = fault


class InvalidRecords(EnrolmentFailure):
    """Faults of attendance records, by their index."""

    def __init__(self, faults: Mapping[int, OrganisingFault]) -> None:
        super().__init__(faults)
        self.faults = faults


class AttendanceHasChanged(EnrolmentFailure):
    """The attendance that was recorded since the form was shown, by enrolment."""

    def __init__(self, attendance: Mapping[UUID, Attendance | None]) -> None:
        super().__init__(attendance)
        self.attendance = attendance


class MessageNotTaken(EnrolmentFailure):
    """The message cannot leave at this time, or not to these people."""

    def __init__(self, fault: MessageFault) -> None:
        super().__init__(fault)
        self.fault = fault


class MessageHasLeft(EnrolmentFailure):
    pass


class UnknownCode(EnrolmentFailure):
    """The code belongs to nobody with a seat in the session."""
