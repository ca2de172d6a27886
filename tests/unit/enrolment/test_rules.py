"""The rules of who gets a seat, one test per rule."""

import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.enrolment.rules import (
    Book,
    Granted,
    Refused,
    Request,
    SeatRequest,
    State,
    Withdrawal,
    is_in_audience,
    judge,
    judge_withdrawal,
)
from shared.events.catalogue import Audience, SessionState
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, EnrolmentRefused, EnrolmentWithdrawn
from shared.events.vocabulary import Agent, Reason
from tests.support.builders import CLOSES, DURING, OPENS, STARTS, a_session, an_agent

TICK = timedelta(microseconds=1)


def a_request(
    session: SessionState,
    agent: Agent | None = None,
    *,
    received_at: datetime = DURING,
    approved: bool = False,
) -> SeatRequest:
    return SeatRequest(uuid.uuid4(), received_at, session.session_id, agent or an_agent(), approved)


def a_withdrawal(session: SessionState, agent: Agent, *, received_at: datetime = DURING) -> Withdrawal:
    return Withdrawal(uuid.uuid4(), received_at, session.session_id, agent.agent_id, None)


def verdict(
    session: SessionState,
    *,
    seat_is_free: bool = True,
    is_live: bool = False,
    agent: Agent | None = None,
    received_at: datetime = DURING,
    approved: bool = False,
) -> Granted | Refused:
    request = a_request(session, agent, received_at=received_at, approved=approved)
    return judge(session, seat_is_free=seat_is_free, is_live=is_live, request=request)


def changed(session: SessionState, **changes: Any) -> SessionState:
    return a_session(**(session.model_dump() | {"version": session.version + 1} | changes))


def told(book: Book) -> list[tuple[str, str]]:
    """What was decided, in order: the event's name and the agent."""
    return [(type(event).__name__, event.agent.agent_id) for event, _ in book.decisions]


def a_book(*requests: Request, now: datetime = DURING, **session: Any) -> Book:
    book = Book(a_session(**session))
    book.decide(requests, now)
    return book


class TestOpeningAndDeadline:
    def test_a_request_one_tick_before_enrolment_opens_is_refused_not_open_yet(self) -> None:
        assert verdict(a_session(), received_at=OPENS - TICK) == Refused(Reason.NOT_OPEN_YET)

    def test_a_request_at_the_opening_instant_is_in_time(self) -> None:
        assert verdict(a_session(), received_at=OPENS) is Granted.SEAT

    def test_a_request_one_tick_before_the_deadline_is_in_time(self) -> None:
        assert verdict(a_session(), received_at=CLOSES - TICK) is Granted.SEAT

    def test_a_request_at_the_deadline_is_refused_because_it_is_exclusive(self) -> None:
        assert verdict(a_session(), received_at=CLOSES) == Refused(Reason.DEADLINE_PASSED)

    def test_the_mooc_takes_enrolments_while_it_runs_until_its_deadline(self) -> None:
        mooc = a_session(
            starts_at="2025-03-16T23:00:00Z", enrolment_closes_at="2025-03-28T23:00:00Z", capacity=None
        )
        inclusive_day = datetime.fromisoformat("2025-03-28T22:59:59+00:00")
        assert verdict(mooc, received_at=inclusive_day) is Granted.SEAT
        assert verdict(mooc, received_at=inclusive_day + timedelta(seconds=1)) == Refused(
            Reason.DEADLINE_PASSED
        )


