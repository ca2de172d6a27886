"""A waiting list ends, and who still waits hears of it once (rule 10)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.enrolment.rules.expiry import expire
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import NotObtainedReason, SeatNotObtained
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent
from tests.support.builders import STARTS
from tests.support.rosters import (
    a_group_request,
    a_roster,
    a_seat_request,
    a_withdrawal,
    agents,
    an_approval,
    answer_to,
    changed,
    decided,
    enrol,
    names_of,
    state_of,
    states_of,
)

TICK = timedelta(microseconds=1)
GRACE = Policy().grace
LAST_MOMENT = STARTS - Policy().last_offer
WHILE_RUNNING = {"enrolment_closes_at": STARTS + timedelta(days=3), "ends_at": STARTS + timedelta(days=9)}

E, W, N = State.ENROLLED, State.WAITLISTED, State.NOT_OBTAINED


def a_line(**session: Any) -> tuple[SessionRoster, Agent, list[Agent]]:
    """A session of one seat, who sits on it, and who waits."""
    roster, (seated, *line) = a_roster(**{"capacity": 1} | session), agents(3)
    enrol(roster, seated, *line)
    return roster, seated, line


@pytest.mark.parametrize(
    ("session", "end"),
    [
        ({"waiting_list": "automatic"}, STARTS),
        ({"waiting_list": "automatic"} | WHILE_RUNNING, STARTS + timedelta(days=3)),
        ({"waiting_list": "offer"}, LAST_MOMENT),
        ({"waiting_list": "offer"} | WHILE_RUNNING, LAST_MOMENT),
    ],
)
def test_who_waits_hears_once_and_in_order_that_no_seat_is_given_any_more(
    session: dict[str, object], end: datetime
) -> None:
    roster, seated, line = a_line(**session)
    assert decided(roster, at=end + GRACE - TICK) == []
    events = decided(roster, at=end + GRACE)
    assert names_of(events) == [("SeatNotObtained", agent.agent_id) for agent in line]
    for event in events:
        assert isinstance(event, SeatNotObtained)
        assert (event.reason, event.version, event.request_id) == (NotObtainedReason.LINE_ENDED, 2, None)
    assert states_of(roster, (seated, *line)) == [E, N, N]
    assert len(roster.waiting_list) == 0
    assert decided(roster, at=end + timedelta(days=1)) == []


def test_the_line_ends_only_once_every_request_received_by_then_is_answered() -> None:
    roster, _, line = a_line()
    roster.now = STARTS + timedelta(hours=1)
    expire(roster, STARTS + GRACE - TICK)
    assert states_of(roster, line) == [W, W]
    expire(roster, STARTS + GRACE)
    assert states_of(roster, line) == [N, N]


def test_after_the_end_nobody_who_waited_is_seated() -> None:
    roster, seated, line = a_line(waiting_list="offer")
    decided(roster, at=LAST_MOMENT + GRACE)
    decided(roster, a_withdrawal(roster, seated))
    assert names_of(changed(roster, capacity=20)) == []
    put_off = {"starts_at": STARTS + timedelta(days=30), "ends_at": STARTS + timedelta(days=31)}
    assert names_of(changed(roster, **put_off)) == []
    assert states_of(roster, line) == [N, N]


def test_a_session_that_is_put_off_in_time_keeps_its_line() -> None:
    roster, seated, line = a_line()
    changed(roster, starts_at=STARTS + timedelta(days=7), ends_at=STARTS + timedelta(days=8))
    assert decided(roster, at=STARTS + GRACE) == []
    decided(roster, a_withdrawal(roster, seated))
    assert states_of(roster, line) == [E, W]


def test_where_one_may_still_enrol_nobody_begins_to_wait_for_what_is_not_given_any_more() -> None:
    roster, seated, _ = a_line(waiting_list="offer", **WHILE_RUNNING)
    late = agents(3)
    answer = answer_to(roster, a_seat_request(roster, late[0], received_at=LAST_MOMENT), at=LAST_MOMENT)
    assert (answer.state, answer.reason) == (State.REFUSED, Reason.SESSION_FULL)
    answer = answer_to(roster, a_group_request(roster, late[1:]))
    assert (answer.state, answer.reason) == (State.REFUSED, Reason.SESSION_FULL)
    decided(roster, a_withdrawal(roster, seated))
    assert answer_to(roster, a_seat_request(roster, late[0])).state is E


def test_a_request_received_before_the_end_and_read_after_it_waits_and_is_told_like_the_others() -> None:
    roster, _, _ = a_line(waiting_list="offer", **WHILE_RUNNING)
    [late] = agents(1)
    decided(roster, a_seat_request(roster, late, received_at=LAST_MOMENT - TICK), at=LAST_MOMENT + TICK)
    assert state_of(roster, late) is W
    decided(roster, at=LAST_MOMENT + GRACE)
    assert state_of(roster, late) is N


@pytest.mark.parametrize("somebody_waits", [True, False])
def test_a_seat_that_is_freed_after_the_end_goes_to_nobody_before_who_waited(somebody_waits: bool) -> None:
    roster, _, line = a_line()
    if not somebody_waits:
        decided(roster, *(a_withdrawal(roster, agent) for agent in line))
    roster.now = STARTS
    assert names_of(changed(roster, capacity=2)) == []
    [late] = agents(1)
    decided(roster, a_seat_request(roster, late, received_at=STARTS - timedelta(days=7)))
    assert state_of(roster, late) is (W if somebody_waits else E)


def test_an_approval_that_comes_after_the_end_of_the_line_gives_no_place_in_it() -> None:
    roster, _, _ = a_line(waiting_list="offer", approval="employer", **WHILE_RUNNING)
    [pending] = agents(1)
    decided(roster, a_seat_request(roster, pending))
    answer = answer_to(roster, an_approval(roster, pending, received_at=LAST_MOMENT), at=LAST_MOMENT)
    assert (answer.state, answer.reason) == (State.REFUSED, Reason.SESSION_FULL)


def test_who_obtained_no_seat_is_refused_nothing_and_may_ask_again() -> None:
    roster, seated, (first, _) = a_line(waiting_list="offer", **WHILE_RUNNING)
    decided(roster, at=LAST_MOMENT + GRACE)
    assert answer_to(roster, a_withdrawal(roster, first)).reason is Reason.NOT_ENROLLED
    decided(roster, a_withdrawal(roster, seated))
    assert answer_to(roster, a_seat_request(roster, first)).state is E
