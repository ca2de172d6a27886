"""The whole lifecycle is walked, and nothing besides (rules 1 to 9).

The table is compared with the transitions there are: a new one without a scenario fails.
"""

from itertools import pairwise, product

import pytest

from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import TRANSITIONS, Cause, State
from shared.events.enrolment import DECISIONS
from tests.support.rosters import state_of
from tests.support.standings import (
    CAME,
    EXCUSED,
    MISSED,
    STANDING,
    Act,
    bring_forward,
    cancel,
    deny,
    end_the_line,
    grant,
    put_first,
    raise_capacity,
    raise_capacity_with_offers,
    say_no,
    say_yes,
    seen,
    select,
    turn_down,
    when_full,
    where_candidates_are_selected,
    withdraw,
)

_S = State
ACTS: dict[tuple[State, State], Act] = {
    (_S.PENDING_APPROVAL, _S.ENROLLED): grant,
    (_S.PENDING_APPROVAL, _S.WAITLISTED): when_full(grant),
    (_S.PENDING_APPROVAL, _S.PENDING_SELECTION): where_candidates_are_selected(grant),
    (_S.PENDING_APPROVAL, _S.REFUSED): deny,
    (_S.PENDING_APPROVAL, _S.WITHDRAWN): withdraw,
    (_S.PENDING_APPROVAL, _S.SESSION_CANCELLED): cancel,
    (_S.PENDING_SELECTION, _S.ENROLLED): select,
    (_S.PENDING_SELECTION, _S.WAITLISTED): when_full(select),
    (_S.PENDING_SELECTION, _S.REFUSED): turn_down,
    (_S.PENDING_SELECTION, _S.WITHDRAWN): withdraw,
    (_S.PENDING_SELECTION, _S.SESSION_CANCELLED): cancel,
    (_S.WAITLISTED, _S.WAITLISTED): put_first,
    (_S.WAITLISTED, _S.OFFERED): raise_capacity_with_offers,
    (_S.WAITLISTED, _S.ENROLLED): raise_capacity,
    (_S.WAITLISTED, _S.NOT_OBTAINED): end_the_line,
    (_S.WAITLISTED, _S.WITHDRAWN): withdraw,
    (_S.WAITLISTED, _S.SESSION_CANCELLED): cancel,
    (_S.OFFERED, _S.OFFERED): bring_forward,
    (_S.OFFERED, _S.ENROLLED): say_yes,
    (_S.OFFERED, _S.LAPSED): say_no,
    (_S.OFFERED, _S.WITHDRAWN): withdraw,
    (_S.OFFERED, _S.SESSION_CANCELLED): cancel,
    (_S.ENROLLED, _S.WITHDRAWN): withdraw,
    (_S.ENROLLED, _S.SESSION_CANCELLED): cancel,
    (_S.ENROLLED, _S.ENROLLED): seen(MISSED),
    (_S.ENROLLED, _S.ATTENDED): seen(CAME),
    (_S.ENROLLED, _S.ABSENT): seen(MISSED, EXCUSED),
    (_S.ENROLLED, _S.ABSENT_JUSTIFIED): seen(EXCUSED, EXCUSED),
    (_S.ENROLLED, _S.CERTIFIED): seen(MISSED, CAME),
    # Corrections, and modules that were added or taken out after the first were recorded.
    (_S.ATTENDED, _S.ENROLLED): seen(MISSED),
    (_S.ATTENDED, _S.ATTENDED): seen(CAME, first=1, of=3),
    (_S.ATTENDED, _S.ABSENT): seen(MISSED, of=1),
    (_S.ATTENDED, _S.ABSENT_JUSTIFIED): seen(EXCUSED, of=1),
    (_S.ATTENDED, _S.CERTIFIED): seen(MISSED, first=1),
    (_S.ABSENT, _S.ENROLLED): seen(EXCUSED, of=3),
    (_S.ABSENT, _S.ATTENDED): seen(CAME, of=3),
    (_S.ABSENT, _S.ABSENT): seen(EXCUSED),
    (_S.ABSENT, _S.ABSENT_JUSTIFIED): seen(EXCUSED, EXCUSED),
    (_S.ABSENT, _S.CERTIFIED): seen(CAME),
    (_S.ABSENT_JUSTIFIED, _S.ENROLLED): seen(MISSED, of=3),
    (_S.ABSENT_JUSTIFIED, _S.ATTENDED): seen(CAME, of=3),
    (_S.ABSENT_JUSTIFIED, _S.ABSENT): seen(MISSED),
    (_S.ABSENT_JUSTIFIED, _S.ABSENT_JUSTIFIED): seen(EXCUSED, first=2, of=3),
    (_S.ABSENT_JUSTIFIED, _S.CERTIFIED): seen(CAME),
    (_S.CERTIFIED, _S.ENROLLED): seen(MISSED, of=3),
    (_S.CERTIFIED, _S.ATTENDED): seen(EXCUSED, first=1, of=3),
    (_S.CERTIFIED, _S.ABSENT): seen(MISSED),
    (_S.CERTIFIED, _S.ABSENT_JUSTIFIED): seen(EXCUSED, of=1),
    (_S.CERTIFIED, _S.CERTIFIED): seen(CAME, first=1),
}

LEGAL = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}


def test_every_state_has_its_transitions_and_somebody_who_stands_there() -> None:
    assert set(TRANSITIONS) == set(STANDING) == set(State)


def test_every_transition_of_the_lifecycle_has_a_scenario_and_every_scenario_is_of_the_lifecycle() -> None:
    assert set(ACTS) == LEGAL


@pytest.mark.parametrize(("before", "after"), ACTS, ids=str)
def test_the_lifecycle_is_walked(before: State, after: State) -> None:
    roster, agent = STANDING[before]()
    assert state_of(roster, agent) is before
    version, moves = roster.latest[agent.key].version, len(roster.changes)
    ACTS[before, after](roster, agent)
    states = [change.enrolment.state for change in roster.changes[moves:] if change.enrolment.agent == agent]
    assert (before, after) in pairwise([before, *states])
    assert roster.latest[agent.key].version == version + len(states)
    the_counts_agree(roster)


@pytest.mark.parametrize(("before", "after"), sorted(set(product(State, State)) - LEGAL), ids=str)
def test_nothing_else_ever_happens(before: State, after: State) -> None:
    roster, agent = STANDING[before]()
    was, moves = roster.latest[agent.key], len(roster.changes)
    with pytest.raises(ValueError, match=f"that is {before} never becomes {after}"):
        roster.move(was, after, Cause.SEAT_FREED)
    assert (roster.latest[agent.key], len(roster.changes)) == (was, moves)
    the_counts_agree(roster)


def the_counts_agree(roster: SessionRoster) -> None:
    states = [enrolment.state for enrolment in roster.latest.values()]
    assert roster.seats.enrolled == sum(state.has_seat for state in states)
    assert roster.seats.offered == states.count(State.OFFERED)
    assert len(roster.waiting_list) == states.count(State.WAITLISTED)


def test_what_has_ended_moves_no_more_and_what_is_live_can_end() -> None:
    for state, afters in TRANSITIONS.items():
        assert bool(afters) is state.is_live
    assert {state for state in State if state.has_seat} == {
        _S.ENROLLED,
        _S.ATTENDED,
        _S.ABSENT,
        _S.ABSENT_JUSTIFIED,
        _S.CERTIFIED,
    }


def test_every_event_is_published() -> None:
    published = set()
    for (before, _), act in ACTS.items():
        roster, agent = STANDING[before]()
        act(roster, agent)
        published |= {type(event) for event, _ in roster.decisions}
    assert published == set(DECISIONS)
