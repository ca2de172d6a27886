"""The answers to requests for sessions: in order of receipt, exactly one each."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, assert_never
from uuid import UUID

from services.enrolment.rules.eligibility import (
    Granted,
    Refused,
    judge,
    judge_answer,
    judge_approval,
    judge_swap,
    judge_withdrawal,
    takes_nominations,
)
from services.enrolment.rules.enrolments import Enrolment, refusal_event
from services.enrolment.rules.outcomes import no_enrolment, nothing_new, other_offer
from services.enrolment.rules.questions import AnswersFault, answers_fault, kept_answers
from services.enrolment.rules.requests import (
    Answer,
    ApprovalDecision,
    ByHand,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    RequestForSeats,
    RequestInSession,
    SeatRequest,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Awaiting,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    LapseCause,
    NominatedTrainee,
    NominationAnswered,
    NominationOutcome,
    SeatLeft,
    WithdrawnBy,
)
from shared.events.vocabulary import Agent, AgentKey, Reason, WaitingList


def decide(rosters: Mapping[UUID, SessionRoster], requests: Sequence[Request]) -> None:
    """Answer ``requests``, which are in order of receipt, at the moment of the rosters of their sessions.

    Offers whose time is over are not ended here: an answer that was given in time may still be unread.
    """
    for roster in rosters.values():
        roster.promote()
    for request in requests:
        roster = rosters[request.session_id]
        roster.answering = request
        if isinstance(request, Swap):
            there = rosters[request.to_session_id]
            facts = there.numbers() | {"to_session_id": str(request.to_session_id)}
            outcomes = [_swap(roster, there, request)]
            if (latest := roster.latest.get(request.agent_key)) is not None:
                facts |= _facts_of_answers(there, request.as_seat_request(latest.agent), outcomes[0])
        else:
            facts = roster.numbers()
            outcomes = _outcomes(roster, request, facts)
        roster.answers.append(_answer(request, outcomes, facts))
        roster.answering = None


_Outcome = tuple[State, Reason | None]


def _outcomes(
    roster: SessionRoster, request: RequestInSession, facts: dict[str, int | str | None]
) -> list[_Outcome]:
    """Answer a request in its session. Adds to ``facts`` what else than the numbers it was decided by."""
    match request:
        case SeatRequest(by_hand=ByHand() as by_hand):
            facts |= {"author": by_hand.author, "above_capacity": by_hand.above_capacity}
            return [_seat_by_hand(roster, request, by_hand)]
        case SeatRequest():
            state, reason = outcome = _seat(roster, request, request.agent)
            if state is State.WAITLISTED:
                newest = roster.latest[request.agent_key]
                facts["place_in_line"] = roster.waiting_list.position(newest)
            if state is State.WAITLISTED or reason is Reason.QUOTA_REACHED:  # no seat was taken meanwhile
                facts |= roster.numbers_for(request.agent)
            facts |= _facts_of_answers(roster, request, outcome)
            return [outcome]
        case GroupRequest():
            return _group(roster, request)
        case Nomination():
            leaving = _leaving(roster, request)
            outcomes = _nomination(roster, request, leaving)
            _acknowledge(roster, request, leaving)
            if not outcomes:
                roster.tell(request, nothing_new(request))
            return outcomes
        case Withdrawal():
            return [_withdrawal(roster, request)]
        case ApprovalDecision():
            return [_approval(roster, request)]
        case OfferAnswer():
            return [_offer_answer(roster, request)]
        case _:
            assert_never(request)


def _answer(request: Request, outcomes: Sequence[_Outcome], facts: dict[str, int | str | None]) -> Answer:
    """Return the one answer to a request. About several agents, it counts them by outcome."""
    if len(outcomes) == 1:
        state, reason = outcomes[0]
        return Answer(request, state, reason, facts)
    states = Counter(state for state, _ in outcomes)
    reasons = {reason for _, reason in outcomes}
    facts |= {f"agents_{state}": number for state, number in states.items()}
    outcome = next(iter(states)) if len(states) == 1 else "mixed" if states else "unchanged"
    return Answer(request, outcome, next(iter(reasons)) if len(reasons) == 1 else None, facts)


# -------------------------------------------------------------------------------- requests for seats


def _seat(roster: SessionRoster, request: SeatRequest | GroupRequest, agent: Agent) -> _Outcome:
    verdict = judge(
        roster.session,
        agent,
        request.received_at,
        approved=isinstance(request, GroupRequest) or request.approved,
        availability=roster.availability(agent),
        by_officer=isinstance(request, GroupRequest),
    )
    if isinstance(request, SeatRequest):
        verdict = _if_answered(roster, request, verdict)
    return _grant(roster, request, agent, verdict)


def _if_answered(
    roster: SessionRoster, request: SeatRequest, verdict: Granted | Refused
) -> Granted | Refused:
    """Return the verdict, or a refusal for the answers. A group answers no questions."""
    fault = None if isinstance(verdict, Refused) else _answers_fault(roster, request)
    return verdict if fault is None else Refused(fault.reason)


def _answers_fault(roster: SessionRoster, request: SeatRequest) -> AnswersFault | None:
    return answers_fault(roster.session.questions, request.agent.function, request.answers)


def _facts_of_answers(
    roster: SessionRoster, request: SeatRequest, outcome: _Outcome
) -> Mapping[str, int | str]:
    """Return which question is not answered, or which answer is too much, where it was refused for that."""
    _, reason = outcome
    if reason not in (Reason.ANSWER_MISSING, Reason.ANSWER_NOT_EXPECTED):
        return {}
    fault = _answers_fault(roster, request)
    return {} if fault is None else fault.facts


def _seat_by_hand(roster: SessionRoster, request: SeatRequest, by_hand: ByHand) -> _Outcome:
    """Answer an organiser: by the rules, or by a seat above capacity, where they give a reason for it."""
    verdict = judge(
        roster.session,
        request.agent,
        request.received_at,
        approved=request.approved,
        availability=roster.availability(request.agent),
        by_hand=True,
    )
    if by_hand.above_capacity is not None and verdict in _WITHOUT_SEAT:
        roster.seats_were_added = True
        verdict = Granted.SEAT
    return _grant(roster, request, request.agent, _if_answered(roster, request, verdict))


_WITHOUT_SEAT = (Granted.PLACE_IN_LINE, Refused(Reason.SESSION_FULL), Refused(Reason.QUOTA_REACHED))


def _grant(
    roster: SessionRoster,
    request: RequestForSeats,
    agent: Agent,
    verdict: Granted | Refused,
    moved_from: SeatLeft | None = None,
) -> _Outcome:
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


def _group(roster: SessionRoster, request: GroupRequest) -> list[_Outcome]:
    """Answer for each agent in the order given, or grant all or nobody (rule 6).

    A group is requested by the training officer, who approves for the employer, and may name who takes part
    in a bespoke session.
    """
    agents = _agents_once(request)
    if not request.all_or_nothing:
        return [_seat(roster, request, agent) for agent in agents]
    verdicts = list(_verdicts_together(roster, request, agents))
    if all(
        verdict is Granted.SEAT or _does_not_count(roster, request, agent)
        for agent, verdict in zip(agents, verdicts, strict=True)
    ):
        return [
            _grant(roster, request, agent, verdict) for agent, verdict in zip(agents, verdicts, strict=True)
        ]
    if request.may_wait and _may_wait(roster, agents, verdicts):
        return _wait_together(roster, request, agents, verdicts)
    nobody = Refused(Reason.GROUP_DOES_NOT_FIT)
    return [
        _grant(roster, request, agent, verdict if _bars_the_agent(verdict) else nobody)
        for agent, verdict in zip(agents, verdicts, strict=True)
    ]


def _agents_once(request: GroupRequest | Nomination) -> list[Agent]:
    """Return the agents in the order given, each once: one who is named twice gets one answer."""
    first: dict[AgentKey, Agent] = {}
    for agent in request.agents:
        first.setdefault(agent.key, agent)
    return list(first.values())


def _verdicts_together(
    roster: SessionRoster, request: GroupRequest, agents: Sequence[Agent]
) -> Iterator[Granted | Refused]:
    """Yield what each would get after those before them, on a copy of the seats: nothing is taken yet."""
    seats = roster.seats
    trial = seats.copy()
    roster.seats = trial
    try:
        for agent in agents:
            verdict = judge(
                roster.session,
                agent,
                request.received_at,
                approved=True,
                availability=roster.availability(agent),
                by_officer=True,
            )
            if verdict is Granted.SEAT:
                trial.enrolled += 1
                trial.take(agent.employer)
            yield verdict
    finally:
        roster.seats = seats


def _does_not_count(roster: SessionRoster, request: GroupRequest, agent: Agent) -> bool:
    """Whether an agent stands in nobody's way: has a seat already, or where all may wait is live already."""
    latest = roster.latest.get(agent.key)
    if latest is None:
        return False
    return latest.state.has_seat or (request.may_wait and latest.state.is_live)


