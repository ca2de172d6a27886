"""What a letter says is true when it leaves; golden letters have the words."""

import re
from typing import Any

import pytest

from services.notifier.letters import LetterContext, LetterType
from services.notifier.render import Renderer
from tests.unit.notifier.builders import SENDER, a_mail, a_session, at

AGAIN = re.compile("refai(tes|re) (votre|une) demande", re.IGNORECASE)
CLOSED = "Les inscriptions à cette session sont closes"


def says_at(now: str, template: LetterType, details: dict[str, Any], **session: Any) -> str:
    """The text of a letter that leaves at that moment."""
    renderer = Renderer(SENDER, now=lambda: at(now))
    text = renderer.text(a_mail(template, details=details), LetterContext(a_session(**session)))
    return text.replace("\u00a0", " ").replace("il n’est plus possible de refaire une demande", "")


@pytest.mark.parametrize(
    ("template", "details"),
    [
        (LetterType.WITHDRAWN, {"by": "agent", "had_seat": True}),
        (LetterType.OFFER_LAPSED, {"cause": "expired"}),
        (LetterType.OFFER_REFUSED, {"reason": "deadline_passed"}),
        (LetterType.REFUSED, {"reason": "not_eligible"}),
    ],
)
def test_no_letter_says_to_ask_again_once_enrolment_is_over(
    template: LetterType, details: dict[str, Any]
) -> None:
    in_time = says_at("2025-03-28T23:59+01:00", template, details)
    late = says_at("2025-03-29T00:00+01:00", template, details)
    cancelled = says_at("2025-03-28T23:59+01:00", template, details, status="cancelled")
    found = [(CLOSED in text, AGAIN.search(text) is not None) for text in (in_time, late, cancelled)]
    assert found == [(False, True), (True, False), (True, False)]


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2025-04-01T23:59+02:00", "commence le jeudi 3 avril 2025 à 9 h 30."),
        ("2025-04-02T00:00+02:00", "commence demain, jeudi 3 avril 2025 à 9 h 30."),
        ("2025-04-02T23:59+02:00", "commence demain, jeudi 3 avril"),
        ("2025-04-03T08:00+02:00", "commence aujourd’hui, jeudi 3 avril"),
    ],
)
def test_a_reminder_says_tomorrow_where_it_is_true(now: str, begins: str) -> None:
    assert begins in says_at(now, LetterType.REMINDER_DAY, {})


@pytest.mark.parametrize(
    ("session", "times"),
    [
        ({}, 0),
        ({"venue": None, "join_url": "https://visio.example/ia"}, 1),
        ({"timezone": "America/Cayenne", "venue": "Mairie, Cayenne"}, 1),
    ],
)
@pytest.mark.parametrize(
    ("template", "details"),
    [
        (LetterType.CONFIRMED, {}),
        (LetterType.SEAT_OFFERED, {"hold_until": "2025-03-20T12:00:00+00:00"}),
        (LetterType.PENDING, {"awaiting": "employer_approval"}),
        (LetterType.REMINDER_WEEK, {}),
        (LetterType.REFUSED, {"reason": "deadline_passed"}),
        (LetterType.SESSION_CHANGED, {"venue_before": "Salle des fêtes, Rennes"}),
    ],
)
def test_the_time_zone_is_said_once_and_only_where_it_could_be_mistaken(
    template: LetterType, details: dict[str, Any], session: dict[str, Any], times: int
) -> None:
    assert says_at("2025-03-10T09:00+01:00", template, details, **session).count(", heure ") == times


def test_what_has_changed_back_is_no_change() -> None:
    session = a_session()
    details = {
        "starts_before": session.starts_at.isoformat(),
        "ends_before": session.ends_at.isoformat(),
        "timezone_before": session.timezone,
        "venue_before": session.venue,
    }
    assert "avant :" not in says_at("2025-03-10T09:00+01:00", LetterType.SESSION_CHANGED, details)
