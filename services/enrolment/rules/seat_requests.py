from collections.abc import Mapping
from typing import assert_never

from services.enrolment.rules.eligibility import (
    Granted,
    Refused,
    judge,
    takes_nominations,
)
from services.enrolment.rules.questions import AnswersFault, answers_fault, kept_answers
from services.enrolment.rules.requests import (
    ByHand,
    GroupRequest,
    Nomination,
    RequestForSeats,
    SeatRequest,
)
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Awaiting,
    EnrolmentPending,
    SeatLeft,
)
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, AgentKey

StateAndReason = tuple[State, Reason | None]


def seat(roster: SessionRoster, request: SeatRequest | GroupRequest, agent: Agent) -> StateAndReason:
    verdict = judge(
        roster.session,
        agent,
        request.received_at,
        approved=isinstance(request, GroupRequest) or request.approved,
        availability=roster.availability(agent),
        by_officer=isinstance(request, GroupRequest),
    )
    if isinstance(request, SeatRequest):
        verdict = if_answered(roster, request, verdict)
    return grant(roster, request, agent, verdict)


def if_answered(roster: SessionRoster, request: SeatRequest, verdict: Granted | Refused) -> Granted | Refused:
    """A group answers no questions."""
    fault = None if isinstance(verdict, Refused) else _answers_fault(roster, request)
    return verdict if fault is None else Refused(fault.reason)


def _answers_fault(roster: SessionRoster, request: SeatRequest) -> AnswersFault | None:
    return answers_fault(roster.session.questions, request.agent.function, request.answers)


def numbers_of_answers(
    roster: SessionRoster, request: SeatRequest, outcome: StateAndReason
) -> Mapping[str, int | str]:
    _, reason = outcome
    if reason not in (Reason.ANSWER_MISSING, Reason.ANSWER_NOT_EXPECTED):
        return {}
    fault = _answers_fault(roster, request)
    return {} if fault is None else fault.numbers


def seat_by_hand(roster: SessionRoster, request: SeatRequest, by_hand: ByHand) -> StateAndReason:
    """With the organiser's reason, give a seat above capacity. An officer enrols as by a nomination."""
    officer_of = by_hand.officer_of
    if officer_of is not None:
        return grant(
            roster,
            request,
            request.agent,
            if_answered(roster, request, judge_trainee(roster, request, request.agent, officer_of)),
        )
    verdict = judge(
        roster.session,
        request.agent,
        request.received_at,
        approved=request.approved,
        availability=roster.availability(request.agent),
        by_hand=True,
    )
    if by_hand.above_capacity is not None and _lacks_seat(verdict):
        roster.seats_were_added = True
        verdict = Granted.SEAT
    return grant(roster, request, request.agent, if_answered(roster, request, verdict))


def judge_trainee(
    roster: SessionRoster, request: SeatRequest | Nomination, agent: Agent, siret: str
) -> Granted | Refused:
    """Judge an agent whom the officer of the authority names (rule 14).

    After the close of enrolment, until the start, the agent may replace an agent who has left since.
    """
    session = roster.session
    if not takes_nominations(session, siret) or agent.employer.siret != siret:
        return Refused(Reason.NOT_ELIGIBLE)  # an authority names its own agents, also in a shared session
    received_at = request.received_at
    replaces = session.enrolment_closes_at <= received_at < session.starts_at and roster.vacancies[siret] > 0
    verdict = judge(
        session,
        agent,
        # Judge the agent like the replaced one, who was enrolled in time.
        session.enrolment_opens_at if replaces else received_at,
        approved=True,
        availability=roster.availability(agent),
        by_officer=True,
    )
    if replaces and not isinstance(verdict, Refused):
        roster.vacancies[siret] -= 1
    return verdict


def _lacks_seat(verdict: Granted | Refused) -> bool:
    if isinstance(verdict, Refused):
        return verdict.reason.refusal.lacks_seat
    return verdict is Granted.PLACE_IN_LINE


def grant(
    roster: SessionRoster,
    request: RequestForSeats,
    agent: Agent,
    verdict: Granted | Refused,
    moved_from: SeatLeft | None = None,
) -> StateAndReason:
    if isinstance(verdict, Refused):
        roster.refuse(request, agent, verdict.reason)
        return State.REFUSED, verdict.reason
    enrolment = roster.begin(request, agent, verdict.state)
    if isinstance(request, SeatRequest) and request.answers:
        kept = kept_answers(roster.session.questions, request.answers)
        roster.question_answers[enrolment.enrolment_id] = kept
    members = roster.members(enrolment, request.key)
    match verdict:
        case Granted.SEAT:
            roster.publish(AgentEnrolled(**members, moved_from=moved_from))
        case Granted.PLACE_IN_LINE:
            position = roster.waiting_list.position(enrolment)
            roster.publish(AgentWaitlisted(**members, position=position))
        case Granted.AWAITS_APPROVAL | Granted.AWAITS_SELECTION:
            roster.publish(EnrolmentPending(**members, awaiting=_AWAITED[verdict]))
        case _:
            assert_never(verdict)
    return enrolment.state, None


_AWAITED = {
    Granted.AWAITS_APPROVAL: Awaiting.EMPLOYER_APPROVAL,
    Granted.AWAITS_SELECTION: Awaiting.SELECTION,
}


def agents_once(request: GroupRequest | Nomination) -> list[Agent]:
    """An agent named twice gets one answer."""
    first: dict[AgentKey, Agent] = {}
    for agent in request.agents:
        first.setdefault(agent.key, agent)
    return list(first.values())
