"""The small parts of the year: what is read, compared and looked for. The year itself is `make year`."""

import os
import signal
from datetime import UTC, date, datetime

import pytest

from local.year import situations
from local.year.acts import Act, paris
from local.year.command import in_turn
from local.year.hearing import Answers, answer_in, letter_in
from local.year.keeping import Retention, judge
from local.year.people import MARK, listens, person
from local.year.script import stops
from local.year.situation import Situation
from local.year.timeline import MISSING, NOT_BUILT, UNEXPECTED, Heard, compare, parse, shown
from services.notifier.letters import LetterType
from services.notifier.render import preview
from services.notifier.render.preview import show
from shared.events import events_on
from shared.events.reasons import Reason
from shared.events.topics import Topic
from shared.events.vocabulary import Event

DAY = date(2025, 3, 10)
CONFIRMED = Heard(DAY, "courriel", "inscription confirmée")
REMINDER = Heard(DAY, "courriel", "rappel")


HEARD = {heard.what for each in situations.ALL for who in each.listeners for heard in parse(who.expected)[0]}
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
"""How what a portal hears begins, by the event."""
UNHEARD_REASONS = {
    Reason.UNKNOWN_SESSION: "it comes minutes after the request, which the year would take for never done",
    Reason.OVERLAPPING_SESSION: "it is off by default [choice]",
}
"""Why somebody is refused that no situation has, and why not."""


async def nothing(_: object) -> None:
    """Do nothing, as an act."""


def test_what_is_heard_as_expected_has_no_mark() -> None:
    timeline = compare("Zoé", "2025-03-10 courriel inscription confirmée", [CONFIRMED])
    assert timeline.differences == 0
    assert shown(timeline) == ["  Zoé", "    10/03/2025  courriel  inscription confirmée"]


def test_what_is_not_heard_and_what_nobody_expected_are_differences() -> None:
    timeline = compare("Zoé", "2025-03-10 courriel inscription confirmée", [REMINDER])
    assert {line.heard: line.verdict for line in timeline.lines} == {CONFIRMED: MISSING, REMINDER: UNEXPECTED}
    assert timeline.differences == 2


def test_what_is_heard_twice_is_a_difference() -> None:
    assert compare("Zoé", "2025-03-10 courriel rappel", [REMINDER, REMINDER]).differences == 1


def test_the_order_of_one_day_does_not_count_and_that_of_days_does() -> None:
    later = Heard(date(2025, 3, 11), "courriel", "rappel")
    expected = "2025-03-10 courriel rappel\n2025-03-10 courriel inscription confirmée"
    assert compare("Zoé", expected, [CONFIRMED, REMINDER]).differences == 0
    assert compare("Zoé", expected, [CONFIRMED, later]).differences == 2


def test_what_is_not_built_is_no_difference_until_it_is_heard() -> None:
    expected = "2025-03-10 courriel ~ rappel"
    assert [line.verdict for line in compare("Zoé", expected, []).lines] == [NOT_BUILT]
    assert compare("Zoé", expected, []).differences == 0
    assert compare("Zoé", expected, [REMINDER]).differences == 1


def test_a_line_by_no_known_way_is_an_error_of_the_script() -> None:
    with pytest.raises(ValueError, match="pigeon"):
        parse("2025-03-10 pigeon rappel")


def test_a_letter_is_known_by_its_subject_whatever_the_session_is_called() -> None:
    assert letter_in("Votre convocation : « L’IA : pour tous »") == "convocation"
    assert letter_in("Votre convocation\N{NO-BREAK SPACE}: «\N{NO-BREAK SPACE}L’IA »") == "convocation"
    assert letter_in("Une lettre nouvelle : « L’IA »") == "Une lettre nouvelle : « L’IA »"


def test_a_seat_says_how_it_came() -> None:
    seat = {"from_waiting_list": False, "moved_from": None}
    assert answer_in("AgentEnrolled", seat) == "une place"
    assert (
        answer_in("AgentEnrolled", seat | {"from_waiting_list": True}) == "une place, de la liste d’attente"
    )
    moved = answer_in("AgentEnrolled", seat | {"moved_from": {"session_id": "…"}})
    assert moved == "une place, par changement de session"


