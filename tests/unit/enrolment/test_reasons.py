"""Every reason is given, every cause kept, every verdict and fault returned.

Each table is compared with what there is: a new reason or cause without a scenario fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.rules import (
    Book,
    Cause,
    Diary,
    Fault,
    Granted,
    Policy,
    Prospects,
    Seen,
    judge,
    prioritise,
    rank,
    record_attendance,
    refusal,
    refused,
)
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent, Reason
from tests.support.books import (
    RENNES,
    a_book,
    agents,
    answer_to,
    answers,
    asks,
    asks_for_a_group,
    changed,
    decided,
    enrol,
    nominates,
    the_employer_decides,
    withdraws,
)
from tests.support.builders import CLOSES, DURING, ENDS, OPENS, a_session, an_agent
from tests.support.standings import (
    CAME,
    Act,
    Standing,
    a_pending,
    a_waiting,
    an_enrolled,
    an_offered,
    bring_forward,
    cancel,
    deny,
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


def asked(book: Book, agent: Agent | None = None, **request: Any) -> Reason | None:
    return answer_to(book, asks(book, agent, **request)).reason


def asked_in_an_unknown_session() -> Reason | None:
    """What the store does when patience ends."""
    book, agent = a_book(), an_agent()
    request = asks(book, agent)
    told = refusal(refused(request, agent, Reason.UNKNOWN_SESSION), request.request_id)
    assert (told.request_id, told.version) == (request.request_id, 1)
    return told.reason


def asked_again() -> Reason | None:
    book, agent = an_enrolled()
    return asked(book, agent)


def denied() -> Reason | None:
    book, agent = a_pending("employer")
    return answer_to(book, the_employer_decides(book, agent, granted=False)).reason


def turned_down() -> Reason | None:
    book, agent = a_pending("selection")
    turn_down(book, agent)
    return book.latest[agent.agent_id].reason


def asked_while_elsewhere() -> Reason | None:
    agent, diary = an_agent(), Diary()
    diary.write(agent.agent_id, a_session())
    return asked(a_book(diary=diary), agent)


def asked_beyond_the_quota() -> Reason | None:
    book = a_book(quota_per_authority=1)
    enrol(book, an_agent())
    return asked(book)


def asked_as_too_large_a_group() -> Reason | None:
    book = a_book(capacity=1)
    return answer_to(book, asks_for_a_group(book, agents(2), all_or_nothing=True)).reason


def withdrew_nothing() -> Reason | None:
    book = a_book()
    return answer_to(book, withdraws(book, an_agent())).reason


def answered_no_offer() -> Reason | None:
    book, agent = a_waiting()
    return answer_to(book, answers(book, agent)).reason


REASONS: dict[Reason, Callable[[], Reason | None]] = {
    Reason.UNKNOWN_SESSION: asked_in_an_unknown_session,
    Reason.NOT_OPEN_YET: lambda: asked(a_book(), received_at=OPENS - timedelta(seconds=1)),
    Reason.DEADLINE_PASSED: lambda: asked(a_book(), received_at=CLOSES),
    Reason.SESSION_FULL: lambda: asked(a_book(capacity=0, waiting_list="none")),
    Reason.NOT_ELIGIBLE: lambda: asked(a_book(audience={"functions": ["dirigeant"]})),
    Reason.ALREADY_ENROLLED: asked_again,
    Reason.SESSION_CANCELLED: lambda: asked(a_book(status="cancelled")),
    Reason.APPROVAL_DENIED: denied,
    Reason.NOT_SELECTED: turned_down,
    Reason.OVERLAPPING_SESSION: asked_while_elsewhere,
    Reason.QUOTA_REACHED: asked_beyond_the_quota,
    Reason.GROUP_DOES_NOT_FIT: asked_as_too_large_a_group,
    Reason.NOT_ENROLLED: withdrew_nothing,
    Reason.NO_OFFER: answered_no_offer,
}


def test_every_reason_has_a_scenario() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", REASONS)
def test_the_reason_is_given(reason: Reason) -> None:
    assert REASONS[reason]() is reason


# ------------------------------------------------------------ every cause, verdict, fault and event


def let_it_lapse(book: Book, agent: Agent) -> None:
    until = book.latest[agent.agent_id].hold_until
    assert until is not None
    decided(book, at=until + GRACE)


def let_enrolment_close(book: Book, _agent: Agent) -> None:
    decided(book, at=CLOSES + GRACE)


def drop_the_approval(book: Book, _agent: Agent) -> None:
    changed(book, approval="none")


def a_trainee() -> Standing:
    book, agent = a_book(format="bespoke", audience={"sirets": [RENNES]}), an_agent()
    decided(book, nominates(book, (agent,)))
    return book, agent


def replace_them(book: Book, _agent: Agent) -> None:
    decided(book, nominates(book, (an_agent(),)))


CAUSES: dict[Cause, tuple[Callable[[], Standing], Act]] = {
    Cause.WITHDRAWAL: (an_enrolled, withdraw),
    Cause.REPLACED: (a_trainee, replace_them),
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
    book, agent = standing()
    act(book, agent)
    [last] = [change for change in book.changes if change.enrolment == book.latest[agent.agent_id]]
    assert last.cause is cause
    assert {"capacity", "enrolled", "offered", "waiting"} <= set(last.facts)


def test_a_change_names_the_request_it_follows_from_and_none_where_time_or_an_organiser_did() -> None:
    book, (seated, waiting) = a_book(capacity=1), agents(2)
    enrol(book, seated, waiting)
    request = withdraws(book, seated)
    decided(book, request)
    assert [change.request_id for change in book.changes] == [request.request_id] * 2
    put_off, agent = an_offered()
    let_it_lapse(put_off, agent)
    assert [change.request_id for change in put_off.changes] == [None] * len(put_off.changes)


def test_every_verdict_is_given() -> None:
    verdicts = {
        judge(
            a_session(approval=approval),
            an_agent(),
            DURING,
            approved=False,
            prospects=Prospects(seat_is_free=seat_is_free),
        )
        for approval, seat_is_free in (
            ("none", True),
            ("none", False),
            ("employer", True),
            ("selection", True),
        )
    }
    assert verdicts == set(Granted)


def faults() -> Iterator[object]:
    book, agent = an_enrolled()
    one = Seen(agent.agent_id, 0, CAME)
    yield prioritise(book, agent.agent_id, 1, "Anne Conseil", "Sans objet")
    yield prioritise(book, agent.agent_id, -1, "Anne Conseil", "Sans objet")
    yield from record_attendance(book, [one, replace(one, module=9)], "Anne Conseil").values()
    yield from record_attendance(book, [Seen("IEL-INCONNU", 0, CAME)], "Anne Conseil").values()
    book.now = ENDS
    other = replace(one, attendance=Attendance.ABSENT)
    yield from record_attendance(book, [one, other], "Anne Conseil").values()
    yield rank(book, [], [])
    cancel(book, agent)
    yield rank(book, [], [])


def test_every_fault_is_returned() -> None:
    assert set(faults()) == set(Fault)
