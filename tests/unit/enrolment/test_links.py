"""What an agent can do by the links of letters, and sees on "Mes inscriptions", at a moment."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.links import (
    AgentEnrolment,
    EnrolmentNow,
    LinkState,
    arranged,
    held_after,
    is_too_new,
    offer_state,
    seen_by_agent,
    withdrawal_state,
)
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.states import State
from shared.events.vocabulary import Status
from tests.support.builders import CLOSES, DURING, ENDS, STARTS, a_session, an_agent

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def enrolled(state: State, *, hold_until: datetime | None = None, **session: Any) -> EnrolmentInSession:
    there = a_session(**session)
    key = RequestKey("", UUID(int=1))
    enrolment = Enrolment(UUID(int=1), 2, there.session_id, an_agent(), state, None, 1, key, DURING)
    return EnrolmentInSession(replace(enrolment, hold_until=hold_until), there)


@pytest.mark.parametrize(
    ("state", "version", "now", "session", "expected"),
    [
        (State.OFFERED, 2, DURING - SECOND, {}, LinkState.OPEN),
        (State.OFFERED, 2, DURING, {}, LinkState.OFFER_EXPIRED),
        (State.OFFERED, 1, DURING - SECOND, {}, LinkState.OFFER_REPLACED),
        (State.OFFERED, 2, DURING - SECOND, {"status": Status.CANCELLED}, LinkState.SESSION_CANCELLED),
        (State.ENROLLED, 3, DURING - SECOND, {}, LinkState.OFFER_TAKEN),
        (State.CERTIFIED, 3, ENDS, {}, LinkState.OFFER_TAKEN),
        (State.LAPSED, 3, DURING - SECOND, {}, LinkState.OFFER_LEFT),
        (State.LAPSED, 3, DURING, {}, LinkState.OFFER_EXPIRED),
        (State.WITHDRAWN, 3, DURING - SECOND, {}, LinkState.OFFER_ENDED),
    ],
)
def test_an_offer_is_open_until_it_ends_is_answered_or_is_replaced(
    *, state: State, version: int, now: datetime, session: dict[str, Any], expected: LinkState
) -> None:
    assert offer_state(enrolled(state, hold_until=DURING, **session), version, now) is expected


@pytest.mark.parametrize(
    ("state", "now", "session", "expected"),
    [
        (State.ENROLLED, STARTS - SECOND, {}, LinkState.OPEN),
        (State.ENROLLED, STARTS, {}, LinkState.SESSION_STARTED),
        (State.ENROLLED, DURING, {"status": Status.CANCELLED}, LinkState.SESSION_CANCELLED),
        (State.WITHDRAWN, DURING, {}, LinkState.ALREADY_ENDED),
        (State.PENDING_SELECTION, DURING, {}, LinkState.OPEN),
    ],
)
def test_an_agent_may_withdraw_until_the_session_starts(
    state: State, now: datetime, session: dict[str, Any], expected: LinkState
) -> None:
    assert withdrawal_state(enrolled(state, **session), now) is expected


def seen(state: State, now: datetime = DURING, taken: int = 1, **changes: Any) -> AgentEnrolment:
    return seen_by_agent(EnrolmentNow(enrolled(state, **changes), (), (), None, DURING, taken), now)


@pytest.mark.parametrize(
    ("state", "now", "session", "shows_code"),
    [
        (State.ENROLLED, STARTS - 31 * DAY, {}, True),
        (State.ENROLLED, STARTS - 31 * DAY - SECOND, {}, False),
        (State.ENROLLED, ENDS, {}, None),
        (State.ENROLLED, STARTS, {"venue": None}, None),
        (State.WAITLISTED, STARTS, {}, None),
    ],
)
def test_the_arrival_code_of_a_seat_is_shown_in_the_month_before_a_session_with_a_venue(
    state: State, now: datetime, session: dict[str, Any], shows_code: bool | None
) -> None:
    assert seen(state, now, **session).shows_code is shows_code


@pytest.mark.parametrize(
    ("minimum", "taken", "now", "session", "is_undecided"),
    [
        (3, 1, CLOSES, {}, True),
        (1, 1, CLOSES, {}, False),
        (None, 1, CLOSES, {}, False),
        (3, 1, CLOSES - SECOND, {}, False),
        (3, 1, STARTS, {}, False),
        (3, 0, CLOSES, {"approval": "selection"}, False),
        (3, 1, CLOSES, {"approval": "selection"}, True),
        (3, 1, CLOSES, {"status": Status.CANCELLED}, False),
    ],
)
def test_an_agent_sees_between_close_and_start_that_too_few_take_part(
    *, minimum: int | None, taken: int, now: datetime, session: dict[str, Any], is_undecided: bool
) -> None:
    """Rule 15."""
    found = seen(State.ENROLLED, now, taken, minimum=minimum, **session)
    assert found.is_undecided is is_undecided


def test_a_session_that_is_cancelled_after_attendance_was_recorded_was_cut_short() -> None:
    """Rule 11."""
    cancelled = [seen(state, status=Status.CANCELLED) for state in (State.ATTENDED, State.SESSION_CANCELLED)]
    assert [(each.is_past, each.was_cut_short) for each in cancelled] == [(True, True), (True, False)]


def test_offers_come_first_by_their_end_then_sessions_by_start_then_the_past_backwards() -> None:
    early: dict[str, Any] = {"starts_at": STARTS - DAY}
    late: dict[str, Any] = {"starts_at": STARTS + DAY, "ends_at": ENDS + DAY}
    to_answer = [seen(State.OFFERED, hold_until=DURING + days * DAY, **late) for days in (1, 2)]
    to_come = [seen(State.ENROLLED, **early), seen(State.WAITLISTED, **late)]
    past = [seen(State.WITHDRAWN, **late), seen(State.REFUSED, **early)]
    found = arranged([*past, *to_come, *reversed(to_answer)])
    assert (found.to_answer, found.to_come, found.past) == (to_answer, to_come, past)


@pytest.mark.parametrize(
    ("corrections", "held"),
    [
        ([({"a"}, "b")], {"a"}),
        ([({"a"}, "b"), ({"b"}, "c")], {"a"}),
        ([({"a"}, "b"), ({"b"}, "c"), ({"c"}, "b")], {"a"}),
        ([({"a"}, "b"), ({"b"}, "a")], set()),
        ([({"a", "b"}, "c")], {"a", "b"}),
        ([({"a", "b"}, "c"), ({"c"}, "a")], {"b"}),
        ([({"a", "b"}, "b")], {"a"}),
    ],
)
def test_only_an_address_before_all_corrections_of_a_day_can_confirm_them(
    corrections: list[tuple[set[str], str]], held: set[str]
) -> None:
    found: frozenset[str] = frozenset()
    for replaced, new in corrections:
        found = held_after(found, frozenset(replaced), new)
    assert found == held


@pytest.mark.parametrize(
    ("address", "held", "expected"),
    [("b@c.fr", {"a@c.fr"}, True), ("A@c.fr", {"a@c.fr"}, False), ("b@c.fr", set(), False)],
)
def test_an_address_is_too_new_while_the_one_before_may_object(
    address: str, held: set[str], expected: bool
) -> None:
    assert is_too_new(address, frozenset(held)) is expected
