"""Rosters to try the rules on, and requests for them; a test gives only what matters to it.

Everybody is loaded in these rosters, as the store would do for an organiser. Requests are received at the
roster's moment unless a test says otherwise.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.answering import decide
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.expiry import expire
from services.enrolment.rules.organising import OrganisingFault, RankingFault, rank
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    RequestResult,
    SeatRequest,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.seats import Seats
from services.enrolment.rules.session_changes import apply_state
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from services.enrolment.rules.waiting_list import SessionWaitingList, WaitingGroup
from shared.events.catalogue import SessionState
from shared.events.enrolment import Decision
from shared.events.portal import QuestionAnswer
from shared.events.vocabulary import Agent, AgentKey, Contact
from tests.support.builders import DURING, a_session, an_agent

RENNES, NANTES, BREST, AJACCIO = "21350238800019", "21440109300015", "21290019300010", "21200004600012"


def agents(number: int, **changes: Any) -> list[Agent]:
    """As many new agents, of Rennes unless a test says otherwise."""
    return [an_agent(**changes) for _ in range(number)]


def an_agent_of(delegation: str = "bretagne", siret: str = RENNES, **changes: Any) -> Agent:
    """A new agent of this delegation and authority."""
    return an_agent(employer={"siret": siret, "name": "Ville", "delegation": delegation}, **changes)


def a_roster(
    *,
    now: datetime = DURING,
    policy: Policy | None = None,
    schedule: AgentSchedule | None = None,
    **session: Any,
) -> SessionRoster:
    """The empty roster of a local event with 20 seats; ``session`` says what else it is."""
    return SessionRoster(a_session(**session), now, policy or Policy(), schedule=schedule)


def a_waiting_list(
    waiting: Sequence[Enrolment], groups: Mapping[int, WaitingGroup] | None = None
) -> SessionWaitingList:
    """The waiting list of these enrolments, all loaded; ``groups`` wait as one place."""
    places = [enrolment.place for enrolment in waiting]
    return SessionWaitingList(len(waiting), waiting, places, groups=groups)


# ------------------------------------------------------------ requests


def a_seat_request(
    roster: SessionRoster,
    agent: Agent | None = None,
    *,
    received_at: datetime | None = None,
    approved: bool = False,
    answers: Mapping[str, object] = {},
) -> SeatRequest:
    members = _members(roster, received_at)
    return SeatRequest(*members, agent or an_agent(), approved, answers=_given(answers))


def _given(answers: Mapping[str, object]) -> tuple[QuestionAnswer, ...]:
    return tuple(QuestionAnswer.model_validate({"question_id": q, "value": v}) for q, v in answers.items())


def a_group_request(
    roster: SessionRoster,
    group: Iterable[Agent],
    *,
    all_or_nothing: bool = False,
    may_wait: bool = False,
    received_at: datetime | None = None,
) -> GroupRequest:
    return GroupRequest(*_members(roster, received_at), tuple(group), all_or_nothing, may_wait)


def a_nomination(
    roster: SessionRoster,
    named: Iterable[Agent],
    *,
    siret: str = RENNES,
    received_at: datetime | None = None,
    nominated_by: Contact | None = None,
) -> Nomination:
    return Nomination(*_members(roster, received_at), tuple(named), siret, nominated_by)


def a_withdrawal(roster: SessionRoster, agent: Agent, *, received_at: datetime | None = None) -> Withdrawal:
    return Withdrawal(*_members(roster, received_at), agent.key, None)


def an_approval(
    roster: SessionRoster, agent: Agent, *, granted: bool = True, received_at: datetime | None = None
) -> ApprovalDecision:
    return ApprovalDecision(*_members(roster, received_at), agent.key, granted)


def an_offer_answer(
    roster: SessionRoster,
    agent: Agent,
    *,
    version: int | None = None,
    received_at: datetime | None = None,
) -> OfferAnswer:
    """A yes."""
    return OfferAnswer(*_members(roster, received_at), agent.key, True, version)


def a_swap(
    here: SessionRoster,
    there: SessionRoster,
    agent: Agent,
    *,
    received_at: datetime | None = None,
    answers: Mapping[str, object] = {},
) -> Swap:
    members = _members(here, received_at)
    return Swap(*members, agent.key, there.session.session_id, _given(answers))


def _members(roster: SessionRoster, received_at: datetime | None) -> tuple[uuid.UUID, datetime, uuid.UUID]:
    return uuid.uuid4(), received_at or roster.now, roster.session.session_id


# ------------------------------------------------------------ what happens


def ranks(
    roster: SessionRoster, ranked: Sequence[AgentKey], not_selected: Sequence[AgentKey]
) -> RankingFault | OrganisingFault | None:
    """An organiser ranks the candidates; returns what is wrong with it."""
    return rank(roster, ranked, not_selected, "Anne Conseil")


def decide_in(roster: SessionRoster, requests: Sequence[Request]) -> None:
    """Answer these requests in this session, of whichever they are."""
    decide(
        {roster.session.session_id: roster} | {request.session_id: roster for request in requests}, requests
    )


def decided(roster: SessionRoster, *requests: Request, at: datetime | None = None) -> list[Decision]:
    """Answer these requests, at this moment from now on; without requests, do what is due.

    Returns the events that are published.
    """
    roster.now = at or roster.now
    before = len(roster.decisions)
    if not requests:
        expire(roster, roster.now)
    decide_in(roster, requests)
    return since(roster, before)


def decided_together(rosters: Iterable[SessionRoster], *requests: Request) -> list[RequestResult]:
    """Answer these requests in several sessions; returns what became of each, in their order."""
    by_id = {roster.session.session_id: roster for roster in rosters}
    decide(by_id, requests)
    answers = {answer.request.key: answer for roster in by_id.values() for answer in roster.results}
    return [answers[request.key] for request in requests]


def answer_to(roster: SessionRoster, request: Request, *, at: datetime | None = None) -> RequestResult:
    """Answer this request; returns what became of it."""
    decided(roster, request, at=at)
    return roster.results[-1]


def enrol(roster: SessionRoster, *asking: Agent) -> list[Decision]:
    """Answer a request for a seat of each of these, with the employer's approval."""
    return decided(roster, *(a_seat_request(roster, agent, approved=True) for agent in asking))