_ALREADY_ENROLLED = Refused(Reason.ALREADY_ENROLLED)


def _may_wait(roster: SessionRoster, agents: Sequence[Agent], verdicts: Sequence[Granted | Refused]) -> bool:
    """Whether those of a group who are new may wait as one place (rule 17).

    Each would have a seat or a place alone, but for the quota of the moment, and all could sit in the empty
    session.
    """
    session = roster.session
    if session.waiting_list is not WaitingList.AUTOMATIC or roster.line_is_over():
        return False
    new = [
        (agent, verdict)
        for agent, verdict in zip(agents, verdicts, strict=True)
        if verdict != _ALREADY_ENROLLED
    ]
    waits = Granted.SEAT, Granted.PLACE_IN_LINE, Refused(Reason.QUOTA_REACHED)
    return all(verdict in waits for _, verdict in new) and roster.could_seat(
        [agent.employer for agent, _ in new]
    )


def _wait_together(
    roster: SessionRoster,
    request: GroupRequest,
    agents: Sequence[Agent],
    verdicts: Sequence[Granted | Refused],
) -> list[_Outcome]:
    """Have those of a group who are new wait as one place; it may keep the seats that are free from now.

    Who is the only one waits as anybody does.
    """
    number = sum(verdict != _ALREADY_ENROLLED for verdict in verdicts)
    ticket = roster.draw_ticket(request.received_at) if number > 1 else None
    outcomes: list[_Outcome] = []
    for agent, verdict in zip(agents, verdicts, strict=True):
        if verdict == _ALREADY_ENROLLED:
            outcomes.append(_grant(roster, request, agent, verdict))
            continue
        enrolment = roster.begin(request, agent, State.WAITLISTED, together=ticket)
        position = roster.waiting_list.position(enrolment)
        members = roster.members(enrolment, request.key)
        together = None if ticket is None else number
        roster.publish(AgentWaitlisted(**members, position=position, together=together))
        outcomes.append((State.WAITLISTED, None))
    roster.promote()
    return outcomes


