"""The whole lifecycle is walked, and nothing besides (rules 1 to 9).

The table is compared with the transitions there are: a new one without a scenario fails.
"""

from itertools import product

import pytest

from services.enrolment.rules.states import TRANSITIONS, Cause, State
from shared.events.enrolment import DECISIONS
from tests.support.scenarios import Play, play

_S = State
AGENT_IN: dict[State, str] = {
    _S.PENDING_APPROVAL: "approval=employer | ask a > P",
    _S.PENDING_SELECTION: "approval=selection | ask a > S",
    _S.WAITLISTED: "seats=0 | ask a > W",
    _S.OFFERED: "seats=0 list=offer | ask a | seats=1 > O",
    _S.ENROLLED: "modules=2 | ask a | at ends > E",
    _S.ATTENDED: "modules=2 | ask a | at ends | see a came > A",
    _S.ABSENT: "modules=2 | ask a | at ends | see a missed missed > M",
    _S.ABSENT_JUSTIFIED: "modules=2 | ask a | at ends | see a excused excused > J",
    _S.CERTIFIED: "modules=2 | ask a | at ends | see a came missed > C",
    _S.REFUSED: "seats=0 list=none | ask a > R session_full",
    _S.LAPSED: "seats=0 list=offer | ask a | seats=1 | no a > L",
    _S.NOT_OBTAINED: "seats=0 | ask a | due starts+grace > N",
    _S.WITHDRAWN: "seats=0 | ask a | leave a > X",
    _S.SESSION_CANCELLED: "seats=0 | ask a | status=cancelled > Z",
}
"""How an agent comes to a state."""

STEPS: dict[tuple[State, State], str] = {
    (_S.PENDING_APPROVAL, _S.ENROLLED): "agree a > E",
    (_S.PENDING_APPROVAL, _S.WAITLISTED): "seats=0 | agree a > W",
    (_S.PENDING_APPROVAL, _S.PENDING_SELECTION): "approval=employer_then_selection | agree a > S",
    (_S.PENDING_APPROVAL, _S.REFUSED): "deny a > R approval_denied",
    (_S.PENDING_APPROVAL, _S.WITHDRAWN): "leave a > X",
    (_S.PENDING_APPROVAL, _S.SESSION_CANCELLED): "status=cancelled > Z",
    (_S.PENDING_SELECTION, _S.ENROLLED): "rank a > E",
    (_S.PENDING_SELECTION, _S.WAITLISTED): "seats=0 | rank a > W",
    (_S.PENDING_SELECTION, _S.REFUSED): "rank not a > R not_selected",
    (_S.PENDING_SELECTION, _S.WITHDRAWN): "leave a > X",
    (_S.PENDING_SELECTION, _S.SESSION_CANCELLED): "status=cancelled > Z",
    (_S.WAITLISTED, _S.WAITLISTED): "prefer a 1 > W",
    (_S.WAITLISTED, _S.OFFERED): "seats=1 list=offer > O",
    (_S.WAITLISTED, _S.ENROLLED): "seats=1 > E",
    (_S.WAITLISTED, _S.NOT_OBTAINED): "due starts+grace > N",
    (_S.WAITLISTED, _S.WITHDRAWN): "leave a > X",
    (_S.WAITLISTED, _S.SESSION_CANCELLED): "status=cancelled > Z",
    (_S.OFFERED, _S.OFFERED): "starts=during+5day > O",
    (_S.OFFERED, _S.ENROLLED): "yes a > E",
    (_S.OFFERED, _S.LAPSED): "no a > L",
    (_S.OFFERED, _S.WITHDRAWN): "leave a > X",
    (_S.OFFERED, _S.SESSION_CANCELLED): "status=cancelled > Z",
    (_S.ENROLLED, _S.WITHDRAWN): "leave a @during > X",
    (_S.ENROLLED, _S.SESSION_CANCELLED): "status=cancelled > Z",
    (_S.ENROLLED, _S.ENROLLED): "see a missed > E",
    (_S.ENROLLED, _S.ATTENDED): "see a came > A",
    (_S.ENROLLED, _S.ABSENT): "modules=1 | see a missed > M",
    (_S.ENROLLED, _S.ABSENT_JUSTIFIED): "modules=1 | see a excused > J",
    (_S.ENROLLED, _S.CERTIFIED): "modules=1 | see a came > C",
    # Corrections, and modules that were added or taken out after the first were recorded.
    (_S.ATTENDED, _S.ENROLLED): "see a missed > E",
    (_S.ATTENDED, _S.ATTENDED): "modules=3 | see a - came > A",
    (_S.ATTENDED, _S.ABSENT): "modules=1 | see a missed > M",
    (_S.ATTENDED, _S.ABSENT_JUSTIFIED): "modules=1 | see a excused > J",
    (_S.ATTENDED, _S.CERTIFIED): "see a - missed > C",
    (_S.ABSENT, _S.ENROLLED): "modules=3 | see a excused > E",
    (_S.ABSENT, _S.ATTENDED): "modules=3 | see a came > A",
    (_S.ABSENT, _S.ABSENT): "see a excused > M",
    (_S.ABSENT, _S.ABSENT_JUSTIFIED): "see a excused excused > J",
    (_S.ABSENT, _S.CERTIFIED): "see a came > C",
    (_S.ABSENT_JUSTIFIED, _S.ENROLLED): "modules=3 | see a missed > E",
    (_S.ABSENT_JUSTIFIED, _S.ATTENDED): "modules=3 | see a came > A",
    (_S.ABSENT_JUSTIFIED, _S.ABSENT): "see a missed > M",
    (_S.ABSENT_JUSTIFIED, _S.ABSENT_JUSTIFIED): "modules=3 | see a - - excused > J",
    (_S.ABSENT_JUSTIFIED, _S.CERTIFIED): "see a came > C",
    (_S.CERTIFIED, _S.ENROLLED): "modules=3 | see a missed > E",
    (_S.CERTIFIED, _S.ATTENDED): "modules=3 | see a - excused > A",
    (_S.CERTIFIED, _S.ABSENT): "see a missed > M",
    (_S.CERTIFIED, _S.ABSENT_JUSTIFIED): "modules=1 | see a excused > J",
    (_S.CERTIFIED, _S.CERTIFIED): "see a - came > C",
}

