"""Every reason is given, every cause kept, every fault returned.

Each table is compared with what there is: a new reason, cause or fault without a scenario fails.
"""

import re
from dataclasses import replace
from typing import Any

import pytest

from services.enrolment.rules.enrolments import Enrolment, refusal_event, refused_enrolment
from services.enrolment.rules.named_agents import AgentsByName, NamedAgent
from services.enrolment.rules.organising import (
    OrganisingFault,
    attendance_marks,
    judge_correction,
    judge_destination,
    judge_join,
)
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import Attendance
from shared.events.reasons import Reason
from shared.events.vocabulary import AgentKey
from tests.support.builders import DURING, ENDS, a_session, an_agent
from tests.support.rosters import a_roster, a_seat_request
from tests.support.scenarios import play
from tests.unit.enrolment.test_scenarios import SCENARIOS

GIVEN = {
    word for _, scenario in SCENARIOS for word in re.findall(r"> ([^|]*)", scenario) for word in word.split()
}
"""What a step of the scenarios comes to."""

REASONS_ELSEWHERE = {
    Reason.UNKNOWN_SESSION: "below",
    Reason.OVERLAPPING_SESSION: "test_overlap.py",
    Reason.PREREQUISITE_MISSING: "test_prerequisite.py",
    Reason.ANSWER_MISSING: "test_questions.py",
    Reason.ANSWER_NOT_EXPECTED: "test_questions.py",
}
FAULTS_ELSEWHERE = {
    OrganisingFault.CONTRADICTION: "test_attendance.py",
    OrganisingFault.AMBIGUOUS: "below",
    OrganisingFault.ALSO_ELSEWHERE: "below",
    OrganisingFault.NO_SUCH_SESSION: "below",
    OrganisingFault.NO_PAIR: "below",
    OrganisingFault.HAS_ENDED: "below",
    OrganisingFault.HAS_ATTENDANCE: "below",
    OrganisingFault.SEAT_IS_LOST: "below",
}


def test_every_reason_has_a_scenario() -> None:
    assert set(Reason) - GIVEN == set(REASONS_ELSEWHERE)


def test_every_fault_has_a_scenario() -> None:
    assert set(OrganisingFault) - GIVEN == set(FAULTS_ELSEWHERE)


def test_a_request_for_an_unknown_session_is_refused_with_its_id() -> None:
    request = a_seat_request(a_roster())
    enrolment = refused_enrolment(request, request.agent, Reason.UNKNOWN_SESSION)
    published = refusal_event(enrolment, 0, request.key)
    assert (published.reason, published.request_id) == (Reason.UNKNOWN_SESSION, request.request_id)


# ------------------------------------------------------------ causes

CAUSES: dict[Cause, str] = {
    Cause.WITHDRAWAL: "seats=1 | ask a | leave a",
    Cause.EMPLOYER: "seats=1 | ask a | dismiss a",
    Cause.JOINED: "seats=1 | ask a | join a",
    Cause.REPLACED: "private seats=1 list=offer | nominate a | nominate b > XE",
    Cause.LINE_ENDED: "seats=0 | ask a | due starts+grace",
    Cause.SEAT_FREED: "seats=0 | ask a | seats=1",
    Cause.OFFER_ACCEPTED: "seats=0 list=offer | ask a | seats=1 | yes a",
    Cause.OFFER_DECLINED: "seats=0 list=offer | ask a | seats=1 | no a",
    Cause.OFFER_EXPIRED: "seats=0 list=offer | ask a | seats=1 | due hold+grace",
    Cause.OFFER_CUT: "seats=0 list=offer | ask a | seats=1 | starts=during+2day",
    Cause.LINE_CUT: "seats=0 list=offer | ask a | starts=during+2day",
    Cause.LINE_ENDED_AT_QUOTA: "seats=1 quota=1 | ask a/nantes bc | leave a | due starts+grace > XEN",
    Cause.OFFER_SHORTENED: "seats=0 list=offer | ask a | seats=1 | starts=during+5day",
    Cause.APPROVAL_GRANTED: "approval=employer | ask a | agree a",
    Cause.APPROVAL_DENIED: "approval=employer | ask a | deny a > R approval_denied",
    Cause.APPROVAL_MISSING: "approval=employer | ask a | due closes+grace > R approval_denied",
    Cause.APPROVAL_DROPPED: "approval=employer | ask a | approval=none",
    Cause.SELECTION: "approval=selection | ask a | rank a",
    Cause.SELECTION_MISSING: "approval=selection | ask a | due ends+grace > R not_selected",
    Cause.PRIORITY: "seats=0 | ask a | prefer a 1",
    Cause.ATTENDANCE: "seats=1 | ask a | at ends | see a came",
    Cause.SESSION_CANCELLED: "seats=1 | ask a | status=cancelled",
}