def _bars_the_agent(verdict: Granted | Refused) -> bool:
    """Whether the agent would be refused alone too, for another reason than a lack of seats."""
    return isinstance(verdict, Refused) and verdict.reason not in (Reason.SESSION_FULL, Reason.QUOTA_REACHED)


def _leaving(roster: SessionRoster, request: Nomination) -> list[Enrolment]:
    """Return whose enrolments end because a list of trainees does not name them (any more)."""
    session, named = roster.session, set(request.agent_keys)
    if not takes_nominations(session, request.siret):
        return []
    issuers = {agent.issuer for agent in request.agents}
    return [
        enrolment
        for enrolment in roster.latest.values()
        if enrolment.agent.key not in named
        and request.limits.allow(enrolment.agent.employer)
        and enrolment.agent.issuer in issuers
        and enrolment.agent.employer.siret == request.siret
        and judge_withdrawal(session, enrolment, request.received_at) is None
    ]


def _acknowledge(roster: SessionRoster, request: Nomination, left: Sequence[Enrolment]) -> None:
    """Tell who sent a list of trainees what became of each (rule 14)."""
    if request.nominated_by is None:
        return
    trainees = []
    for agent in _agents_once(request):
        enrolment = roster.latest[agent.key]
        outcome = _OUTCOME_OF_TRAINEE.get(enrolment.state, NominationOutcome.REFUSED)
        if enrolment.state.has_seat:
            outcome = NominationOutcome.ENROLLED
        trainees.append(
            NominatedTrainee(enrolment_id=enrolment.enrolment_id, outcome=outcome, reason=enrolment.reason)
        )
    roster.notices.append(
        NominationAnswered(
            request_id=request.request_id,
            request_source=request.source or None,
            session_id=request.session_id,
            session_version=roster.session.version,
            nominated_by=request.nominated_by,
            trainees=tuple(trainees),
            replaced=tuple(enrolment.enrolment_id for enrolment in left),
        )
    )


