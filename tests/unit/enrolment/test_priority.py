"""A place in line that an organiser changes, with author and reason (rule 2)."""

from datetime import timedelta

from services.enrolment.rules.organising import OrganisingFault, prioritise
from services.enrolment.rules.states import Cause, State
from shared.events.vocabulary import AgentKey
from tests.support.builders import DURING
from tests.support.rosters import a_roster, a_withdrawal, agents, changed, decided, enrol, states_of

E, W = State.ENROLLED, State.WAITLISTED


def test_a_higher_priority_goes_first_and_keeps_its_author_and_reason() -> None:
    roster, (seated, first, second) = a_roster(capacity=1), agents(3)
    enrol(roster, seated, first, second)
    before = len(roster.decisions)
    assert prioritise(roster, second.key, 1, "Anne Conseil", "Reporté de la session de mars") is None
    change = roster.changes[-1]
    assert change.cause is Cause.PRIORITY
    assert change.numbers["author"] == "Anne Conseil"
    assert change.numbers["reason"] == "Reporté de la session de mars"
    assert change.numbers["place_in_line"] == 1
    assert len(roster.decisions) == before, "the agent is published nothing: their turn comes in time"
    decided(roster, a_withdrawal(roster, seated))
    assert states_of(roster, (first, second)) == [W, E]


def test_among_equal_priorities_order_of_receipt_decides() -> None:
    roster, (seated, first, second, third) = a_roster(capacity=1), agents(4)
    enrol(roster, seated, first, second, third)
    for agent in (third, second):
        prioritise(roster, agent.key, 2, "Anne Conseil", "Agents prioritaires")
    changed(roster, capacity=2)
    assert states_of(roster, (first, second, third)) == [W, E, W]


def test_a_priority_taken_back_gives_the_old_place_back() -> None:
    roster, (seated, first, second) = a_roster(capacity=1), agents(3)
    enrol(roster, seated, first, second)
    prioritise(roster, second.key, 5, "Anne Conseil", "Erreur")
    prioritise(roster, second.key, 0, "Anne Conseil", "Erreur corrigée")
    decided(roster, a_withdrawal(roster, seated))
    assert states_of(roster, (first, second)) == [E, W]


def test_a_seat_that_time_has_freed_meanwhile_goes_by_the_new_order() -> None:
    release = {"delegation": "corse", "seats": 1, "release_at": DURING + timedelta(hours=1)}
    roster, (first, second) = a_roster(capacity=1, reserved_seats=[release]), agents(2)
    enrol(roster, first, second)
    assert states_of(roster, (first, second)) == [W, W]
    roster.now += timedelta(hours=1)
    prioritise(roster, second.key, 1, "Anne Conseil", "Reporté de la session de mars")
    assert states_of(roster, (first, second)) == [W, E]


def test_only_who_waits_has_a_place_to_change() -> None:
    roster, (seated, waiting) = a_roster(capacity=1), agents(2)
    enrol(roster, seated, waiting)
    for agent in (seated.key, AgentKey("", "IEL-INCONNU")):
        assert prioritise(roster, agent, 1, "Anne Conseil", "Sans objet") is OrganisingFault.NOT_IN_LINE
    assert roster.changes == []


def test_nobody_is_put_behind_those_who_have_not_come_yet() -> None:
    roster, (seated, waiting) = a_roster(capacity=1), agents(2)
    enrol(roster, seated, waiting)
    assert (
        prioritise(roster, waiting.key, -1, "Anne Conseil", "À sa demande")
        is OrganisingFault.PRIORITY_BELOW_0
    )
    assert roster.changes == []
