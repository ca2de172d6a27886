"""A session can have a minimum; under it at the close its organiser is notified, once (rule 15)."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import MinimumMissed
from shared.events.vocabulary import AgentKey
from tests.support.builders import CLOSES, an_agent
from tests.support.rosters import (
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    changed,
    decided,
    enrol,
    ranks,
    reopened,
    state_of,
)

TICK = timedelta(microseconds=1)
GRACE = Policy().grace
LATER = CLOSES + timedelta(days=2)


def taking_part(number: int, **session: Any) -> SessionRoster:
    """A session that needs three, in which as many have a seat."""
    needs_three: dict[str, Any] = {"minimum": 3, "waiting_list": "offer"}
    roster = a_roster(**needs_three | session)
    enrol(roster, *agents(number))
    return roster


def notices(roster: SessionRoster) -> list[tuple[int, int, int]]:
    return [
        (notice.enrolled, notice.offered, notice.candidates)
        for notice in roster.notices
        if isinstance(notice, MinimumMissed)
    ]


def test_under_the_minimum_at_the_close_the_organiser_is_told() -> None:
    roster = taking_part(2, organiser="bretagne")
    decided(roster, at=CLOSES + GRACE)
    assert roster.notices == [
        MinimumMissed(
            session_id=roster.session.session_id,
            session_version=roster.session.version,
            organiser="bretagne",
            minimum=3,
            enrolled=2,
            offered=0,
            candidates=0,
        )
    ]


def test_nothing_happens_to_the_session_or_to_who_is_in_it_by_itself() -> None:
    roster = taking_part(2)
    assert decided(roster, at=CLOSES + GRACE) == []
    assert roster.changes == []


@pytest.mark.parametrize("number", [3, 4])
def test_who_reaches_the_minimum_is_not_spoken_of(number: int) -> None:
    roster = taking_part(number)
    decided(roster, at=CLOSES + GRACE)
    assert roster.notices == []


def test_a_session_without_a_minimum_may_be_empty() -> None:
    roster = taking_part(0, minimum=None)
    assert roster.close_due_at() is None
    decided(roster, at=CLOSES + GRACE)
    assert roster.notices == []


def test_it_is_judged_when_every_request_received_by_the_close_is_answered() -> None:
    roster = taking_part(2)
    decided(roster, at=CLOSES + GRACE - TICK)
    assert notices(roster) == []
    decided(roster, a_seat_request(roster, received_at=CLOSES - TICK))
    decided(roster, at=CLOSES + GRACE)
    assert notices(roster) == [], "the third asked in time"


def test_it_is_judged_once_also_when_more_leave_after() -> None:
    roster, leaving = taking_part(2), an_agent()
    enrol(roster, leaving)
    decided(roster, at=CLOSES + GRACE)
    decided(roster, a_withdrawal(roster, leaving))
    assert roster.close_due_at() is None
    decided(roster, at=LATER)
    assert notices(roster) == []


def test_it_is_told_once_however_often_what_is_due_is_done() -> None:
    roster = taking_part(2)
    decided(roster, at=CLOSES + GRACE)
    again = reopened(roster)
    decided(again, at=LATER)
    assert notices(again) == [(2, 0, 0)]


def test_a_deadline_that_is_put_off_is_judged_anew() -> None:
    roster = taking_part(2)
    decided(roster, at=CLOSES + GRACE)
    changed(roster, enrolment_closes_at=LATER)
    assert roster.close_due_at() == LATER
    decided(roster, at=LATER + GRACE - TICK)
    assert len(roster.notices) == 1
    decided(roster, at=LATER + GRACE)
    assert len(roster.notices) == 2


def test_a_seat_that_is_held_for_an_answer_counts() -> None:
    roster, leaving, waiting = taking_part(2, capacity=3), an_agent(), an_agent()
    enrol(roster, leaving, waiting)
    decided(roster, a_withdrawal(roster, leaving, received_at=CLOSES - TICK), at=CLOSES)
    assert state_of(roster, waiting) is State.OFFERED
    decided(roster, at=CLOSES + GRACE)
    assert notices(roster) == []


@pytest.mark.parametrize(("number", "missed"), [(2, [(0, 0, 2)]), (3, [])])
def test_candidates_count_since_they_are_selected_after_the_close(
    number: int, missed: list[tuple[int, int, int]]
) -> None:
    roster = taking_part(number, approval="selection")
    decided(roster, at=CLOSES + GRACE)
    assert notices(roster) == missed


def test_who_was_not_selected_before_the_close_does_not_count() -> None:
    roster = taking_part(3, approval="selection")
    candidates: list[AgentKey] = list(roster.latest)
    ranks(roster, candidates[:2], candidates[2:])
    decided(roster, at=CLOSES + GRACE)
    assert notices(roster) == [(2, 0, 0)]


def test_who_waits_for_the_employer_at_the_close_does_not_count() -> None:
    roster = taking_part(2, approval="employer")
    decided(roster, a_seat_request(roster, approved=False))
    decided(roster, at=CLOSES + GRACE)
    assert notices(roster) == [(2, 0, 0)]


def test_a_cancelled_session_needs_nobody() -> None:
    roster = taking_part(0)
    changed(roster, status="cancelled")
    assert roster.close_due_at() is None
    decided(roster, at=CLOSES + GRACE)
    assert notices(roster) == []
