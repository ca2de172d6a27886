"""An agent in a given state of the lifecycle, and what may happen to the agent then."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from services.enrolment.rules.organising import AttendanceMark, prioritise, record_attendance
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent
from tests.support.builders import ENDS, STARTS, an_agent
from tests.support.rosters import (
    a_roster,
    a_seat_request,
    a_withdrawal,
    an_approval,
    an_offer_answer,
    changed,
    decided,
    enrol,
    ranks,
)

CAME, MISSED, EXCUSED = Attendance.ATTENDED, Attendance.ABSENT, Attendance.ABSENT_JUSTIFIED

StandingCase = tuple[SessionRoster, Agent]
Act = Callable[[SessionRoster, Agent], object]


# ------------------------------------------------------------ how an agent comes to a state


def a_pending(approval: str) -> StandingCase:
    roster, agent = a_roster(approval=approval), an_agent()
    decided(roster, a_seat_request(roster, agent))
    return roster, agent


def a_waiting() -> StandingCase:
    roster, agent = a_roster(capacity=1), an_agent()
    enrol(roster, an_agent(), agent)
    return roster, agent


def an_offered() -> StandingCase:
    roster, agent = a_roster(capacity=0, waiting_list="offer"), an_agent()
    enrol(roster, agent)
    changed(roster, capacity=1)
    return roster, agent


def an_enrolled() -> StandingCase:
    roster, agent = a_roster(modules=modules(2)), an_agent()
    enrol(roster, agent)
    return roster, agent


def seen_at(*marks: Attendance) -> StandingCase:
    roster, agent = an_enrolled()
    seen(*marks)(roster, agent)
    return roster, agent


def a_not_obtained() -> StandingCase:
    roster, agent = a_waiting()
    end_the_line(roster, agent)
    return roster, agent


def one_ended(act: Act) -> StandingCase:
    roster, agent = an_offered()
    act(roster, agent)
    return roster, agent


def a_refused() -> StandingCase:
    roster, agent = a_roster(capacity=0, waiting_list="none"), an_agent()
    enrol(roster, agent)
    return roster, agent


def modules(number: int) -> list[dict[str, Any]]:
    return [
        {"title": f"Séance {index + 1}", "starts_at": STARTS, "ends_at": STARTS + timedelta(hours=1)}
        for index in range(number)
    ]


# ------------------------------------------------------------ what may happen then


def seen(*marks: Attendance, first: int = 0, of: int = 2) -> Act:
    """These are recorded, module after module, in a session of so many."""

    def act(roster: SessionRoster, agent: Agent) -> None:
        changed(roster, modules=modules(of), at=ENDS)
        every = [AttendanceMark(agent.key, module, mark) for module, mark in enumerate(marks, start=first)]
        assert record_attendance(roster, every, "Anne Conseil") == {}

    return act


def withdraw(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, a_withdrawal(roster, agent))


def cancel(roster: SessionRoster, _agent: Agent) -> None:
    changed(roster, status="cancelled")


def grant(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, an_approval(roster, agent))


def deny(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, an_approval(roster, agent, granted=False))


def select(roster: SessionRoster, agent: Agent) -> None:
    assert ranks(roster, [agent.key], []) is None


def turn_down(roster: SessionRoster, agent: Agent) -> None:
    assert ranks(roster, [], [agent.key]) is None


def when_full(act: Act) -> Act:
    def full(roster: SessionRoster, agent: Agent) -> None:
        changed(roster, capacity=0)
        act(roster, agent)

    return full


def where_candidates_are_selected(act: Act) -> Act:
    def selecting(roster: SessionRoster, agent: Agent) -> None:
        changed(roster, approval="employer_then_selection")
        act(roster, agent)

    return selecting


def put_first(roster: SessionRoster, agent: Agent) -> None:
    assert prioritise(roster, agent.key, 1, "Anne Conseil", "Reporté") is None


def raise_capacity(roster: SessionRoster, _agent: Agent) -> None:
    changed(roster, capacity=2)


def raise_capacity_with_offers(roster: SessionRoster, _agent: Agent) -> None:
    changed(roster, capacity=2, waiting_list="offer")


def say_yes(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, an_offer_answer(roster, agent))


def say_no(roster: SessionRoster, agent: Agent) -> None:
    decided(roster, an_offer_answer(roster, agent, yes=False))


def end_the_line(roster: SessionRoster, _agent: Agent) -> None:
    decided(roster, at=roster.line_ends_at() + roster.policy.grace)


def bring_forward(roster: SessionRoster, agent: Agent) -> None:
    until = roster.latest[agent.key].hold_until
    assert until is not None
    changed(roster, starts_at=until + timedelta(hours=47))


_S = State
STANDING: dict[State, Callable[[], StandingCase]] = {
    _S.PENDING_APPROVAL: lambda: a_pending("employer"),
    _S.PENDING_SELECTION: lambda: a_pending("selection"),
    _S.WAITLISTED: a_waiting,
    _S.OFFERED: an_offered,
    _S.ENROLLED: an_enrolled,
    _S.ATTENDED: lambda: seen_at(CAME),
    _S.ABSENT: lambda: seen_at(MISSED, MISSED),
    _S.ABSENT_JUSTIFIED: lambda: seen_at(EXCUSED, EXCUSED),
    _S.CERTIFIED: lambda: seen_at(CAME, MISSED),
    _S.REFUSED: a_refused,
    _S.LAPSED: lambda: one_ended(say_no),
    _S.NOT_OBTAINED: a_not_obtained,
    _S.WITHDRAWN: lambda: one_ended(withdraw),
    _S.SESSION_CANCELLED: lambda: one_ended(cancel),
}
