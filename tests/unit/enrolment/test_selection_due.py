"""At the close of enrolment the organiser is told that candidates are to be ranked, once."""

from datetime import timedelta

import pytest

from services.enrolment.rules.policy import Policy
from shared.events.enrolment import SelectionDue
from shared.events.vocabulary import AgentKey
from tests.support.builders import CLOSES
from tests.support.rosters import a_roster, a_seat_request, agents, changed, decided, enrol, ranks, reopened

GRACE = Policy().grace


@pytest.mark.parametrize("approval", ["selection", "employer_then_selection"])
def test_candidates_at_the_close_are_told_to_the_organiser_once(approval: str) -> None:
    roster = a_roster(approval=approval, capacity=20, organiser="inet")
    enrol(roster, *agents(3))
    decided(roster, at=CLOSES + GRACE - timedelta(seconds=1))
    assert roster.notices == [], "a request that came in time may be unread"
    decided(roster, at=CLOSES + GRACE)
    notices = roster.notices.copy()
    again = reopened(roster)
    decided(again, at=CLOSES + timedelta(days=1))
    assert again.notices == notices
    assert notices == [
        SelectionDue(
            session_id=roster.session.session_id,
            session_version=roster.session.version,
            organiser="inet",
            candidates=3,
            capacity=20,
            enrolled=0,
        )
    ]


def test_who_waits_for_the_employer_at_the_close_is_no_candidate() -> None:
    roster = a_roster(approval="employer_then_selection")
    decided(roster, a_seat_request(roster, approved=False))
    decided(roster, at=CLOSES + GRACE)
    assert roster.notices == []


def test_where_all_were_ranked_before_nothing_is_due() -> None:
    roster = a_roster(approval="selection")
    enrol(roster, *agents(2))
    candidates: list[AgentKey] = list(roster.latest)
    ranks(roster, candidates, [])
    decided(roster, at=CLOSES + GRACE)
    assert roster.notices == []


def test_a_cancelled_session_has_nothing_to_rank() -> None:
    roster = a_roster(approval="selection")
    enrol(roster, *agents(2))
    changed(roster, status="cancelled")
    assert roster.close_due_at() is None
    decided(roster, at=CLOSES + GRACE)
    assert roster.notices == []