class TestWhoMayEnrol:
    def test_a_cancelled_session_refuses_everybody(self) -> None:
        assert verdict(a_session(status="cancelled")) == Refused(Reason.SESSION_CANCELLED)

    def test_an_agent_with_a_live_enrolment_is_already_enrolled_even_after_the_deadline(self) -> None:
        assert verdict(a_session(), is_live=True, received_at=CLOSES) == Refused(Reason.ALREADY_ENROLLED)

    def test_an_agent_outside_the_audience_is_not_eligible(self) -> None:
        session = a_session(audience={"functions": ["dirigeant"]})
        assert verdict(session, agent=an_agent(function="agent")) == Refused(Reason.NOT_ELIGIBLE)

    @pytest.mark.parametrize(
        ("audience", "expected"),
        [
            ({}, True),
            ({"functions": ["agent", "encadrant"]}, True),
            ({"functions": ["encadrant"]}, False),
            ({"sirets": ["21350238800019"]}, True),
            ({"sirets": ["21440109300015"]}, False),
            ({"delegations": ["bretagne"]}, True),
            ({"delegations": ["corse"]}, False),
            ({"functions": ["agent"], "delegations": ["corse"]}, False),
        ],
    )
    def test_an_empty_list_restricts_nothing_and_all_lists_must_be_met(
        self, audience: dict[str, list[str]], expected: bool
    ) -> None:
        assert is_in_audience(Audience.model_validate(audience), an_agent()) is expected

    def test_a_session_by_selection_lets_everybody_wait_for_it(self) -> None:
        assert verdict(a_session(approval="selection"), approved=True) is Granted.AWAITS_SELECTION

    def test_without_the_employers_approval_the_enrolment_waits_for_it(self) -> None:
        assert verdict(a_session(approval="employer")) is Granted.AWAITS_APPROVAL

    def test_with_the_employers_approval_the_seat_is_given(self) -> None:
        assert verdict(a_session(approval="employer"), approved=True) is Granted.SEAT

    def test_a_pending_enrolment_holds_no_seat(self) -> None:
        session = a_session(approval="employer", capacity=1)
        book = Book(session)
        book.decide([a_request(session), a_request(session, approved=True)], DURING)
        assert [name for name, _ in told(book)] == ["EnrolmentPending", "AgentEnrolled"]
        assert book.enrolled == 1


class TestSeats:
    def test_a_full_session_puts_the_agent_on_the_waiting_list(self) -> None:
        assert verdict(a_session(), seat_is_free=False) is Granted.PLACE_IN_LINE

    def test_a_full_session_without_a_waiting_list_refuses(self) -> None:
        session = a_session(waiting_list="none")
        assert verdict(session, seat_is_free=False) == Refused(Reason.SESSION_FULL)

    def test_capacity_zero_means_no_seat(self) -> None:
        session = a_session(capacity=0, waiting_list="none")
        book = Book(session)
        book.decide([a_request(session)], DURING)
        assert book.answers[0].reason is Reason.SESSION_FULL

    def test_a_capacity_of_null_means_no_limit(self) -> None:
        session = a_session(capacity=None)
        book = Book(session)
        book.decide([a_request(session) for _ in range(1_000)], DURING)
        assert (book.enrolled, book.waiting) == (1_000, 0)

    def test_seats_go_in_order_of_receipt_and_positions_count_from_one(self) -> None:
        session = a_session(capacity=2)
        agents = [an_agent() for _ in range(5)]
        book = Book(session)
        book.decide([a_request(session, agent) for agent in agents], DURING)
        assert told(book) == [
            ("AgentEnrolled", agents[0].agent_id),
            ("AgentEnrolled", agents[1].agent_id),
            ("AgentWaitlisted", agents[2].agent_id),
            ("AgentWaitlisted", agents[3].agent_id),
            ("AgentWaitlisted", agents[4].agent_id),
        ]
        positions = [event.position for event, _ in book.decisions if isinstance(event, AgentWaitlisted)]
        assert positions == [1, 2, 3]

    def test_an_offered_seat_counts_as_taken(self) -> None:
        assert not Book(a_session(capacity=1), offered=1).seat_is_free

    def test_a_session_that_is_overfull_after_a_lowered_capacity_is_full(self) -> None:
        assert not Book(a_session(capacity=1), enrolled=3).seat_is_free


