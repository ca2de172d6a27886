from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.enrolment.rules.eligibility import judge_withdrawal
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from shared.events.catalogue import SessionState
from shared.events.vocabulary import WaitingList


class BulkAction(StrEnum):
    WITHDRAW = "withdraw"
    PRIORITISE = "prioritise"
    APPROVE = "approve"
    MOVE = "move"


class Obstacle(StrEnum):
    HAS_ENDED = "has_ended"
    HAS_STARTED = "has_started"
    NOT_IN_LINE = "not_in_line"
    AWAITS_NO_APPROVAL = "awaits_no_approval"
    HAS_NO_SEAT = "has_no_seat"


@dataclass(frozen=True, slots=True)
class BulkConsequences:
    """``seats_freed`` includes offers.

    ``to_serve`` is an upper bound: reservations, quotas and groups may leave fewer.
    """

    possible: Sequence[RosterLine]
    impossible: Sequence[tuple[RosterLine, Obstacle]]
    seats_freed: int
    to_serve: int


def consequences(
    session: SessionState, lines: Sequence[RosterLine], action: BulkAction, waiting: int, now: datetime
) -> BulkConsequences:
    obstacles = [(line, _obstacle(session, line.enrolment, action, now)) for line in lines]
    possible = [line for line, obstacle in obstacles if obstacle is None]
    leave = possible if action in (BulkAction.WITHDRAW, BulkAction.MOVE) else []
    freed = sum(line.enrolment.state.holds_seat for line in leave)
    stay = waiting - sum(line.enrolment.state is State.WAITLISTED for line in leave)
    serves = session.waiting_list is not WaitingList.NONE
    return BulkConsequences(
        possible=possible,
        impossible=[(line, obstacle) for line, obstacle in obstacles if obstacle is not None],
        seats_freed=freed,
        to_serve=min(freed, max(0, stay)) if serves else 0,
    )


def _obstacle(
    session: SessionState, enrolment: Enrolment, action: BulkAction, now: datetime
) -> Obstacle | None:
    if action is BulkAction.PRIORITISE:
        return None if enrolment.state is State.WAITLISTED else Obstacle.NOT_IN_LINE
    if action is BulkAction.APPROVE:
        return None if enrolment.state is State.PENDING_APPROVAL else Obstacle.AWAITS_NO_APPROVAL
    if not enrolment.state.is_live:
        return Obstacle.HAS_ENDED
    if action is BulkAction.MOVE and not enrolment.state.has_seat:
        return Obstacle.HAS_NO_SEAT
    return None if judge_withdrawal(session, enrolment, now) is None else Obstacle.HAS_STARTED