LEGAL = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}


def walk(before: State, after: State) -> Play:
    """Bring an agent to the first state, then to the second."""
    return play(f"{AGENT_IN[before]} | {STEPS[before, after]}")


def test_every_state_and_every_transition_has_a_scenario() -> None:
    assert set(TRANSITIONS) == set(AGENT_IN) == set(State)
    assert set(STEPS) == LEGAL


@pytest.mark.parametrize(("before", "after"), STEPS, ids=str)
def test_the_lifecycle_is_walked(before: State, after: State) -> None:
    version = play(AGENT_IN[before]).enrolment("a").version
    played = walk(before, after)
    versions = [change.enrolment.version for change in played.roster.changes]
    assert versions == [version + number for number, _ in enumerate(versions, 1)]
    assert (played.enrolment("a").state, played.enrolment("a").version) == (after, versions[-1])


@pytest.mark.parametrize(("before", "after"), sorted(set(product(State, State)) - LEGAL), ids=str)
def test_nothing_else_ever_happens(before: State, after: State) -> None:
    played = play(AGENT_IN[before])
    was = played.enrolment("a")
    with pytest.raises(ValueError, match=f"that is {before} never becomes {after}"):
        played.roster.move(was, after, Cause.SEAT_FREED)
    assert played.enrolment("a") is was


def test_what_has_ended_moves_no_more_and_what_is_live_can_end() -> None:
    for state, afters in TRANSITIONS.items():
        assert bool(afters) is state.is_live
    seen = {_S.ATTENDED, _S.ABSENT, _S.ABSENT_JUSTIFIED, _S.CERTIFIED}
    assert {state for state in State if state.has_seat} == {_S.ENROLLED, *seen}


def test_every_event_is_published() -> None:
    assert {type(event) for step in STEPS for event in walk(*step).events} == set(DECISIONS)
