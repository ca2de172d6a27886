"""Processes requests in order of receipt, with exactly one result each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import assert_never
from uuid import UUID

from services.enrolment.rules.about_enrolments import approve, reply_to_offer, swap, withdraw
from services.enrolment.rules.group_requests import decide_group
from services.enrolment.rules.nominations import (
    acknowledge,
    is_outdated,
    keep_as_newest,
    leaving_by,
    nominate,
)
from services.enrolment.rules.outcomes import nothing_new
from services.enrolment.rules.promotion import promote
from services.enrolment.rules.requests import (
    ApprovalDecision,
    ByHand,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    RequestInSession,
    RequestResult,
    SeatRequest,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.seat_requests import StateAndReason, numbers_of_answers, seat, seat_by_hand
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.reasons import Reason


def decide(rosters: Mapping[UUID, SessionRoster], requests: Sequence[Request]) -> None:
    """Process ``requests`` (in order of receipt) at the ``now`` of their rosters.

    Expired offers are not ended here: a reply that was sent in time may still be unread.
    """
    for roster in rosters.values():
        promote(roster)
    for request in requests:
        roster = rosters[request.session_id]
        roster.answering = request
        if isinstance(request, Swap):
            there = rosters[request.to_session_id]
            numbers = there.numbers() | {"to_session_id": str(request.to_session_id)}
            outcomes = [swap(roster, there, request)]
            if (latest := roster.latest.get(request.agent_key)) is not None:
                numbers |= numbers_of_answers(there, request.as_seat_request(latest.agent), outcomes[0])
        else:
            numbers = roster.numbers()
            outcomes = _outcomes(roster, request, numbers)
        roster.results.append(_result(request, outcomes, numbers))
        roster.answering = None


def _outcomes(
    roster: SessionRoster, request: RequestInSession, numbers: dict[str, int | str | None]
) -> list[StateAndReason]:
    match request:
        case SeatRequest(by_hand=ByHand() as by_hand):
            numbers |= {"author": by_hand.author, "above_capacity": by_hand.above_capacity}
            outcome = seat_by_hand(roster, request, by_hand)
            numbers |= _place_in_line(roster, request, outcome)
            return [outcome]
        case SeatRequest():
            state, reason = outcome = seat(roster, request, request.agent)
            numbers |= _place_in_line(roster, request, outcome)
            if state is State.WAITLISTED or reason is Reason.QUOTA_REACHED:  # this request took no seat
                numbers |= roster.numbers_for(request.agent)
            numbers |= numbers_of_answers(roster, request, outcome)
            return [outcome]
        case GroupRequest():
            return decide_group(roster, request)
        case Nomination():
            if is_outdated(roster, request):
                roster.publish_outcome(request, nothing_new(request))
                return []
            keep_as_newest(roster, request)
            leaving = leaving_by(roster, request)
            outcomes = nominate(roster, request, leaving)
            acknowledge(roster, request, leaving)
            if not outcomes:
                roster.publish_outcome(request, nothing_new(request))
            return outcomes
        case Withdrawal():
            return [withdraw(roster, request)]
        case ApprovalDecision():
            return [approve(roster, request)]
        case OfferAnswer():
            return [reply_to_offer(roster, request)]
        case _:
            assert_never(request)


def _place_in_line(
    roster: SessionRoster, request: SeatRequest, outcome: StateAndReason
) -> Mapping[str, int | None]:
    if outcome[0] is not State.WAITLISTED:
        return {}
    return {"place_in_line": roster.waiting_list.position(roster.latest[request.agent_key])}


def _result(
    request: Request, outcomes: Sequence[StateAndReason], numbers: dict[str, int | str | None]
) -> RequestResult:
    if len(outcomes) == 1:
        state, reason = outcomes[0]
        return RequestResult(request, state, reason, numbers)
    states = Counter(state for state, _ in outcomes)
    reasons = {reason for _, reason in outcomes}
    numbers |= {f"agents_{state}": number for state, number in states.items()}
    outcome = next(iter(states)) if len(states) == 1 else "mixed" if states else "unchanged"
    return RequestResult(request, outcome, next(iter(reasons)) if len(reasons) == 1 else None, numbers)
