from collections.abc import Iterator, Sequence

from services.enrolment.rules.eligibility import (
    Granted,
    Refused,
    judge,
)
from services.enrolment.rules.promotion import could_seat, promote
from services.enrolment.rules.requests import (
    GroupRequest,
)
from services.enrolment.rules.seat_requests import StateAndReason, agents_once, grant, seat
from services.enrolment.rules.seats import counts_by_employer
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import (
    AgentWaitlisted,
)
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, WaitingList

MOST_WAIT_TOGETHER = 2_000
"""Agents in all waiting groups of a session whose seats count by employer: each request judges them all."""


def decide_group(roster: SessionRoster, request: GroupRequest) -> list[StateAndReason]:
    """Decide for each agent in the given order, or for all together (rule 6).

    The training officer who sends the group approves for the employer, and may nominate.
    """
    agents = agents_once(request)
    if not request.all_or_nothing:
        return [seat(roster, request, agent) for agent in agents]
    verdicts = list(_verdicts_together(roster, request, agents))
    if all(
        verdict is Granted.SEAT or _does_not_count(roster, request, agent)
        for agent, verdict in zip(agents, verdicts, strict=True)
    ):
        return [
            grant(roster, request, agent, verdict) for agent, verdict in zip(agents, verdicts, strict=True)
        ]
    if request.may_wait and _may_wait(roster, agents, verdicts):
        return _wait_together(roster, request, agents, verdicts)
    nobody = Refused(Reason.GROUP_DOES_NOT_FIT)
    return [
        grant(roster, request, agent, verdict if _bars_the_agent(verdict) else nobody)
        for agent, verdict in zip(agents, verdicts, strict=True)
    ]


def _verdicts_together(
    roster: SessionRoster, request: GroupRequest, agents: Sequence[Agent]
) -> Iterator[Granted | Refused]:
    """Judge each agent after the agents before it, on a copy of the seats."""
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
    """Ignore agents who have a seat or, if all may wait, any live enrolment."""
    latest = roster.latest.get(agent.key)
    if latest is None:
        return False
    return latest.state.has_seat or (request.may_wait and latest.state.is_live)


_ALREADY_ENROLLED = Refused(Reason.ALREADY_ENROLLED)


def _may_wait(roster: SessionRoster, agents: Sequence[Agent], verdicts: Sequence[Granted | Refused]) -> bool:
    """Return whether the new agents of a group may wait as one place (rule 17).

    Each must get a seat or place alone, apart from the present quota, and all must fit in the empty session.
    If seats count by employer, they are ``MOST_WAIT_TOGETHER`` at most with the groups before them.
    """
    session = roster.session
    if session.waiting_list is not WaitingList.AUTOMATIC or roster.line_is_over():
        return False
    new = [
        (agent, verdict)
        for agent, verdict in zip(agents, verdicts, strict=True)
        if verdict != _ALREADY_ENROLLED
    ]
    before = sum(group.members for group in roster.waiting_list.groups.values())
    if counts_by_employer(session) and before + len(new) > MOST_WAIT_TOGETHER:
        return False
    waits = Granted.SEAT, Granted.PLACE_IN_LINE, Refused(Reason.QUOTA_REACHED)
    return all(verdict in waits for _, verdict in new) and could_seat(
        roster, [agent.employer for agent, _ in new]
    )


def _wait_together(
    roster: SessionRoster,
    request: GroupRequest,
    agents: Sequence[Agent],
    verdicts: Sequence[Granted | Refused],
) -> list[StateAndReason]:
    """The group may keep free seats from now on. A single new agent waits as usual."""
    number = sum(verdict != _ALREADY_ENROLLED for verdict in verdicts)
    ticket = roster.draw_ticket(request.received_at) if number > 1 else None
    outcomes: list[StateAndReason] = []
    for agent, verdict in zip(agents, verdicts, strict=True):
        if verdict == _ALREADY_ENROLLED:
            outcomes.append(grant(roster, request, agent, verdict))
            continue
        enrolment = roster.begin(request, agent, State.WAITLISTED, together=ticket)
        position = roster.waiting_list.position(enrolment)
        members = roster.members(enrolment, request.key)
        together = None if ticket is None else number
        roster.publish(AgentWaitlisted(**members, position=position, together=together))
        outcomes.append((State.WAITLISTED, None))
    promote(roster)
    return outcomes


def _bars_the_agent(verdict: Granted | Refused) -> bool:
    return isinstance(verdict, Refused) and not verdict.reason.refusal.lacks_seat
