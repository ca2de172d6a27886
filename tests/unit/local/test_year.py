"""The small parts of the year: what is read, compared and looked for. The year itself is `make year`."""

from datetime import UTC, date, datetime

import pytest

from local.year import situations
from local.year.hearing import Answers, letter_in
from local.year.timeline import MISSING, UNEXPECTED, Heard, compare, parse
from services.notifier.letters import LetterType
from shared.events.index import events_on
from shared.events.reasons import Reason
from shared.events.topics import Topic
from shared.events.vocabulary import Event
from tests.letters.samples import samples
from tests.letters.showing import show

DAY = date(2025, 3, 10)
CONFIRMED = Heard(DAY, "courriel", "inscription confirmée")
REMINDER = Heard(DAY, "courriel", "rappel")
LATE = Heard(date(2025, 3, 11), "courriel", "rappel")
_, ALL = situations.load()
LISTENERS = [listener for each in ALL for listener in each.listeners]
HEARD = {heard.what for listener in LISTENERS for heard in parse(listener.expected)}
ANSWERS = {
    "AgentEnrolled": "une place",
    "AgentWaitlisted": "liste d’attente, rang",
    "AttendanceRecorded": "présence relevée",
    "BespokeRequestAnswered": "réponse sur mesure",
    "EnrolmentPending": "à décider",
    "EnrolmentRefused": "refus :",
    "EnrolmentWithdrawn": "fin :",
    "RequestAccepted": "demande prise en compte",
    "RequestRejected": "rejet :",
    "SeatNotObtained": "pas de place obtenue",
    "SeatOffered": "place proposée",
    "SeatOfferLapsed": "proposition terminée",
    "SessionChangedForAgent": "session modifiée",
}
"""How the portal's line begins, by the event."""
UNHEARD_REASONS = {
    Reason.UNKNOWN_SESSION: "it comes minutes after the request, which the year would take for never done",
    Reason.OVERLAPPING_SESSION: "it is off by default [choice]",
}
"""The reasons that no situation has, and why."""
UNHEARD_LETTERS = {LetterType.WEBHOOK_DISABLED: "the portal of the year reads Kafka"}


@pytest.mark.parametrize(
    ("heard", "differences"),
    [
        ([CONFIRMED, REMINDER], {}),
        ([REMINDER], {CONFIRMED: MISSING}),
        ([CONFIRMED, REMINDER, REMINDER], {REMINDER: UNEXPECTED}),
        ([CONFIRMED, LATE], {REMINDER: MISSING, LATE: UNEXPECTED}),
    ],
    ids=["in any order of a day", "a letter is missing", "a letter comes twice", "a letter comes a day late"],
)
def test_a_wrong_letter_is_a_difference(heard: list[Heard], differences: dict[Heard, str]) -> None:
    expected = "2025-03-10 courriel rappel\n2025-03-10 courriel inscription confirmée"
    timeline = compare("Zoé", expected, heard)
    assert {line: verdict for line, verdict in timeline.lines if verdict} == differences


def test_an_answer_is_heard_by_its_agent_or_if_it_names_nobody_by_its_request() -> None:
    answers, at = Answers(), datetime(2025, 3, 10, 9, tzinfo=UTC)
    answers.add("SeatOffered", at, {"agent": {"agent_id": "zoe"}, "request_id": None})
    answers.add("RequestAccepted", at, {"request_id": "42"})
    assert answers.about("zoe", ()) == [Heard(DAY, "portail", "place proposée")]
    assert answers.about("noel", ["42"]) == [Heard(DAY, "portail", "demande prise en compte")]
    assert answers.about("", ()) == []


@pytest.mark.parametrize("template", LetterType)
def test_every_letter_is_heard_in_a_situation(template: LetterType) -> None:
    subjects = [show(sample).subject for sample in samples() if sample.template is template]
    heard = {letter_in(subject) for subject in subjects}
    assert not heard & set(subjects), "a letter has no name in letters.yaml"
    assert bool(heard & HEARD) == (template not in UNHEARD_LETTERS), "no situation hears it"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_of_a_refusal_is_heard_in_a_situation(reason: Reason) -> None:
    assert (f"refus : {reason.value}" in HEARD) == (reason not in UNHEARD_REASONS)


@pytest.mark.parametrize("event", events_on(Topic.PORTAL_ANSWERS), ids=lambda event: event.__name__)
def test_every_answer_to_a_portal_is_heard_in_a_situation(event: type[Event]) -> None:
    assert any(what.startswith(ANSWERS[event.__name__]) for what in HEARD)
