"""The comparison must notice: a demonstration that cannot fail shows nothing."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from local.demo.comparison import Differences, Observed, compare, figures
from local.demo.decisions import Databases, DecisionLog, EnrolmentChange, verdict_of
from local.model.day import ReferenceModel, SentRequest
from local.model.seats import Seats
from local.model.session import CatalogueSession, Verdict
from local.observing import Letter, Mailbox
from local.people import Agent, Population
from local.portal import requests
from local.portal.requests import Request

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
SESSION = CatalogueSession(
    "s", "local_event", "IA", "bretagne", Seats(1), "offer", NOW, NOW + timedelta(days=1), NOW
)


class OneSeat:
    """One seat: the first agent leaves it, the second has the offer and stays silent, the third takes it.

    A group waits, of which each agent has an answer. Everything happens as it should.
    """

    def __init__(self, directory: Path) -> None:
        people = Population("abc", Random(1))
        self.agents = [people.agent() for _ in range(5)]
        first, second, third, *group = self.agents
        self.model = ReferenceModel([SESSION])
        asked = [requests.seat("s", agent) for agent in (first, second, third)]
        withdrawal, together = (
            requests.withdrawal("s", first),
            requests.group("s", group, all_or_nothing=False),
        )
        self.receive(*asked, withdrawal, together)
        self.model.let_offers_lapse("s")
        acceptance = requests.offer_answer("s", third, accepted=True)
        correction = requests.correction(second, "nouvelle@ville.example")
        self.receive(acceptance, correction)
        self.decisions = DecisionLog()
        self.changes: list[EnrolmentChange] = []
        self.decide("AgentEnrolled", first, asked[0].id)
        self.decide("AgentWaitlisted", second, asked[1].id)
        self.decide("AgentWaitlisted", third, asked[2].id)
        self.decide("EnrolmentWithdrawn", first, withdrawal.id, by="agent")
        self.decide("SeatOffered", second)
        for agent in group:
            self.decide("AgentWaitlisted", agent, together.id)
        self.decide("SeatOfferLapsed", second, cause="expired")
        self.decide("SeatOffered", third)
        self.decide("AgentEnrolled", third, acceptance.id)
        corrected = {"agent_id": second.agent_id, "email": "nouvelle@ville.example"}
        self.decisions.add("AgentDetailsCorrected", corrected)
        self.mails = Mailbox(directory)
        self.mails.letters = [
            Letter(directory, address, f"<{number}@x>", "")
            for number, address in enumerate(self.model.mails.elements())
        ]
        self.seats = {
            "enrolled": Counter([("s", third.agent_id)]),
            "waitlisted": Counter([("s", agent.agent_id) for agent in group]),
        }
        self.superseded: Counter[str] = Counter()
        self.unsent: dict[str, int] = {}
        self.decided, self.parked, self.malformed = 6, 2, 2
        self.selection: Counter[str] = Counter()

    def receive(self, *sent: Request) -> None:
        self.model.receive([SentRequest(request, 0, number, NOW) for number, request in enumerate(sent)])

    def decide(self, name: str, agent: Agent, request_id: str | None = None, **details: Any) -> None:
        enrolment = {"session_id": "s", "enrolment_id": f"enrolment of {agent.agent_id}"}
        about = {"agent": {"agent_id": agent.agent_id}, "request_id": request_id}
        self.decisions.add(name, {**enrolment, **about, **details})
        self.changes.append(
            EnrolmentChange(
                verdict_of(name, {"by": "agent", **details}),
                enrolment["session_id"],
                enrolment["enrolment_id"],
                agent.agent_id,
            )
        )

    def observed(self) -> Observed:
        databases = Databases(
            self.seats, self.decided, self.changes, self.parked, self.unsent, self.superseded
        )
        return Observed(self.decisions, self.mails, databases, self.selection, self.malformed)

    def compared(self) -> Differences:
        return compare(self.model, self.observed())


@pytest.fixture
def day(tmp_path: Path) -> OneSeat:
    return OneSeat(tmp_path)


def test_agreement_is_clean(day: OneSeat) -> None:
    differences = day.compared()
    assert differences.details == []
    found = figures(day.model, day.observed(), differences)
    assert found["requests"] == found["answers"] == 7
    assert found["mails_expected"] == found["mails_received"]


def _first_answer(day: OneSeat) -> list[Verdict]:
    return next(iter(day.decisions.answers.values()))


FAULTS: dict[str, tuple[Callable[[OneSeat], object], str]] = {
    "a request without an answer": (lambda day: day.decisions.answers.popitem(), "lost"),
    "a second answer": (lambda day: _first_answer(day).append(Verdict("enrolled")), "duplicated"),
    "a wrong answer": (
        lambda day: day.decisions.answers.update({next(iter(day.model.answers)): [Verdict("waitlisted")]}),
        "wrong",
    ),
    "an answer to nobody's request": (
        lambda day: day.decide("AgentWaitlisted", day.agents[0], "stranger"),
        "wrong",
    ),
    "a reply by a link without an answer": (
        lambda day: day.model.other_answers.update([(Verdict("enrolled"), "s", "a")]),
        "lost",
    ),
    "a seat that was not passed on": (lambda day: day.decisions.consequences.popitem(), "lost"),
    "a seat that was passed on twice": (
        lambda day: day.decisions.consequences.update([next(iter(day.decisions.consequences))]),
        "duplicated",
    ),
    "an address that was not corrected": (lambda day: day.decisions.corrections.clear(), "lost"),
    "an address that was corrected twice": (
        lambda day: day.decisions.corrections.update(day.decisions.corrections.copy()),
        "duplicated",
    ),
    "an offer that did not lapse": (lambda day: day.decisions.offers.pop("lapsed"), "wrong"),
    "an agent who has a seat in the model alone": (lambda day: day.seats.pop("enrolled"), "wrong"),
    "an agent who waits in the database alone": (
        lambda day: day.seats["waitlisted"].update([("s", "somebody")]),
        "wrong",
    ),
    "a mail that did not come": (lambda day: day.mails.letters.pop(), "lost"),
    "a mail too many": (lambda day: day.mails.letters.append(day.mails.letters[0]), "duplicated"),
    "a seat too many for a moment": (
        lambda day: day.changes.insert(1, EnrolmentChange(Verdict("enrolled"), "s", "other", "other")),
        "overbooked",
    ),
    "a request without a decision": (lambda day: setattr(day, "decided", 5), "wrong"),
    "an unreadable record that was not parked": (lambda day: setattr(day, "parked", 1), "lost"),
    "a readable record that was parked": (lambda day: setattr(day, "parked", 3), "wrong"),
    "a mail that is not sent": (lambda day: day.unsent.update(failed=1), "wrong"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_difference(day: OneSeat, fault: str) -> None:
    spoil, kind = FAULTS[fault]
    spoil(day)
    assert day.compared().counts[kind] > 0


def test_a_letter_that_was_superseded_counts_as_received(day: OneSeat) -> None:
    day.superseded[day.mails.letters.pop().address] += 1
    assert day.compared().details == []


def test_a_seat_above_the_capacity_belongs_to_the_agent_who_was_given_it(day: OneSeat) -> None:
    day.model.sessions["s"].above_capacity.add("other")
    day.changes[1:1] = [
        EnrolmentChange(Verdict(state), "s", "other", "other") for state in ("enrolled", "withdrawn")
    ]
    assert day.compared().counts["overbooked"] == 0


def _mail(directory: Path, name: str, to: str, text: str = "Delivered-To: in@the.text") -> None:
    head = f"Return-Path: <x@y.example>\r\nDelivered-To: {to}\r\nSubject: x\r\n\r\n"
    (directory / f"{name}.eml").write_text(f"{head}{text}\r\n")


def test_letters_are_counted_by_envelope_and_old_letters_do_not_count(tmp_path: Path) -> None:
    _mail(tmp_path, "old", "zoe@ville.example")
    mails = Mailbox(tmp_path)
    _mail(tmp_path, "new", "noel@ville.example")
    assert mails.look() == mails.look() == 1
    assert mails.by_address() == {"noel@ville.example": 1}