class TestAskingAgain:
    def test_asking_again_gets_already_enrolled_and_changes_nothing(self) -> None:
        session, agent = a_session(), an_agent()
        book = Book(session)
        book.decide([a_request(session, agent), a_request(session, agent)], DURING)
        assert [name for name, _ in told(book)] == ["AgentEnrolled", "EnrolmentRefused"]
        assert book.answers[1].reason is Reason.ALREADY_ENROLLED
        assert book.enrolled == 1
        assert book.latest[agent.agent_id].state is State.ENROLLED

    def test_each_request_gets_exactly_one_answer_with_its_own_id(self) -> None:
        session, agent = a_session(capacity=1), an_agent()
        requests = [a_request(session, agent), a_request(session, agent), a_request(session)]
        book = Book(session)
        book.decide(requests, DURING)
        asked = [request.request_id for request in requests]
        assert [event.request_id for event, _ in book.decisions] == asked
        assert [answer.request.request_id for answer in book.answers] == asked

    def test_after_a_withdrawal_the_agent_may_ask_again_and_queues_anew(self) -> None:
        session, agent, other = a_session(capacity=1), an_agent(), an_agent()
        book = Book(session)
        book.decide(
            [
                a_request(session, agent),
                a_request(session, other),
                a_withdrawal(session, agent),
                a_request(session, agent),
            ],
            DURING,
        )
        assert told(book) == [
            ("AgentEnrolled", agent.agent_id),
            ("AgentWaitlisted", other.agent_id),
            ("EnrolmentWithdrawn", agent.agent_id),
            ("AgentEnrolled", other.agent_id),
            ("AgentWaitlisted", agent.agent_id),
        ]

    def test_deciding_the_same_request_twice_makes_the_same_enrolment(self) -> None:
        session = a_session()
        request = a_request(session)
        ids = []
        for _ in range(2):
            book = Book(session)
            book.decide([request], DURING)
            ids.append(book.decisions[0][0].enrolment_id)
        assert ids[0] == ids[1]


class TestWithdrawal:
    def test_a_freed_seat_goes_to_the_first_in_line_in_the_same_decision(self) -> None:
        session = a_session(capacity=1)
        seated, first, second = an_agent(), an_agent(), an_agent()
        book = Book(session)
        book.decide([a_request(session, agent) for agent in (seated, first, second)], DURING)
        book.decisions.clear()
        book.decide([a_withdrawal(session, seated)], DURING)
        assert told(book) == [
            ("EnrolmentWithdrawn", seated.agent_id),
            ("AgentEnrolled", first.agent_id),
        ]
        promoted = book.decisions[1][0]
        assert isinstance(promoted, AgentEnrolled)
        assert promoted.from_waiting_list
        assert promoted.request_id is None
        assert promoted.version == 2
        assert (book.enrolled, book.waiting) == (1, 1)

    def test_leaving_the_line_frees_the_place_and_seats_nobody(self) -> None:
        session = a_session(capacity=1)
        seated, first, second = an_agent(), an_agent(), an_agent()
        book = Book(session)
        book.decide([a_request(session, agent) for agent in (seated, first, second)], DURING)
        book.decide([a_withdrawal(session, first), a_withdrawal(session, seated)], DURING)
        assert book.latest[second.agent_id].state is State.ENROLLED
        assert (book.enrolled, book.waiting) == (1, 0)

    def test_a_withdrawal_from_a_seat_at_the_start_is_refused(self) -> None:
        session = a_session()
        assert judge_withdrawal(session, State.ENROLLED, STARTS) == Refused(Reason.DEADLINE_PASSED)
        assert judge_withdrawal(session, State.ENROLLED, STARTS - TICK) is None

    def test_somebody_who_only_waits_may_leave_even_after_the_start(self) -> None:
        assert judge_withdrawal(a_session(), State.WAITLISTED, STARTS) is None

    def test_a_withdrawal_of_nothing_is_answered_not_enrolled_and_tells_nobody_unknown(self) -> None:
        session = a_session()
        book = Book(session)
        book.decide([a_withdrawal(session, an_agent())], DURING)
        assert book.answers[0].reason is Reason.NOT_ENROLLED
        assert not book.decisions

    def test_a_second_withdrawal_is_refused_to_the_agent_who_is_known(self) -> None:
        session, agent = a_session(), an_agent()
        book = Book(session)
        book.decide(
            [a_request(session, agent), a_withdrawal(session, agent), a_withdrawal(session, agent)], DURING
        )
        last = book.decisions[-1][0]
        assert isinstance(last, EnrolmentRefused)
        assert (last.reason, last.asked) == (Reason.NOT_ENROLLED, "withdrawal")

    def test_no_seat_is_given_away_once_the_session_has_started_and_enrolment_is_closed(self) -> None:
        session = a_session(capacity=1)
        seated, first = an_agent(), an_agent()
        book = Book(session)
        book.decide([a_request(session, seated), a_request(session, first)], DURING)
        book.decide([a_withdrawal(session, seated, received_at=STARTS - TICK)], STARTS)
        assert book.latest[first.agent_id].state is State.WAITLISTED


