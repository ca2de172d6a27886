"""What is asked of one session, answered in order of receipt, each request exactly once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, assert_never

from services.enrolment.rules.book import Book
from services.enrolment.rules.judging import (
    Granted,
    Refused,
    judge,
    judge_answer,
    judge_approval,
    judge_withdrawal,
)
from services.enrolment.rules.words import (
    Answer,
    ApprovalDecision,
    AsksForSeats,
    Cause,
    Enrolment,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    SeatRequest,
    State,
    Withdrawal,
    common,
    refusal,
)
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Awaiting,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    LapseCause,
    WithdrawnBy,
)
from shared.events.vocabulary import Agent, Format, Reason


def decide(book: Book, requests: Sequence[Request]) -> None:
    """Answer ``requests``, which are in order of receipt, at the book's moment.

    What time has ended is not looked at here: an answer that was given in time may still be to come.
    """
    book.give_away()
    for request in requests:
        book.because = request
        facts = book.numbers()
        match request:
            case SeatRequest():
                outcomes = [_seat(book, request, request.agent, approved=request.approved)]
                state, reason = outcomes[0]
                if state is State.WAITLISTED:
                    facts["place_in_line"] = len(book.line)
                if state is State.WAITLISTED or reason is Reason.QUOTA_REACHED:  # no seat was taken meanwhile
                    facts |= book.numbers_for(request.agent)
            case GroupRequest():
                outcomes = _group(book, request)
            case Nomination():
                outcomes = _nomination(book, request)
            case Withdrawal():
                outcomes = [_withdrawal(book, request)]
            case ApprovalDecision():
                outcomes = [_approval(book, request)]
            case OfferAnswer():
                outcomes = [_offer_answer(book, request)]
            case _:
                assert_never(request)
        book.answers.append(_answer(request, outcomes, facts))
        book.because = None


_Outcome = tuple[State, Reason | None]


def _answer(request: Request, outcomes: Sequence[_Outcome], facts: dict[str, int | str | None]) -> Answer:
    """The one answer to a request. About several agents, it says how many came to what."""
    if len(outcomes) == 1:
        state, reason = outcomes[0]
        return Answer(request, state, reason, facts)
    states = Counter(state for state, _ in outcomes)
    reasons = {reason for _, reason in outcomes}
    facts |= {f"agents_{state}": number for state, number in states.items()}
    outcome = next(iter(states)) if len(states) == 1 else "mixed" if states else "unchanged"
    return Answer(request, outcome, next(iter(reasons)) if len(reasons) == 1 else None, facts)


# -------------------------------------------------------------------------------- asking for a seat


def _seat(book: Book, request: AsksForSeats, agent: Agent, *, approved: bool) -> _Outcome:
    prospects = book.prospects(agent)
    verdict = judge(book.session, agent, request.received_at, approved=approved, prospects=prospects)
    return _grant(book, request, agent, verdict)


def _grant(
    book: Book,
    request: AsksForSeats,
    agent: Agent,
    verdict: Granted | Refused,
) -> _Outcome:
    if isinstance(verdict, Refused):
        book.refuse(request, agent, verdict.reason)
        return State.REFUSED, verdict.reason
    enrolment = book.begin(request, agent, verdict.state)
    request_id = request.request_id
    match verdict:
        case Granted.SEAT:
            book.tell(AgentEnrolled(**common(enrolment), request_id=request_id))
        case Granted.PLACE_IN_LINE:
            # Last, so its place is the length of the line, of which only the heads are at hand.
            position = len(book.line)
            book.tell(AgentWaitlisted(**common(enrolment), request_id=request_id, position=position))
        case Granted.AWAITS_APPROVAL:
            awaiting = Awaiting.EMPLOYER_APPROVAL
            book.tell(EnrolmentPending(**common(enrolment), request_id=request_id, awaiting=awaiting))
        case Granted.AWAITS_SELECTION:
            awaiting = Awaiting.SELECTION
            book.tell(EnrolmentPending(**common(enrolment), request_id=request_id, awaiting=awaiting))
        case _:
            assert_never(verdict)
    return enrolment.state, None


def _group(book: Book, request: GroupRequest) -> list[_Outcome]:
    """Each for itself in the order given, or all or nobody (rule 6).

    Who asks for a group is the training officer, who approves for the employer.
    """
    agents = _each_once(request)
    if not request.all_or_nothing:
        return [_seat(book, request, agent, approved=True) for agent in agents]
    verdicts = list(_verdicts_together(book, request, agents))
    if all(
        verdict is Granted.SEAT or _sits_already(book, agent)
        for agent, verdict in zip(agents, verdicts, strict=True)
    ):
        return [
            _grant(book, request, agent, verdict) for agent, verdict in zip(agents, verdicts, strict=True)
        ]
    nobody = Refused(Reason.GROUP_DOES_NOT_FIT)
    return [
        _grant(book, request, agent, verdict if _bars_the_agent(verdict) else nobody)
        for agent, verdict in zip(agents, verdicts, strict=True)
    ]


def _each_once(request: GroupRequest | Nomination) -> list[Agent]:
    """The agents in the order given; one who stands there twice is one agent, and gets one answer."""
    first: dict[str, Agent] = {}
    for agent in request.agents:
        first.setdefault(agent.agent_id, agent)
    return list(first.values())


def _verdicts_together(
    book: Book, request: GroupRequest, agents: Sequence[Agent]
) -> Iterator[Granted | Refused]:
    """What each would get after those before them: on a copy of the seats, so that nothing is taken yet."""
    seats = book.seats
    trial = seats.copy()
    book.seats = trial
    try:
        for agent in agents:
            verdict = judge(
                book.session, agent, request.received_at, approved=True, prospects=book.prospects(agent)
            )
            if verdict is Granted.SEAT:
                trial.enrolled += 1
                trial.take(agent.employer)
            yield verdict
    finally:
        book.seats = seats


def _sits_already(book: Book, agent: Agent) -> bool:
    latest = book.latest.get(agent.agent_id)
    return latest is not None and latest.state.has_seat


def _bars_the_agent(verdict: Granted | Refused) -> bool:
    """Whether the agent would be refused alone too, and not for want of seats."""
    return isinstance(verdict, Refused) and verdict.reason not in (Reason.SESSION_FULL, Reason.QUOTA_REACHED)


def _nomination(book: Book, request: Nomination) -> list[_Outcome]:
    """The list of a private session, whole: who is not in it any more leaves, who is new takes the seat.

    Once the list is closed it may not grow: each newcomer then takes the place of one who leaves.
    """
    session, agents = book.session, _each_once(request)
    not_eligible = Refused(Reason.NOT_ELIGIBLE)
    if session.format is not Format.BESPOKE or request.siret not in session.audience.sirets:
        return [_grant(book, request, agent, not_eligible) for agent in agents]
    named = set(request.agent_ids)
    leaving = [
        one
        for one in book.latest.values()
        if one.agent.agent_id not in named
        and one.agent.employer.siret == request.siret
        and judge_withdrawal(session, one, request.received_at) is None
    ]
    for one in leaving:
        ended = book.move(one, State.WITHDRAWN, Cause.REPLACED)
        # Nobody asked this of them by name: the answers to the request are those of who is named.
        book.tell(EnrolmentWithdrawn(**common(ended), request_id=None, by=WithdrawnBy.EMPLOYER))
    outcomes = []
    replacements = len(leaving)
    for agent in agents:
        if (
            agent.employer.siret != request.siret
        ):  # an authority names its own agents, also in a shared session
            outcomes.append(_grant(book, request, agent, not_eligible))
            continue
        latest = book.latest.get(agent.agent_id)
        if latest is not None and latest.state is State.PENDING_APPROVAL:
            placed = book.place(latest, Cause.APPROVAL_GRANTED, request.request_id)
            outcomes.append((placed.state, placed.reason))
            continue
        if latest is not None and latest.state.is_live:
            continue  # sits already, or waits, and nothing changes
        received_at = request.received_at
        if replacements and session.enrolment_closes_at <= received_at < session.starts_at:
            received_at = session.enrolment_opens_at  # in the place, and the time, of the one who left
        verdict = judge(session, agent, received_at, approved=True, prospects=book.prospects(agent))
        replacements -= not isinstance(verdict, Refused)
        outcomes.append(_grant(book, request, agent, verdict))
    book.give_away()
    return outcomes


# -------------------------------------------------------------------------------- about an enrolment


def _withdrawal(book: Book, request: Withdrawal) -> _Outcome:
    latest = book.latest.get(request.agent_id)
    refusal_ = judge_withdrawal(book.session, latest, request.received_at)
    if refusal_ is not None or latest is None:
        return _nothing_changes(book, request, latest, refusal_, "withdrawal")
    ended = book.move(latest, State.WITHDRAWN, Cause.WITHDRAWAL)
    by = WithdrawnBy.EMPLOYER if request.by_employer else WithdrawnBy.AGENT
    book.tell(
        EnrolmentWithdrawn(**common(ended), request_id=request.request_id, by=by, reason=request.reason)
    )
    book.give_away()
    return State.WITHDRAWN, None


def _approval(book: Book, request: ApprovalDecision) -> _Outcome:
    latest = book.latest.get(request.agent_id)
    refusal_ = judge_approval(book.session, latest, request.received_at, granted=request.granted)
    if refusal_ is not None or latest is None:
        return _nothing_changes(book, request, latest, refusal_, "approval")
    if not request.granted:
        denied = book.move(latest, State.REFUSED, Cause.APPROVAL_DENIED, reason=Reason.APPROVAL_DENIED)
        book.tell(refusal(denied, request.request_id))
        return State.REFUSED, Reason.APPROVAL_DENIED
    placed = book.place(latest, Cause.APPROVAL_GRANTED, request.request_id)
    return placed.state, placed.reason


def _offer_answer(book: Book, request: OfferAnswer) -> _Outcome:
    latest = book.latest.get(request.agent_id)
    refusal_ = judge_answer(book.session, latest, request)
    if refusal_ is not None or latest is None:
        return _nothing_changes(book, request, latest, refusal_, "offer")
    if request.accepted:
        seated = book.move(latest, State.ENROLLED, Cause.OFFER_ACCEPTED)
        book.tell(AgentEnrolled(**common(seated), request_id=request.request_id, from_waiting_list=True))
        return State.ENROLLED, None
    book.lapse(latest, LapseCause.DECLINED, request.request_id)
    book.give_away()
    return State.LAPSED, None


def _nothing_changes(
    book: Book,
    request: Withdrawal | ApprovalDecision | OfferAnswer,
    latest: Enrolment | None,
    refusal_: Refused | None,
    asked: Literal["withdrawal", "offer", "approval"],
) -> _Outcome:
    """Refuse what is asked about an enrolment; told only to somebody who is known."""
    reason = refusal_.reason if refusal_ else Reason.NOT_ENROLLED
    if latest is not None:
        book.tell(
            EnrolmentRefused(**common(latest), request_id=request.request_id, reason=reason, asked=asked)
        )
    return State.REFUSED, reason