def test_every_cause_has_a_scenario() -> None:
    assert set(Cause) - set(CAUSES) == {Cause.MOVED}, "test_moving.py has that one"


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_kept_with_the_numbers_it_was_decided_by(cause: Cause) -> None:
    [change] = play(CAUSES[cause]).roster.changes
    assert change.cause is cause
    assert {"capacity", "enrolled", "offered", "waiting"} <= set(change.numbers)


# ------------------------------------------------------------ faults of organisers


def enrolled(issuer: str, **changes: Any) -> Enrolment:
    """Return the enrolment of one person in one session, as an agent of this issuer."""
    played = play("seats=1 | ask a")
    session_id = a_session(session_id="00000000-0000-4000-8000-000000000001").session_id
    agent = an_agent("1001", issuer=issuer)
    return replace(played.enrolment("a"), session_id=session_id, agent=agent, **changes)


PORTAL, BY_HAND = enrolled("iel"), enrolled("cnfpt")


@pytest.mark.parametrize(
    ("stays", "ends", "fault"),
    [
        (PORTAL, BY_HAND, None),
        (PORTAL, PORTAL, OrganisingFault.NO_PAIR),
        (PORTAL, replace(BY_HAND, session_id=a_session().session_id), OrganisingFault.NO_PAIR),
        (PORTAL, replace(BY_HAND, state=State.WITHDRAWN), OrganisingFault.HAS_ENDED),
        (PORTAL, replace(BY_HAND, state=State.CERTIFIED), OrganisingFault.HAS_ATTENDANCE),
        (replace(PORTAL, state=State.WAITLISTED), BY_HAND, OrganisingFault.SEAT_IS_LOST),
    ],
)
def test_only_live_enrolments_of_one_person_are_joined(
    stays: Enrolment, ends: Enrolment, fault: OrganisingFault | None
) -> None:
    assert judge_join(a_session(), stays, ends, DURING) is fault


def test_in_a_session_that_is_over_or_cancelled_nothing_is_joined() -> None:
    cancelled = a_session(status="cancelled")
    assert judge_join(a_session(), PORTAL, BY_HAND, ENDS) is OrganisingFault.SESSION_IS_OVER
    assert judge_join(cancelled, PORTAL, BY_HAND, DURING) is OrganisingFault.SESSION_IS_CANCELLED


def test_a_delegation_corrects_only_agents_of_its_own_sessions() -> None:
    assert judge_correction(["bretagne", "corse"], "bretagne") is OrganisingFault.ALSO_ELSEWHERE
    assert judge_correction(["bretagne"], "bretagne") is None
    assert judge_correction(["bretagne", "corse"], None) is None


@pytest.mark.parametrize(
    ("there", "delegation", "fault"),
    [
        ({}, "bretagne", None),
        ({"organiser": "corse"}, "bretagne", OrganisingFault.NO_SUCH_SESSION),
        ({"organiser": "corse"}, None, None),
        ({"offer_id": "les-fondamentaux-de-l-ia"}, None, OrganisingFault.NO_SUCH_SESSION),
    ],
)
def test_an_organiser_moves_agents_to_own_sessions_of_the_offer(
    there: dict[str, Any], delegation: str | None, fault: OrganisingFault | None
) -> None:
    assert judge_destination(a_session(), a_session(**there), delegation) is fault


def test_an_identifier_that_two_issuers_use_is_ambiguous() -> None:
    both = AgentsByName([AgentKey("iel", "1001"), AgentKey("sirh", "1001")])
    marks, faults = attendance_marks(
        [(NamedAgent("1001"), 0, Attendance.ATTENDED), (NamedAgent("1001", "iel"), 0, Attendance.ATTENDED)],
        both,
    )
    assert faults == {0: OrganisingFault.AMBIGUOUS}
    assert [mark.agent for mark in marks] == [AgentKey("iel", "1001")]