class TestTheLineComesFirst:
    """Also in a session that runs while its enrolment is open, as the MOOC does."""

    def test_a_seat_that_becomes_free_while_the_session_runs_goes_to_the_line(self) -> None:
        session = a_session(capacity=1, starts_at=OPENS, ends_at=CLOSES)
        first, waiting, newcomer = an_agent(), an_agent(), an_agent()
        book = Book(session)
        book.decide([a_request(session, first), a_request(session, waiting)], DURING)
        book.change(changed(session, capacity=2), DURING)
        book.decide([a_request(session, newcomer)], DURING)
        assert book.latest[waiting.agent_id].state is State.ENROLLED
        assert book.latest[newcomer.agent_id].state is State.WAITLISTED

    def test_nobody_overtakes_the_line_however_late_a_request_is_decided(self) -> None:
        session = a_session(capacity=1)
        first, waiting, newcomer = an_agent(), an_agent(), an_agent()
        book = Book(session)
        book.decide([a_request(session, first), a_request(session, waiting)], DURING)
        book.change(changed(session, capacity=2), STARTS)
        book.decide([a_request(session, newcomer)], STARTS)
        assert book.latest[newcomer.agent_id].state is State.WAITLISTED


class TestCapacityChanges:
    def test_a_raised_capacity_seats_the_line_at_once_in_order(self) -> None:
        session = a_session(capacity=1)
        agents = [an_agent() for _ in range(4)]
        book = Book(session)
        book.decide([a_request(session, agent) for agent in agents], DURING)
        book.decisions.clear()
        book.change(changed(session, capacity=3), DURING)
        assert told(book) == [("AgentEnrolled", agents[1].agent_id), ("AgentEnrolled", agents[2].agent_id)]
        assert (book.enrolled, book.waiting) == (3, 1)

    def test_a_lowered_capacity_evicts_nobody_and_the_session_is_full_until_enough_leave(self) -> None:
        session = a_session(capacity=3)
        agents = [an_agent() for _ in range(4)]
        book = Book(session)
        book.decide([a_request(session, agent) for agent in agents], DURING)
        book.change(changed(session, capacity=1), DURING)
        assert book.enrolled == 3
        book.decide([a_withdrawal(session, agents[0]), a_withdrawal(session, agents[1])], DURING)
        assert (book.enrolled, book.latest[agents[3].agent_id].state) == (1, State.WAITLISTED)
        book.decide([a_withdrawal(session, agents[2])], DURING)
        assert (book.enrolled, book.latest[agents[3].agent_id].state) == (1, State.ENROLLED)

    def test_lifting_the_limit_seats_everybody(self) -> None:
        session = a_session(capacity=0)
        book = Book(session)
        book.decide([a_request(session) for _ in range(5)], DURING)
        book.change(changed(session, capacity=None), DURING)
        assert (book.enrolled, book.waiting) == (5, 0)


