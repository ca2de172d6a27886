"""Every reason is given, every cause kept, every verdict and fault returned.

Each table is compared with what there is: a new reason or cause without a scenario fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.enrolment.rules.agent_schedule import AgentSchedule
from services.enrolment.rules.eligibility import Availability, Granted, judge
from services.enrolment.rules.enrolments import Enrolment, refusal_event, refused_enrolment
from services.enrolment.rules.named_agents import AgentsByName, NamedAgent
from services.enrolment.rules.organising import (
    AttendanceMark,
    OrganisingFault,
    attendance_marks,
    judge_correction,
    judge_destination,
    judge_join,
    prioritise,
    record_attendance,
)
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import Attendance
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, AgentKey
from tests.support.builders import CLOSES, DURING, ENDS, OPENS, a_question, a_session, an_agent
from tests.support.rosters import (
    RENNES,
    a_group_request,
    a_nomination,
    a_roster,
    a_seat_request,
    a_swap,
    a_withdrawal,
    agents,
    an_approval,
    an_offer_answer,
    answer_to,
    changed,
    decided,
    decided_together,
    enrol,
    ranks,
)
from tests.support.standings import (
    CAME,
    Act,
    StandingCase,
    a_pending,
    a_waiting,
    an_enrolled,
    an_offered,
    bring_forward,
    cancel,
    deny,
    end_the_line,
    grant,
    put_first,
    raise_capacity,
    say_no,
    say_yes,
    seen,
    select,
    turn_down,
    withdraw,
)

GRACE = Policy().grace

# ------------------------------------------------------------ every reason


def reason_of(roster: SessionRoster, agent: Agent | None = None, **request: Any) -> Reason | None:
    return answer_to(roster, a_seat_request(roster, agent, **request)).reason


def asked_in_an_unknown_session() -> Reason | None:
    """What the store does when patience ends."""
    roster, agent = a_roster(), an_agent()
    request = a_seat_request(roster, agent)
    published = refusal_event(refused_enrolment(request, agent, Reason.UNKNOWN_SESSION), 0, request.key)
    assert (published.request_id, published.version) == (request.request_id, 1)
    return published.reason


def asked_again() -> Reason | None:
    roster, agent = an_enrolled()
    return reason_of(roster, agent)


def denied() -> Reason | None:
    roster, agent = a_pending("employer")
    return answer_to(roster, an_approval(roster, agent, granted=False)).reason


def turned_down() -> Reason | None:
    roster, agent = a_pending("selection")
    turn_down(roster, agent)
    return roster.latest[agent.key].reason


def asked_while_elsewhere() -> Reason | None:
    agent, schedule = an_agent(), AgentSchedule()
    schedule.add(agent.key, a_session())
    return reason_of(a_roster(schedule=schedule), agent)


def asked_beyond_the_quota() -> Reason | None:
    roster = a_roster(quota_per_authority=1)
    enrol(roster, an_agent())
    return reason_of(roster)


def asked_as_too_large_a_group() -> Reason | None:
    roster = a_roster(capacity=1)
    return answer_to(roster, a_group_request(roster, agents(2), all_or_nothing=True)).reason


def withdrew_nothing() -> Reason | None:
    roster = a_roster()
    return answer_to(roster, a_withdrawal(roster, an_agent())).reason


def answered_no_offer() -> Reason | None:
    roster, agent = a_waiting()
    return answer_to(roster, an_offer_answer(roster, agent)).reason


REQUIRED = {"offer_id": "mooc-ia", "title": "Les fondamentaux de l’IA"}
REASONS: dict[Reason, Callable[[], Reason | None]] = {
    Reason.UNKNOWN_SESSION: asked_in_an_unknown_session,
    Reason.NOT_OPEN_YET: lambda: reason_of(a_roster(), received_at=OPENS - timedelta(seconds=1)),
    Reason.DEADLINE_PASSED: lambda: reason_of(a_roster(), received_at=CLOSES),
    Reason.SESSION_FULL: lambda: reason_of(a_roster(capacity=0, waiting_list="none")),
    Reason.NOT_NOMINATED: lambda: reason_of(a_roster(format="bespoke")),
    Reason.NOT_ELIGIBLE: lambda: reason_of(a_roster(audience={"functions": ["dirigeant"]})),
    Reason.ALREADY_ENROLLED: asked_again,
    Reason.SESSION_CANCELLED: lambda: reason_of(a_roster(status="cancelled")),
    Reason.APPROVAL_DENIED: denied,
    Reason.NOT_SELECTED: turned_down,
    Reason.OVERLAPPING_SESSION: asked_while_elsewhere,
    Reason.QUOTA_REACHED: asked_beyond_the_quota,
    Reason.GROUP_DOES_NOT_FIT: asked_as_too_large_a_group,
    Reason.NOT_ENROLLED: withdrew_nothing,
    Reason.NO_OFFER: answered_no_offer,
    Reason.PREREQUISITE_MISSING: lambda: reason_of(a_roster(prerequisite=REQUIRED)),
    Reason.ANSWER_MISSING: lambda: reason_of(a_roster(questions=[a_question(required=True)])),
    Reason.ANSWER_NOT_EXPECTED: lambda: reason_of(a_roster(), answers={"repas": True}),
}


def test_every_reason_has_a_scenario() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", REASONS)
def test_the_reason_is_given(reason: Reason) -> None:
    assert REASONS[reason]() is reason


# ------------------------------------------------------------ every cause, verdict, fault and event


def let_it_lapse(roster: SessionRoster, agent: Agent) -> None:
    until = roster.latest[agent.key].hold_until
    assert until is not None
    decided(roster, at=until + GRACE)


def let_enrolment_close(roster: SessionRoster, _agent: Agent) -> None:
    decided(roster, at=CLOSES + GRACE)


def drop_the_approval(roster: SessionRoster, _agent: Agent) -> None:
    changed(roster, approval="none")


def a_trainee() -> StandingCase:
    roster, agent = a_roster(format="bespoke", audience={"sirets": [RENNES]}), an_agent()
    decided(roster, a_nomination(roster, (agent,)))
    return roster, agent


def replace_them(roster: SessionRoster, _agent: Agent) -> None:
    decided(roster, a_nomination(roster, (an_agent(),)))


def move_elsewhere(roster: SessionRoster, agent: Agent) -> None:
    there = a_roster()
    decided_together([roster, there], a_swap(roster, there, agent))


def end_by_employer(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, replace(a_withdrawal(roster, agent), by_employer=True))


def join(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, replace(a_withdrawal(roster, agent), joined_to=uuid4()))


CAUSES: dict[Cause, tuple[Callable[[], StandingCase], Act]] = {
    Cause.WITHDRAWAL: (an_enrolled, withdraw),
    Cause.EMPLOYER: (an_enrolled, end_by_employer),
    Cause.MOVED: (an_enrolled, move_elsewhere),
    Cause.JOINED: (an_enrolled, join),
    Cause.REPLACED: (a_trainee, replace_them),
    Cause.LINE_ENDED: (a_waiting, end_the_line),
    Cause.SEAT_FREED: (a_waiting, raise_capacity),
    Cause.OFFER_ACCEPTED: (an_offered, say_yes),
    Cause.OFFER_DECLINED: (an_offered, say_no),
    Cause.OFFER_EXPIRED: (an_offered, let_it_lapse),
    Cause.OFFER_SHORTENED: (an_offered, bring_forward),
    Cause.APPROVAL_GRANTED: (lambda: a_pending("employer"), grant),
    Cause.APPROVAL_DENIED: (lambda: a_pending("employer"), deny),
    Cause.APPROVAL_MISSING: (lambda: a_pending("employer"), let_enrolment_close),
    Cause.APPROVAL_DROPPED: (lambda: a_pending("employer"), drop_the_approval),
    Cause.SELECTION: (lambda: a_pending("selection"), select),
    Cause.PRIORITY: (a_waiting, put_first),
    Cause.ATTENDANCE: (an_enrolled, seen(CAME)),
    Cause.SESSION_CANCELLED: (an_enrolled, cancel),
}


def test_every_cause_has_a_scenario() -> None:
    assert set(CAUSES) == set(Cause)


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_kept_with_the_numbers_it_was_decided_by(cause: Cause) -> None:
    standing, act = CAUSES[cause]
    roster, agent = standing()
    act(roster, agent)
    [last] = [change for change in roster.changes if change.enrolment == roster.latest[agent.key]]
    assert last.cause is cause
    assert {"capacity", "enrolled", "offered", "waiting"} <= set(last.numbers)


def test_a_change_names_the_request_it_follows_from_and_none_where_time_or_an_organiser_did() -> None:
    roster, (seated, waiting) = a_roster(capacity=1), agents(2)
    enrol(roster, seated, waiting)
    request = a_withdrawal(roster, seated)
    decided(roster, request)
    assert [change.request_key for change in roster.changes] == [request.key] * 2
    put_off, agent = an_offered()
    let_it_lapse(put_off, agent)
    assert [change.request_key for change in put_off.changes] == [None] * len(put_off.changes)


def test_every_verdict_is_given() -> None:
    verdicts = {
        judge(
            a_session(approval=approval),
            an_agent(),
            DURING,
            approved=False,
            availability=Availability(seat_is_free=seat_is_free),
        )
        for approval, seat_is_free in (
            ("none", True),
            ("none", False),
            ("employer", True),
            ("selection", True),
        )
    }
    assert verdicts == set(Granted)


def seated(agent: Agent) -> Enrolment:
    roster = a_roster()
    enrol(roster, agent)
    return roster.latest[agent.key]


def faults() -> Iterator[object]:
    roster, agent = an_enrolled()
    mark = AttendanceMark(agent.key, 0, CAME)
    yield prioritise(roster, agent.key, 1, "Anne Conseil", "Sans objet")
    yield prioritise(roster, agent.key, -1, "Anne Conseil", "Sans objet")
    yield from record_attendance(roster, [mark, replace(mark, module=9)], "Anne Conseil").values()
    unknown = AttendanceMark(AgentKey("", "IEL-INCONNU"), 0, CAME)
    yield from record_attendance(roster, [unknown], "Anne Conseil").values()
    both = AgentsByName([AgentKey("iel", "1001"), AgentKey("sirh", "1001")])
    yield from attendance_marks([(NamedAgent("1001"), 0, CAME)], both)[1].values()
    roster.now = ENDS
    other = replace(mark, attendance=Attendance.ABSENT)
    yield from record_attendance(roster, [mark, other], "Anne Conseil").values()
    yield ranks(roster, [], [])
    cancel(roster, agent)
    yield ranks(roster, [], [])

    yield judge_correction(["bretagne", "corse"], "bretagne")
    portal, by_hand = [seated(an_agent(issuer=issuer)) for issuer in ("iel", "cnfpt")]
    session, seat = a_session(session_id=portal.session_id), replace(by_hand, session_id=portal.session_id)
    for stays, ends in (
        (portal, portal),
        (portal, replace(seat, state=State.WITHDRAWN)),
        (portal, replace(seat, state=State.CERTIFIED)),
        (replace(portal, state=State.WAITLISTED), seat),
    ):
        yield judge_join(session, stays, ends, DURING)
    yield judge_destination(a_session(), a_session(organiser="corse"), "bretagne")


def test_every_fault_is_returned() -> None:
    assert set(faults()) == set(OrganisingFault)