_OUTCOME_OF_TRAINEE = {
    State.WAITLISTED: NominationOutcome.WAITLISTED,
    State.OFFERED: NominationOutcome.OFFERED,
    State.PENDING_APPROVAL: NominationOutcome.PENDING,
    State.PENDING_SELECTION: NominationOutcome.PENDING,
}


def _nomination(roster: SessionRoster, request: Nomination, leaving: Sequence[Enrolment]) -> list[_Outcome]:
    """Take over the whole list of a private session: who is not in it leaves, who is new gets a seat.

    Once enrolment is closed the list may not grow: until the start each newcomer replaces one who leaves,
    or has left since the close.
    """
    session, agents = roster.session, _agents_once(request)
    not_eligible = Refused(Reason.NOT_ELIGIBLE)
    if not takes_nominations(session, request.siret):
        return [_grant(roster, request, agent, not_eligible) for agent in agents]
    for enrolment in leaving:
        ended = roster.move(enrolment, State.WITHDRAWN, Cause.REPLACED)
        # The request does not name them: only who is named gets an answer with its id.
        roster.publish(EnrolmentWithdrawn(**roster.members(ended), by=WithdrawnBy.EMPLOYER))
    outcomes = []
    closed = request.received_at >= session.enrolment_closes_at
    if closed:
        roster.vacancies[request.siret] += len(leaving)
    for agent in agents:
        if (
            agent.employer.siret != request.siret
        ):  # an authority names its own agents, also in a shared session
            outcomes.append(_grant(roster, request, agent, not_eligible))
            continue
        latest = roster.latest_for(request, agent.key)
        if latest is not None and latest.state.is_live:
            continue  # has a seat already, or waits: nothing changes
        received_at, replaces = request.received_at, False
        if closed and received_at < session.starts_at and roster.vacancies[request.siret] > 0:
            received_at, replaces = session.enrolment_opens_at, True  # as the one who left, who came in time
        verdict = judge(
            session,
            agent,
            received_at,
            approved=True,
            availability=roster.availability(agent),
            by_officer=True,
        )
        if replaces and not isinstance(verdict, Refused):
            roster.vacancies[request.siret] -= 1
        outcomes.append(_grant(roster, request, agent, verdict))
    roster.promote()
    return outcomes


# -------------------------------------------------------------------------------- requests about an enrolment


def _withdrawal(roster: SessionRoster, request: Withdrawal) -> _Outcome:
    latest = roster.latest_for(request, request.agent_key)
    joined_to, refused = request.joined_to, None
    if joined_to is None:  # the person stays: that is possible until the session is over
        refused = judge_withdrawal(roster.session, latest, request.received_at)
    if refused is not None or latest is None:
        return _nothing_changes(roster, request, latest, refused, "withdrawal")
    if joined_to is None:
        ended = _leave(roster, request, latest, Cause.WITHDRAWAL)
    else:
        ended = roster.move(latest, State.WITHDRAWN, Cause.JOINED)
    members = roster.members(ended, request.key)
    by = WithdrawnBy.EMPLOYER if request.by_employer else WithdrawnBy.AGENT
    roster.publish(EnrolmentWithdrawn(**members, by=by, reason=request.reason, joined_to=joined_to))
    roster.promote()
    return State.WITHDRAWN, None


