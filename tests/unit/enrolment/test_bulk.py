"""The consequences of an action on several enrolments, before it is done."""

from dataclasses import replace
from datetime import datetime

import pytest

from services.enrolment.rules.bulk import BulkAction, Obstacle, consequences
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from tests.support.builders import DURING, STARTS, a_session
from tests.support.scenarios import LETTERS, play

STATES = {letter: state for state, letter in LETTERS.items()}
WITHDRAW, PRIORITISE, APPROVE, MOVE = BulkAction


def a_line(state: State) -> RosterLine:
    enrolment = replace(play("seats=1 | ask a").enrolment("a"), state=state)
    return RosterLine(enrolment, DURING, None, False, {}, {}, ())


@pytest.mark.parametrize(
    ("action", "states", "waiting", "line", "expected"),
    [
        (WITHDRAW, "EOW", 5, "automatic", ("EOW", 2, 2)),
        (WITHDRAW, "EEW", 2, "offer", ("EEW", 2, 1)),  # one of two leaves the line
        (WITHDRAW, "E", 3, "none", ("E", 1, 0)),
        (APPROVE, "EP", 0, "automatic", ("P", 0, 0)),
        (PRIORITISE, "EW", 1, "automatic", ("W", 0, 0)),
        (MOVE, "EWX", 1, "automatic", ("E", 1, 1)),
    ],
)
def test_the_seats_that_an_action_frees_serve_the_waiting_list(
    action: BulkAction, states: str, waiting: int, line: str, expected: tuple[str, int, int]
) -> None:
    lines = [a_line(STATES[letter]) for letter in states]
    found = consequences(a_session(waiting_list=line), lines, action, waiting, DURING)
    possible = "".join(LETTERS[each.enrolment.state] for each in found.possible)
    assert (possible, found.seats_freed, found.to_serve) == expected


@pytest.mark.parametrize(
    ("action", "state", "now", "obstacle"),
    [
        (WITHDRAW, "X", DURING, Obstacle.HAS_ENDED),
        (WITHDRAW, "E", STARTS, Obstacle.HAS_STARTED),
        (WITHDRAW, "W", STARTS, None),
        (APPROVE, "E", DURING, Obstacle.AWAITS_NO_APPROVAL),
        (APPROVE, "P", STARTS, None),  # only no is in time
        (PRIORITISE, "E", DURING, Obstacle.NOT_IN_LINE),
        (MOVE, "W", DURING, Obstacle.HAS_NO_SEAT),
        (MOVE, "X", DURING, Obstacle.HAS_ENDED),
    ],
)
def test_an_action_is_not_possible_for_every_state(
    action: BulkAction, state: str, now: datetime, obstacle: Obstacle | None
) -> None:
    found = consequences(a_session(), [a_line(STATES[state])], action, 0, now)
    assert [why for _, why in found.impossible] == ([] if obstacle is None else [obstacle])
