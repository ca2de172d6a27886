"""Refused actions. Each is raised, so that the transaction stores nothing."""

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
    """The answer does not say whether it is missing or belongs to another delegation."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class ChangedMeanwhile(EnrolmentFailure):
    def __init__(self, enrolment_id: UUID) -> None:
        super().__init__(enrolment_id)
        self.enrolment_id = enrolment_id


class HasEnded(EnrolmentFailure):
    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


class HasStarted(EnrolmentFailure):
    """Absence is recorded as attendance instead of a withdrawal."""


class NotPossible(EnrolmentFailure):
    def __init__(self, fault: OrganisingFault) -> None:
        super().__init__(fault)
        self.fault = fault


class RefusedByRules(EnrolmentFailure):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class DraftHasChanged(EnrolmentFailure):
    pass


class UndecidedCandidates(EnrolmentFailure):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class InvalidRanking(EnrolmentFailure):
    def __init__(self, fault: RankingFault) -> None:
        super().__init__(fault)
        self.fault = fault


class InvalidRecords(EnrolmentFailure):
    def __init__(self, faults: Mapping[int, OrganisingFault]) -> None:
        super().__init__(faults)
        self.faults = faults


class AttendanceHasChanged(EnrolmentFailure):
    def __init__(self, attendance: Mapping[UUID, Attendance | None]) -> None:
        super().__init__(attendance)
        self.attendance = attendance


class MessageNotTaken(EnrolmentFailure):
    def __init__(self, fault: MessageFault) -> None:
        super().__init__(fault)
        self.fault = fault


class MessageHasLeft(EnrolmentFailure):
    pass


class UnknownCode(EnrolmentFailure):
    pass
