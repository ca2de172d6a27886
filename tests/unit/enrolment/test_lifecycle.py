"""The scenarios walk the whole lifecycle, and nothing besides happens (rules 1 to 9)."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import TRANSITIONS, Cause, State
from shared.events.enrolment import DECISIONS, Decision
from tests.support.scenarios import Play, play
from tests.unit.enrolment.test_scenarios import SCENARIOS

LEGAL = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}


def test_every_transition_and_every_event_has_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: set[tuple[State, State]] = set()
    published: set[type[Decision]] = set()
    move = SessionRoster.move

    def note(roster: SessionRoster, was: Enrolment, state: State, cause: Cause, **other: Any) -> Enrolment:
        walked.add((was.state, state))
        return move(roster, was, state, cause, **other)

    monkeypatch.setattr(SessionRoster, "move", note)
    for _, scenario in SCENARIOS:
        session, *steps = scenario.split("|")
        played = Play(session)
        for step in steps:
            played.step(step)
            published |= {type(event) for event in played.events}
    assert walked == LEGAL
    assert published == set(DECISIONS)


def test_nothing_else_ever_happens() -> None:
    played = play("seats=1 | ask a")
    was = played.enrolment("a")
    for before, after in set(product(State, State)) - LEGAL:
        with pytest.raises(ValueError, match=f"that is {before} never becomes {after}"):
            played.roster.move(replace(was, state=before), after, Cause.SEAT_FREED)
    assert played.enrolment("a") is was


def test_what_has_ended_moves_no_more_and_what_is_live_can_end() -> None:
    assert {state for state, afters in TRANSITIONS.items() if afters} == {
        state for state in State if state.is_live
    }
    seen = {State.ATTENDED, State.ABSENT, State.ABSENT_JUSTIFIED, State.CERTIFIED}
    assert {state for state in State if state.has_seat} == {State.ENROLLED, *seen}
