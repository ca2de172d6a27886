"""What letters say is true when they leave, and names what it is about."""

import re
from typing import Any

import pytest

from services.notifier.letters import LetterContext, LetterType, NumberedSession
from services.notifier.render import Renderer
from tests.unit.notifier.builders import SENDER, a_mail, a_session, at
from tests.unit.notifier.reading import DETAILS, body, parsed

CLOSES = "2025-03-29T00:00+01:00"


def says_at(now: str, template: LetterType, session: NumberedSession | None = None, **changes: Any) -> str:
    """The text of a letter that leaves at that moment."""
    changes.setdefault("details", DETAILS.get(template, {}))
    outgoing = Renderer(SENDER, now=lambda: at(now)).render(
        a_mail(template, **changes), LetterContext(session or a_session())
    )
    return body(parsed(outgoing.content), "text/plain").replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("template", "details"),
    [
        (LetterType.WITHDRAWN, {"by": "agent", "had_seat": True}),
        (LetterType.OFFER_LAPSED, {"cause": "expired"}),
        (LetterType.OFFER_REFUSED, {"reason": "deadline_passed"}),
        (LetterType.REFUSED, {"reason": "not_open_yet"}),
        (LetterType.REFUSED, {"reason": "not_eligible"}),
        (LetterType.REFUSED, {"reason": "overlapping_session"}),
        (LetterType.REFUSED, {"reason": "group_does_not_fit"}),
    ],
)
def test_no_letter_says_to_ask_again_once_enrolment_is_over(
    template: LetterType, details: dict[str, Any]
) -> None:
    again = re.compile("refai(tes|re) (votre|une) demande", re.IGNORECASE)
    closed = "Les inscriptions à cette session sont closes"
    in_time = says_at("2025-03-28T23:59+01:00", template, details=details)
    assert again.search(in_time)
    assert closed not in in_time
    cancelled = a_session(status="cancelled")
    for late in (
        says_at(CLOSES, template, details=details),
        says_at("2025-03-10T09:00+01:00", template, cancelled, details=details),
    ):
        assert closed in late
        assert not again.search(late.replace("il n’est plus possible de refaire une demande", ""))


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2025-04-01T23:59+02:00", "commence le jeudi 3 avril 2025 à 9 h 30, heure de Paris."),
        ("2025-04-02T00:00+02:00", "commence demain, jeudi 3 avril 2025 à 9 h 30, heure de Paris."),
        ("2025-04-02T23:59+02:00", "commence demain, jeudi 3 avril"),
        ("2025-04-03T08:00+02:00", "commence aujourd’hui, jeudi 3 avril"),
    ],
)
def test_a_reminder_says_tomorrow_where_it_is_true(now: str, begins: str) -> None:
    assert begins in says_at(now, LetterType.REMINDER_DAY)


def test_a_seat_that_is_held_until_midnight_is_held_for_the_day_before() -> None:
    details = {"hold_until": "2025-03-16T23:00:00+00:00"}
    text = says_at("2025-03-10T09:00+01:00", LetterType.SEAT_OFFERED, details=details)
    assert "elle vous est réservée jusqu’au dimanche 16 mars 2025 inclus." in text


# ------------------------------------------------------------------- what changed


PLACE, LINK = {"venue_before": "Salle des fêtes"}, {"link_changed": True}
TO_DATE, TO_PLACE = (
    "de date (jeudi 3 avril 2025 de 9 h 30 à 17 h, heure de Paris)",
    "de lieu (Salle B, Rennes)",
)


def test_what_has_changed_back_is_no_change() -> None:
    session = a_session()
    details = {
        "starts_before": session.starts_at.isoformat(),
        "ends_before": session.ends_at.isoformat(),
        "timezone_before": session.timezone,
        "venue_before": session.venue,
    }
    text = says_at("2025-03-10T09:00+01:00", LetterType.SESSION_CHANGED, details=details)
    assert "» a changé : vous y gardez votre place." in text
    assert "au lieu de" not in text


# ------------------------------------------------------------------- news, other sessions, who organises


# ------------------------------------------------------------------- training of one's own
