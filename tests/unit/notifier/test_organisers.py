"""When organisers hear of their sessions by the day, and what letters of the day say."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier.letters import (
    DetailRow,
    EnrolmentState,
    NumberedSession,
    SinceLast,
    day_of,
    digest_letter,
    returned_letter,
    rows_of,
)
from services.notifier.letters.organisers import MOST_LISTED
from tests.unit.notifier.builders import a_session, at


@pytest.mark.parametrize(
    ("organiser", "now", "is_due"),
    [
        ("bretagne", "2025-03-10T08:00+01:00", True),
        ("bretagne", "2025-03-10T07:59+01:00", False),
        ("bretagne", "2025-03-10T20:00+01:00", False),
        ("la-reunion", "2025-03-10T05:00+01:00", True),
        ("martinique", "2025-03-10T08:00+01:00", False),
        ("inset-nancy", "2025-03-10T08:00+01:00", True),
    ],
)
def test_organisers_hear_by_day_by_their_own_clocks(organiser: str, now: str, is_due: bool) -> None:
    assert (day_of(organiser, at(now)) is not None) is is_due


def test_a_day_ends_before_its_letter_is_written_and_is_the_same_until_the_evening() -> None:
    first, last = (day_of("bretagne", at(f"2025-03-10T{hour}+01:00")) for hour in ("08:00", "19:59"))
    assert first == last
    assert first is not None
    assert (first.before, first.until) == (at("2025-03-09T07:45+01:00"), at("2025-03-10T07:45+01:00"))
    elsewhere = day_of("corse", at("2025-03-10T08:00+01:00"))
    assert elsewhere is not None
    assert elsewhere.day_id != first.day_id


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26"])
def test_the_day_on_which_the_clocks_change_leaves_nothing_out(day: str) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00+01:00")
    today, yesterday = day_of("bretagne", noon), day_of("bretagne", noon - timedelta(days=1))
    assert today is not None
    assert yesterday is not None
    assert today.before == yesterday.until
    assert today.day_id != yesterday.day_id


def test_a_long_list_is_cut_and_counted_whole() -> None:
    letter = returned_letter({UUID(int=number): 2 for number in range(MOST_LISTED + 10)})
    assert letter is not None
    assert returned_letter({}) is None
    assert len(rows_of(letter.details, "sessions")) == MOST_LISTED
    assert (letter.details["in_all"], letter.details["people"]) == (MOST_LISTED + 10, 2 * (MOST_LISTED + 10))


NOW = at("2025-03-10T08:00+01:00")


def session_of(*, closes: float, starts: float, **changes: Any) -> NumberedSession:
    """A session whose enrolment closes, and that begins, so many days from now."""
    begins = NOW + timedelta(days=starts)
    return a_session(
        enrolment_opens_at=NOW - timedelta(days=60),
        enrolment_closes_at=NOW + timedelta(days=closes),
        starts_at=begins,
        ends_at=begins + timedelta(hours=7),
        **changes,
    )


def rows(session: NumberedSession, returned: int = 0, **standings: int) -> tuple[DetailRow, ...]:
    counts = {session.session_id: {EnrolmentState(name): number for name, number in standings.items()}}
    people = {session.session_id: returned} if returned else {}
    letter = digest_letter([session], counts, {}, people, NOW)
    return () if letter is None else rows_of(letter.details, "sessions")


@pytest.mark.parametrize(
    ("closes", "starts", "is_listed"),
    [(7, 30, True), (7.1, 30, False), (-1, 7, True), (-1, 7.1, False), (20, -1, False), (5, -1, True)],
)
def test_a_session_that_begins_or_closes_within_seven_days_is_in_the_digest(
    closes: float, starts: float, is_listed: bool
) -> None:
    assert bool(rows(session_of(closes=closes, starts=starts), enrolled=12)) is is_listed


@pytest.mark.parametrize(
    ("approval", "closes", "to_rank"),
    [
        ("selection", -3, 34),
        ("employer_then_selection", -3, 34),
        ("employer", -3, None),
        ("selection", 3, 0),
        ("none", -3, None),
    ],
)
def test_candidates_are_to_rank_from_the_close_on_however_late_the_session_begins(
    approval: str, closes: float, to_rank: int | None
) -> None:
    found = rows(session_of(closes=closes, starts=40, approval=approval), pending=34)
    assert [row["to_rank"] for row in found] == ([] if to_rank is None else [to_rank])


@pytest.mark.parametrize(
    ("closes", "starts", "standings", "missed"),
    [
        (-1, 5, {"enrolled": 11}, 12),
        (-1, 5, {"enrolled": 11, "offered": 1}, 0),
        (-1, 5, {"enrolled": 11, "waitlisted": 5}, 12),
        (-1, 5, {"enrolled": 2, "pending": 10}, 0),
        (2, 5, {"enrolled": 1}, 0),
        (-2, -1, {"enrolled": 1}, 0),
    ],
)
def test_a_minimum_is_missed_between_close_and_start_if_seats_offers_and_candidates_are_too_few(
    closes: float, starts: float, standings: dict[str, int], missed: int
) -> None:
    session = session_of(closes=closes, starts=starts, minimum=12, approval="selection")
    (row,) = rows(session, returned=1, **standings)
    assert row["minimum_missed"] == missed


def test_what_is_to_be_decided_comes_first_and_returned_mails_put_any_session_in_the_digest() -> None:
    later, closed, soon = (
        session_of(closes=20, starts=40, session_id=UUID(int=1)),
        session_of(closes=-1, starts=30, session_id=UUID(int=2), minimum=12),
        session_of(closes=2, starts=5, session_id=UUID(int=3)),
    )
    letter = digest_letter([later, soon, closed], {}, {}, {later.session_id: 2}, NOW)
    assert letter is not None
    assert [UUID(str(row["session"])).int for row in rows_of(letter.details, "sessions")] == [2, 3, 1]
    assert (letter.details["to_decide"], letter.details["soon"], letter.details["in_all"]) == (1, 1, 3)


def test_new_and_ended_enrolments_put_any_session_in_the_digest_and_a_quiet_session_is_in_none() -> None:
    far, quiet = session_of(closes=20, starts=40), session_of(closes=20, starts=40, session_id=uuid4())
    assert digest_letter([quiet], {}, {}, {}, NOW) is None
    letter = digest_letter([far, quiet], {}, {far.session_id: SinceLast(new=3, left=1)}, {}, NOW)
    assert letter is not None
    (row,) = rows_of(letter.details, "sessions")
    assert (row["session"], row["new"], row["left"]) == (str(far.session_id), 3, 1)
    assert (letter.details["new"], letter.details["left"], letter.details["soon"]) == (3, 1, 0)
