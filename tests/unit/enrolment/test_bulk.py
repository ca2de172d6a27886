"""What an action on several enrolments would come to, said before it is done."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.enrolment.rules.bulk import BulkAction, BulkConsequences, Obstacle, consequences
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from tests.support.builders import DURING, STARTS, a_session, an_agent
from tests.support.rosters import a_roster, enrol


def lines(*states: State) -> list[RosterLine]:
    """A line in each of these states."""
    roster = a_roster()
    agents = [an_agent() for _ in states]
    for agent in agents:
        enrol(roster, agent)
    return [
        RosterLine(replace(roster.latest[agent.key], state=state), DURING, None, False, {}, {}, ())
        for agent, state in zip(agents, states, strict=True)
    ]


def follows(
    *states: State,
    action: BulkAction = BulkAction.WITHDRAW,
    waiting: int = 0,
    now: datetime = DURING,
    **session: Any,
) -> BulkConsequences:
    return consequences(a_session(**session), lines(*states), action, waiting, now)


def test_seats_that_are_given_up_serve_who_waits() -> None:
    found = follows(State.ENROLLED, State.OFFERED, State.WAITLISTED, waiting=5, waiting_list="automatic")
    assert (len(found.possible), found.seats_freed, found.to_serve) == (3, 2, 2)


def test_who_leaves_the_line_is_not_served() -> None:
    found = follows(State.ENROLLED, State.ENROLLED, State.WAITLISTED, waiting=2, waiting_list="offer")
    assert (found.seats_freed, found.to_serve) == (2, 1)


def test_without_a_waiting_list_nobody_is_served() -> None:
    assert follows(State.ENROLLED, waiting=3, waiting_list="none").to_serve == 0


def test_what_has_ended_or_begun_is_not_withdrawn() -> None:
    found = follows(State.WITHDRAWN, State.ENROLLED, State.WAITLISTED, now=STARTS)
    assert [why for _, why in found.impossible] == [Obstacle.HAS_ENDED, Obstacle.HAS_STARTED]
    assert [line.enrolment.state for line in found.possible] == [State.WAITLISTED]


def test_the_answer_of_an_employer_is_noted_where_it_is_awaited_though_only_no_is_in_time() -> None:
    states = (State.ENROLLED, State.PENDING_APPROVAL)
    found = follows(*states, action=BulkAction.APPROVE, approval="employer")
    assert [why for _, why in found.impossible] == [Obstacle.AWAITS_NO_APPROVAL]
    assert (len(found.possible), found.seats_freed) == (1, 0)
    late = follows(*states, action=BulkAction.APPROVE, approval="employer", now=STARTS)
    assert [line.enrolment.state for line in late.possible] == [State.PENDING_APPROVAL]


def test_only_who_waits_has_a_priority() -> None:
    found = follows(State.ENROLLED, State.WAITLISTED, action=BulkAction.PRIORITISE, waiting=1)
    assert [why for _, why in found.impossible] == [Obstacle.NOT_IN_LINE]
    assert (len(found.possible), found.seats_freed, found.to_serve) == (1, 0, 0)


def test_only_who_has_a_seat_moves_and_leaves_it_to_who_waits() -> None:
    states = (State.ENROLLED, State.WAITLISTED, State.WITHDRAWN)
    found = follows(*states, action=BulkAction.MOVE, waiting=1, waiting_list="automatic")
    assert [why for _, why in found.impossible] == [Obstacle.HAS_NO_SEAT, Obstacle.HAS_ENDED]
    assert (len(found.possible), found.seats_freed, found.to_serve) == (1, 1, 1)