class TestCancellation:
    def test_a_cancellation_ends_every_live_enrolment_and_tells_everyone(self) -> None:
        session = a_session(capacity=1)
        agents = [an_agent() for _ in range(3)]
        book = Book(session)
        book.decide([a_request(session, agent) for agent in agents], DURING)
        book.decisions.clear()
        book.change(changed(session, status="cancelled"), DURING)
        ended = [event for event, _ in book.decisions if isinstance(event, EnrolmentWithdrawn)]
        assert {event.agent.agent_id for event in ended} == {agent.agent_id for agent in agents}
        assert {event.by for event in ended} == {"session_cancelled"}
        assert (book.enrolled, book.waiting, book.offered) == (0, 0, 0)

    def test_a_cancellation_is_final_whatever_is_told_after_it(self) -> None:
        session = a_session(status="cancelled")
        book = Book(session)
        book.change(changed(session, status="published"), DURING)
        book.decide([a_request(session)], DURING)
        assert book.answers[0].reason is Reason.SESSION_CANCELLED

    def test_a_draft_is_not_open_yet(self) -> None:
        assert verdict(a_session(status="draft")) == Refused(Reason.NOT_OPEN_YET)

    def test_a_cancellation_promotes_nobody(self) -> None:
        session = a_session(capacity=1)
        book = Book(session)
        book.decide([a_request(session), a_request(session)], DURING)
        book.decisions.clear()
        book.change(changed(session, status="cancelled"), DURING)
        assert Counter(type(event) for event, _ in book.decisions) == {EnrolmentWithdrawn: 2}


class TestOccupancy:
    def test_occupancy_is_told_once_per_batch_and_only_when_it_changed(self) -> None:
        session, agent = a_session(capacity=1), an_agent()
        book = Book(session)
        book.decide([a_request(session, agent), a_request(session)], DURING)
        event = book.occupancy()
        assert event is not None
        assert (event.enrolled, event.waiting, event.capacity, event.version) == (1, 1, 1, 1)
        book.decide([a_request(session, agent)], DURING)
        assert book.occupancy() is None

    def test_a_new_session_tells_that_it_is_empty(self) -> None:
        event = Book(a_session()).occupancy()
        assert event is not None
        assert (event.enrolled, event.version) == (0, 1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 7)),
        st.tuples(st.just("leave"), st.integers(0, 7)),
        st.tuples(st.just("capacity"), st.one_of(st.none(), st.integers(0, 5))),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, capacity=st.one_of(st.none(), st.integers(0, 5)))
def test_whatever_happens_seats_are_not_exceeded_and_nobody_waits_beside_a_free_seat(
    steps: list[tuple[str, Any]], capacity: int | None
) -> None:
    session = a_session(capacity=capacity)
    agents = [an_agent() for _ in range(8)]
    book = Book(session)
    tickets: list[int] = []
    for what, value in steps:
        seats_before = book.enrolled
        if what == "ask":
            book.decide([a_request(session, agents[value])], DURING)
        elif what == "leave":
            book.decide([a_withdrawal(session, agents[value])], DURING)
        else:
            book.change(changed(book.session, capacity=value), DURING)
        limit = book.session.capacity
        states = Counter(one.state for one in book.latest.values())
        assert (book.enrolled, book.waiting) == (states[State.ENROLLED], states[State.WAITLISTED])
        assert limit is None or book.enrolled <= max(limit, seats_before)
        assert not (book.waiting and book.seat_is_free)
        line = [one.ticket or 0 for one in book.line.values()]
        assert line == sorted(line)
        tickets = line
    assert len(book.answers) == sum(what != "capacity" for what, _ in steps)
    assert len(tickets) == book.waiting


def test_a_refused_enrolment_keeps_its_reason_and_takes_no_ticket() -> None:
    book = a_book()
    session = book.session
    book.decide([a_request(session, received_at=CLOSES)], DURING)
    [enrolment] = book.changed.values()
    assert (enrolment.state, enrolment.reason, enrolment.ticket) == (
        State.REFUSED,
        Reason.DEADLINE_PASSED,
        None,
    )