def test_an_answer_about_another_agent_is_not_heard_and_one_about_none_by_its_request() -> None:
    answers = Answers()
    at = datetime(2025, 3, 10, 9, tzinfo=UTC)
    answers.add("SeatOffered", at, {"agent": {"agent_id": "zoe"}, "request_id": None})
    answers.add("RequestAccepted", at, {"request_id": "42"})
    assert answers.about("zoe", ()) == [Heard(DAY, "portail", "place proposée")]
    assert answers.about("noel", ("42",)) == [Heard(DAY, "portail", "demande prise en compte")]
    assert answers.about("", ()) == []


def test_the_clock_stops_at_each_act_and_on_each_day_on_which_something_is_to_be_heard() -> None:
    act = Act("2025-03-10 09:15", nothing)
    zoe = listens(person("Zoé", "Durand", "bretagne"), "2025-04-01 courriel rappel")
    found = stops([Situation("", "", [act], [zoe], ["2025-03-30 10:00"])])
    moments = [paris(at) for at in ("2025-03-10 09:15", "2025-03-30 10:00", "2025-04-01 10:00")]
    assert list(found) == moments
    assert found[moments[0]] == [act]


def test_moments_are_those_of_clocks_in_paris_over_the_change_of_clocks() -> None:
    assert paris("2025-03-29 10:00") == datetime(2025, 3, 29, 9, tzinfo=UTC)
    assert paris("2025-03-30 10:00") == datetime(2025, 3, 30, 8, tzinfo=UTC)


def test_who_is_known_for_too_long_and_who_is_forgotten_too_soon_are_named() -> None:
    retention = Retention("2026-10-01 10:00", "", gone=["notifier.*"], there=["enrolment.enrolment"])
    assert judge(retention, {"enrolment.enrolment": 3}) == []
    assert judge(retention, {"enrolment.enrolment": 3, "notifier.mail": 1}) == [
        "notifier.mail still knows somebody"
    ]
    assert judge(retention, {}) == ["enrolment.enrolment knows nobody any more"]


def test_everybody_of_the_year_has_its_mark_and_an_address_of_their_own() -> None:
    addresses = [listener.address for each in situations.ALL for listener in each.listeners]
    assert all(MARK in address for address in addresses)
    assert len(addresses) == len(set(addresses))
    assert len(situations.ALL) >= 12


def test_a_signal_ends_the_year_that_is_played_and_begins_no_other() -> None:
    played: list[str] = []

    def interrupted(broker: str) -> int:
        played.append(broker)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal did not interrupt it")

    assert in_turn(["embedded", "kafka"], interrupted, lambda _: None) == 130
    assert played == ["embedded"]


def test_a_year_that_is_not_as_expected_is_the_result_of_both() -> None:
    assert in_turn(["embedded", "kafka"], lambda broker: broker == "embedded", lambda _: None) == 1


@pytest.mark.parametrize("template", LetterType)
def test_every_letter_is_heard_in_a_situation(template: LetterType) -> None:
    subjects = [show(sample).subject for sample in preview.samples() if sample.template is template]
    heard = {letter_in(subject) for subject in subjects}
    assert not heard & set(subjects), "a letter has no name in hearing.py"
    assert heard & HEARD, "no situation hears it"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_of_a_refusal_is_heard_in_a_situation(reason: Reason) -> None:
    assert (f"refus : {reason.value}" in HEARD) == (reason not in UNHEARD_REASONS)


@pytest.mark.parametrize("event", events_on(Topic.PORTAL_ANSWERS), ids=lambda event: event.__name__)
def test_every_answer_to_a_portal_is_heard_in_a_situation(event: type[Event]) -> None:
    assert any(what.startswith(ANSWERS[event.__name__]) for what in HEARD)