def _leave(roster: SessionRoster, request: Withdrawal | Swap, latest: Enrolment, cause: Cause) -> Enrolment:
    """End an enrolment, whose authority may name somebody instead once the list has closed (rule 14)."""
    ended = roster.move(latest, State.WITHDRAWN, cause)
    if request.received_at >= roster.session.enrolment_closes_at:
        roster.vacancies[ended.agent.employer.siret] += 1
    return ended


def _swap(here: SessionRoster, there: SessionRoster, request: Swap) -> _Outcome:
    """Give the agent a seat there, as to a new request, and their seat here to the next, or do neither."""
    latest = here.latest_for(request, request.agent_key)
    if latest is None:
        return _nothing_changes(here, request, None, None, "swap")
    if here.session.offer_id != there.session.offer_id:
        here.tell(request, other_offer(request))
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
    if verdict is Granted.SEAT:  # else it is refused for what it came to
        verdict = _if_answered(there, wanted, verdict)
    refused = judge_swap(here.session, latest, request.received_at, verdict)
    if refused is not None:
        outcome = _nothing_changes(here, request, latest, refused, "swap")
    else:
        ended = _leave(here, request, latest, Cause.MOVED)
        left = SeatLeft(session_id=ended.session_id, enrolment_id=ended.enrolment_id, version=ended.version)
        outcome = _grant(there, wanted, agent, verdict, moved_from=left)
        here.publish(EnrolmentWithdrawn(**here.members(ended), moved_to=request.to_session_id))
        here.promote()
    there.answering = None
    return outcome


def _approval(roster: SessionRoster, request: ApprovalDecision) -> _Outcome:
    latest = roster.latest_for(request, request.agent_key)
    refused = judge_approval(roster.session, latest, request.received_at, granted=request.granted)
    if refused is not None or latest is None:
        return _nothing_changes(roster, request, latest, refused, "approval")
    if not request.granted:
        denied = roster.move(latest, State.REFUSED, Cause.APPROVAL_DENIED, reason=Reason.APPROVAL_DENIED)
        roster.publish(refusal_event(denied, roster.session.version, request.key))
        return State.REFUSED, Reason.APPROVAL_DENIED
    if roster.session.approval.by_selection:  # rule 16: the second step, for the next ranking
        candidate = roster.move(latest, State.PENDING_SELECTION, Cause.APPROVAL_GRANTED)
        members = roster.members(candidate, request.key)
        roster.publish(EnrolmentPending(**members, awaiting=Awaiting.SELECTION))
        return candidate.state, None
    placed = roster.place(latest, Cause.APPROVAL_GRANTED, request.key)
    return placed.state, placed.reason


def _offer_answer(roster: SessionRoster, request: OfferAnswer) -> _Outcome:
    latest = roster.latest_for(request, request.agent_key)
    refused = judge_answer(roster.session, latest, request)
    if refused is not None or latest is None:
        return _nothing_changes(roster, request, latest, refused, "offer")
    if request.accepted:
        seated = roster.move(latest, State.ENROLLED, Cause.OFFER_ACCEPTED)
        roster.publish(AgentEnrolled(**roster.members(seated, request.key), from_waiting_list=True))
        return State.ENROLLED, None
    roster.lapse(latest, LapseCause.DECLINED, request.key)
    roster.promote()
    return State.LAPSED, None


def _nothing_changes(
    roster: SessionRoster,
    request: Withdrawal | ApprovalDecision | OfferAnswer | Swap,
    latest: Enrolment | None,
    refused: Refused | None,
    requested: Literal["withdrawal", "offer", "approval", "swap"],
) -> _Outcome:
    """Refuse a request about an enrolment: by a decision only if the agent has been here before."""
    reason = refused.reason if refused else Reason.NOT_ENROLLED
    if latest is None:
        roster.tell(request, no_enrolment(request))
    else:
        members = roster.members(latest, request.key)
        to = request.to_session_id if isinstance(request, Swap) else None
        roster.publish(EnrolmentRefused(**members, reason=reason, asked=requested, to_session_id=to))
    return State.REFUSED, reason
