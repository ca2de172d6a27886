"""Séances keep their number, and so their place in calendars, whatever changes around them."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import letters
from services.notifier.letters import LetterType, NumberedSession, numbered
from shared.events.catalogue import Module
from shared.events.seances import MAX_GONE, dropped
from tests.unit.notifier.builders import a_session, at, the_mooc


def a_module(title: str, day: int) -> Module:
    start = at("2025-04-01T09:00+02:00") + timedelta(days=day)
    return Module(title=title, starts_at=start, ends_at=start + timedelta(hours=3))


A, B, C = a_module("A", 1), a_module("B", 2), a_module("C", 3)


def after(*states: list[Module]) -> NumberedSession:
    """A session that had these séances, one state after the other."""
    known: NumberedSession | None = None
    for version, modules in enumerate(states, start=1):
        event = a_session(version=version, modules=[module.model_dump() for module in modules])
        known = numbered(event, known)
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([[A, B, C]], {"A": 1, "B": 2, "C": 3}),
        ([[A, B], [a_module("A", 9), B]], {"A": 1, "B": 2}),
        ([[A, B], [A, a_module("Bis", 2)]], {"A": 1, "Bis": 2}),
        ([[A, B], [A, a_module("Bis", 9)]], {"A": 1, "Bis": 2}),
        ([[A, C], [A, B, C]], {"A": 1, "B": 3, "C": 2}),
        ([[A, B], [a_module("B", 1), a_module("A", 2)]], {"A": 1, "B": 2}),
        ([[A, B, C], [A, B], [A, B, C]], {"A": 1, "B": 2, "C": 4}),
        ([[]], {None: 0}),
        ([[], [A, B]], {"A": 0, "B": 1}),
        ([[A, B], []], {None: 1}),
    ],
    ids=[
        *("by their place", "moved", "renamed", "moved and renamed", "put in the middle", "change places"),
        *("dropped and put back", "none", "the first", "all dropped"),
    ],
)
def test_a_seance_keeps_its_number_and_so_its_entry_in_calendars(
    states: list[list[Module]], expected: dict[str | None, int]
) -> None:
    assert {module.title: module.number for module in after(*states).numbered_modules} == expected


def test_a_session_stored_before_there_were_numbers_has_those_of_its_places() -> None:
    stored = the_mooc().model_dump(mode="json", exclude={"numbers", "last_number", "gone"})
    session = NumberedSession.model_validate(stored)
    assert [module.number for module in session.numbered_modules] == [1, 2, 3]
    assert session.gone == ()


def test_what_is_dropped_is_kept_with_its_number_and_dates_also_when_stored() -> None:
    session = after([A, B, C], [A, C], [a_module("A", 9)])
    assert [(module.number, module.title, module.starts_at) for module in session.gone] == [
        (2, "B", B.starts_at),
        (3, "C", C.starts_at),
    ]
    assert NumberedSession.model_validate_json(session.model_dump_json()) == session


def test_of_what_is_dropped_again_and_again_the_last_hundred_are_kept() -> None:
    states = [[a_module(str(number), number % 28), A] for number in range(130)]
    session = after(*[part for state in states for part in (state, [A])])
    assert len(session.gone) == MAX_GONE
    assert session.gone[-1].title == "129"


STATES = st.lists(
    st.lists(st.builds(a_module, st.sampled_from("ABCD"), st.integers(0, 4)), max_size=5),
    min_size=1,
    max_size=6,
)


@given(STATES)
def test_whatever_happens_no_number_is_given_twice(states: list[list[Module]]) -> None:
    gone: set[int] = set()
    known: NumberedSession | None = None
    for version, modules in enumerate(states, start=1):
        event = a_session(version=version, modules=[module.model_dump() for module in modules])
        before, known = known, numbered(event, known)
        found = [module.number for module in known.numbered_modules]
        assert len(set(found)) == len(found) == max(1, len(modules))
        assert not gone & set(found)
        if before is not None:
            gone |= {module.number for module in dropped(before, known)}
        assert {module.number for module in known.gone} == gone


# ------------------------------------------------------------------- the letters about it

NOW = at("2025-03-12T10:00+01:00")
TO_THE_WAITING = LetterType.SESSION_CHANGED_WAITING


GONE = {"title": "B", "number": 2, "starts_at": B.starts_at.isoformat(), "ends_at": B.ends_at.isoformat()}
MOVED = {"number": 1, "starts_at": A.starts_at.isoformat(), "ends_at": A.ends_at.isoformat()}
CHANGED, CANCELLED = LetterType.SESSION_CHANGED, LetterType.MODULE_CANCELLED


@pytest.mark.parametrize(
    ("before", "now", "called_for"),
    [
        (
            [A, B, C],
            [A, C],
            {CANCELLED: {"modules": [GONE]}, TO_THE_WAITING: {"gone": [GONE]}},
        ),
        (
            [A, B, C],
            [a_module("A", 7), C],
            {
                CHANGED: {"modules": [MOVED]},
                CANCELLED: {"modules": [GONE]},
                TO_THE_WAITING: {"modules": [MOVED], "gone": [GONE]},
            },
        ),
        (
            [A, C],
            [A, B, C],
            {CHANGED: {"modules": [{"number": 3}]}, TO_THE_WAITING: {"modules": [{"number": 3}]}},
        ),
    ],
    ids=["dropped", "moved and dropped", "new"],
)
def test_moved_and_dropped_seances_have_a_letter_each_and_agents_who_wait_get_one_about_both(
    before: list[Module], now: list[Module], called_for: dict[LetterType, Any]
) -> None:
    found = letters.change_of(after(before), after(before, now), NOW).letters
    assert {letter.template: letter.details for letter in found} == called_for
