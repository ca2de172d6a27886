"""Requests about an existing enrolment: withdrawals, moves, approvals, replies to offers."""

from typing import Literal

from services.enrolment.rules.eligibility import (
    Granted,
    Refused,
    judge,
    judge_approval,
    judge_reply,
    judge_swap,
    judge_withdrawal,
)
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.outcomes import no_enrolment, other_offer
from services.enrolment.rules.promotion import promote
from services.enrolment.rules.requests import (
    ApprovalDecision,
    OfferAnswer,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.seat_requests import StateAndReason, grant, if_answered
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import (
    AgentEnrolled,
    Awaiting,
    EndedBecause,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatLeft,
    WithdrawnBy,
)
from shared.events.portal import WithdrawalRequested
from shared.events.reasons import Reason


def withdraw(roster: SessionRoster, request: Withdrawal) -> StateAndReason:
    latest = roster.latest_for(request, request.agent_key)
    joined_to, refused = request.joined_to, None
    if joined_to is None:  # the person stays, which is possible until the session is over
        refused = judge_withdrawal(roster.session, latest, request.received_at)
    if refused is not None or latest is None:
        return _nothing_changes(roster, request, latest, refused, "withdrawal")
    if joined_to is None:
        cause = Cause.EMPLOYER if request.by_employer else Cause.WITHDRAWAL
        ended = _leave(roster, request, latest, cause)
    else:
        ended = roster.move(latest, State.WITHDRAWN, Cause.JOINED)
    members = roster.members(ended, request.key)
    by = WithdrawnBy.EMPLOYER if request.by_employer else WithdrawnBy.AGENT
    roster.publish(EnrolmentWithdrawn(**members, by=by, reason=request.reason, joined_to=joined_to))
    promote(roster)
    return State.WITHDRAWN, None


def _leave(roster: SessionRoster, request: Withdrawal | Swap, latest: Enrolment, cause: Cause) -> Enrolment:
    """End the enrolment. After the close of enrolment, the authority may name a replacement (rule 14)."""
    ended = roster.move(latest, State.WITHDRAWN, cause)
    if request.received_at >= roster.session.enrolment_closes_at:
        roster.vacancies[ended.agent.employer.siret] += 1
    return ended


def swap(here: SessionRoster, there: SessionRoster, request: Swap) -> StateAndReason:
    """Give a seat in the other session, by the rules of a new request, and free the seat here.

    If the other session gives no seat, nothing changes.
    """
    latest = here.latest_for(request, request.agent_key)
    if latest is None:
        return _nothing_changes(here, request, None, None, "swap")
    if here.session.offer_id != there.session.offer_id:
        here.publish_outcome(request, other_offer(request))
        return State.REFUSED, Reason.NOT_ELIGIBLE
    agent, wanted = latest.agent, request.as_seat_request(latest.agent)
    there.answering = wanted
    verdict = judge(
        there.session,
        agent,
        request.received_at,
        approved=False,
        availability=there.availability(agent, leaves=request.session_id),
    )
    if verdict is Granted.SEAT:  # otherwise the request is refused for this reason
        verdict = if_answered(there, wanted, verdict)
    refused = judge_swap(here.session, latest, request.received_at, verdict)
    if refused is not None:
        outcome = _nothing_changes(here, request, latest, refused, "swap")
    else:
        ended = _leave(here, request, latest, Cause.MOVED)
        left = SeatLeft(session_id=ended.session_id, enrolment_id=ended.enrolment_id, version=ended.version)
        outcome = grant(there, wanted, agent, verdict, moved_from=left)
        here.publish(EnrolmentWithdrawn(**here.members(ended), moved_to=request.to_session_id))
        promote(here)
    there.answering = None
    return outcome


def approve(roster: SessionRoster, request: ApprovalDecision) -> StateAndReason:
    latest = roster.latest_for(request, request.agent_key)
    refused = judge_approval(roster.session, latest, request.received_at, granted=request.granted)
    if refused is not None or latest is None:
        is_later_no = not request.granted and refused == Refused(Reason.ALREADY_ENROLLED)
        instead = WithdrawalRequested.TYPE if is_later_no else None
        return _nothing_changes(roster, request, latest, refused, "approval", instead=instead)
    if not request.granted:
        roster.refuse_pending(
            latest,
            Cause.APPROVAL_DENIED,
            Reason.APPROVAL_DENIED,
            request.key,
            because=EndedBecause.ANSWER,
        )
        return State.REFUSED, Reason.APPROVAL_DENIED
    if roster.session.approval.by_selection:  # rule 16: the selection is the second step
        candidate = roster.move(latest, State.PENDING_SELECTION, Cause.APPROVAL_GRANTED)
        members = roster.members(candidate, request.key)
        roster.publish(EnrolmentPending(**members, awaiting=Awaiting.SELECTION))
        return candidate.state, None
    placed = roster.settle_pending(latest, Cause.APPROVAL_GRANTED, request.key)
    return placed.state, placed.reason


def reply_to_offer(roster: SessionRoster, request: OfferAnswer) -> StateAndReason:
    latest = roster.latest_for(request, request.agent_key)
    refused = judge_reply(roster.session, latest, request)
    if refused is not None or latest is None:
        return _nothing_changes(roster, request, latest, refused, "offer")
    if request.accepted:
        seated = roster.move(latest, State.ENROLLED, Cause.OFFER_ACCEPTED)
        roster.publish(AgentEnrolled(**roster.members(seated, request.key), from_waiting_list=True))
        return State.ENROLLED, None
    roster.lapse(latest, EndedBecause.ANSWER, request.key)
    promote(roster)
    return State.LAPSED, None


def _nothing_changes(
    roster: SessionRoster,
    request: Withdrawal | ApprovalDecision | OfferAnswer | Swap,
    latest: Enrolment | None,
    refused: Refused | None,
    requested: Literal["withdrawal", "offer", "approval", "swap"],
    *,
    instead: str | None = None,
) -> StateAndReason:
    """Refuse the request. Publish a decision if the agent has an enrolment, else a rejection."""
    reason = refused.reason if refused else Reason.NOT_ENROLLED
    if latest is None:
        roster.publish_outcome(request, no_enrolment(request))
    else:
        members = roster.members(latest, request.key)
        to = request.to_session_id if isinstance(request, Swap) else None
        roster.publish(
            EnrolmentRefused(**members, reason=reason, asked=requested, to_session_id=to, instead=instead)
        )
    return State.REFUSED, reason
