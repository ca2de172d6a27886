"""Séances keep their number, and so their place in calendars, whatever changes around them."""

from datetime import timedelta

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


def numbers(session: NumberedSession) -> dict[str | None, int]:
    return {module.title: module.number for module in session.numbered_modules}


def test_seances_are_numbered_by_their_place_at_first() -> None:
    assert numbers(after([A, B, C])) == {"A": 1, "B": 2, "C": 3}


def test_a_seance_keeps_its_number_when_it_is_moved_renamed_or_both() -> None:
    assert numbers(after([A, B], [a_module("A", 9), B])) == {"A": 1, "B": 2}
    assert numbers(after([A, B], [A, a_module("Bis", 2)])) == {"A": 1, "Bis": 2}
    assert numbers(after([A, B], [A, a_module("Bis", 9)])) == {"A": 1, "Bis": 2}


def test_a_seance_put_in_the_middle_shifts_no_other() -> None:
    assert numbers(after([A, C], [A, B, C])) == {"A": 1, "B": 3, "C": 2}


def test_two_seances_that_change_places_keep_their_numbers() -> None:
    assert numbers(after([A, B], [a_module("B", 1), a_module("A", 2)])) == {"A": 1, "B": 2}


def test_the_number_of_a_dropped_seance_is_never_given_again() -> None:
    assert numbers(after([A, B, C], [A, B], [A, B, C])) == {"A": 1, "B": 2, "C": 4}


def test_a_session_that_gets_seances_or_loses_them_keeps_its_entry() -> None:
    assert numbers(after([])) == {None: 0}
    assert numbers(after([], [A, B])) == {"A": 0, "B": 1}
    assert numbers(after([A, B], [])) == {None: 1}


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
TO_WHO_WAITS = LetterType.SESSION_CHANGED_WAITING


def letters_about(*states: list[Module]) -> dict[LetterType, object]:
    before, now = after(*states[:-1]), after(*states)
    change = letters.change_of(before, now, NOW)
    to_the_enrolled = [letter for letter in change.letters if letter.template is not TO_WHO_WAITS]
    return {letter.template: letter.details["modules"] for letter in to_the_enrolled}


def test_a_dropped_seance_alone_is_mailed_by_the_letter_that_cancels_it() -> None:
    gone = {"title": "B", "number": 2, "starts_at": B.starts_at.isoformat(), "ends_at": B.ends_at.isoformat()}
    assert letters_about([A, B, C], [A, C]) == {LetterType.MODULE_CANCELLED: [gone]}


def test_what_moved_and_what_was_dropped_have_a_letter_each() -> None:
    found = letters_about([A, B, C], [a_module("A", 7), C])
    assert set(found) == {LetterType.SESSION_CHANGED, LetterType.MODULE_CANCELLED}
    assert found[LetterType.SESSION_CHANGED] == [
        {"number": 1, "starts_at": A.starts_at.isoformat(), "ends_at": A.ends_at.isoformat()}
    ]


def test_who_waits_hears_of_both_in_one_letter() -> None:
    before, now = after([A, B, C]), after([A, B, C], [a_module("A", 7), C])
    details = {letter.template: letter.details for letter in letters.change_of(before, now, NOW).letters}
    assert details[TO_WHO_WAITS]["modules"] == details[LetterType.SESSION_CHANGED]["modules"]
    assert details[TO_WHO_WAITS]["gone"] == details[LetterType.MODULE_CANCELLED]["modules"]


def test_a_new_seance_is_mailed() -> None:
    assert letters_about([A, C], [A, B, C]) == {LetterType.SESSION_CHANGED: [{"number": 3}]}