def changed(roster: SessionRoster, *, at: datetime | None = None, **changes: Any) -> list[Decision]:
    """Take over a change of the session from the catalogue, with all that follows from it."""
    roster.now = at or roster.now
    before = len(roster.decisions)
    _count_by_employer_anew(roster)
    apply_state(roster, next_version(roster.session, **changes))
    decide_in(roster, ())
    return since(roster, before)


def next_version(session: SessionState, **changes: Any) -> SessionState:
    """The session as it is after these changes."""
    return a_session(**(session.model_dump() | {"version": session.version + 1} | changes))


def reopened(roster: SessionRoster) -> SessionRoster:
    """Return the roster as the store would load it again, in another transaction."""
    waiting = [enrolment for enrolment in roster.latest.values() if enrolment.state is State.WAITLISTED]
    anew = replace(
        roster,
        waiting_list=a_waiting_list(waiting, roster.waiting_list.groups),
        kept=[],
        decisions=[],
        outcomes=[],
        results=[],
        changed={},
        changes=[],
        recorded={},
        void_certificates=set(),
        session_has_changed=False,
    )
    _count_by_employer_anew(anew)
    return anew


def since(roster: SessionRoster, before: int) -> list[Decision]:
    """What was published after the first ``before`` events."""
    return [event for event, _ in roster.decisions[before:]]


def _count_by_employer_anew(roster: SessionRoster) -> None:
    # As the store does for each transaction: the session may not have reserved seats when they were taken.
    seats = Seats(roster.seats.enrolled, roster.seats.offered)
    for enrolment in roster.latest.values():
        if enrolment.state.holds_seat:
            seats.take(enrolment.agent.employer)
    roster.seats = seats


# ------------------------------------------------------------ what is so


def state_of(roster: SessionRoster, agent: Agent) -> State:
    return roster.latest[agent.key].state


def states_of(roster: SessionRoster, some: Iterable[Agent]) -> list[State]:
    return [state_of(roster, agent) for agent in some]
