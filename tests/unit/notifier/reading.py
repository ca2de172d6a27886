"""Letters as their reader has them: rendered, parsed, and the elements of their page."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

from services.notifier.letters import LetterContext, LetterType, NumberedSession
from shared.web.links import Links, Purpose
from tests.unit.notifier.builders import (
    MAIL_ID,
    SESSION_ID,
    a_mail,
    a_renderer,
    a_session,
    some_news,
)

DETAILS: dict[LetterType, dict[str, Any]] = {
    LetterType.WAITLISTED: {"position": 3},
    LetterType.SEAT_OFFERED: {"hold_until": "2025-03-17T08:30:00+00:00"},
    LetterType.OFFER_LAPSED: {"cause": "expired"},
    LetterType.PENDING: {"awaiting": "employer_approval"},
    LetterType.REFUSED: {"reason": "deadline_passed"},
    LetterType.WITHDRAWAL_REFUSED: {"reason": "deadline_passed"},
    LetterType.OFFER_REFUSED: {"reason": "deadline_passed"},
    LetterType.MOVED: {
        "left_session": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12",
        "left_enrolment": "0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c02",
        "left_version": 2,
    },
    LetterType.MOVE_REFUSED: {
        "reason": "session_full",
        "to_session": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12",
    },
    LetterType.WITHDRAWN: {"by": "agent", "had_seat": True},
    LetterType.SESSION_CANCELLED: {"had_seat": True},
    LetterType.SESSION_CHANGED: {
        "starts_before": "2025-04-02T07:30:00+00:00",
        "ends_before": "2025-04-02T15:00:00+00:00",
        "timezone_before": "Europe/Paris",
        "venue_before": "Salle des fêtes",
        "link_changed": True,
    },
    LetterType.SESSION_CHANGED_WAITING: {
        "venue_before": "Salle des fêtes",
        "gone": [
            {
                "number": 2,
                "title": "Atelier",
                "starts_at": "2025-04-04T07:30:00+00:00",
                "ends_at": "2025-04-04T10:00:00+00:00",
            }
        ],
    },
    LetterType.MODULE_CANCELLED: {
        "modules": [
            {
                "number": 2,
                "title": "Atelier",
                "starts_at": "2025-04-04T07:30:00+00:00",
                "ends_at": "2025-04-04T10:00:00+00:00",
            }
        ]
    },
    LetterType.TRAINER_NAMED: {"trainer": "0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c07", "session_version": 1},
    LetterType.TRAINER_CHANGED: {
        "trainer": "0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c07",
        "venue_before": "Salle des fêtes",
    },
    LetterType.TRAINER_CANCELLED: {"trainer": "0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c07"},
    LetterType.BESPOKE_RECEIVED: {
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "theme": "enjeux-ia",
        "trainees": 15,
        "reference": str(MAIL_ID),
        "wished_from": "2025-09-01T00:00:00+02:00",
        "wished_until": None,
    },
    LetterType.BESPOKE_ANSWERED: {
        "answer": "proposed",
        "message": "Deux journées à Rennes.\n\nDates à convenir.",
        "advisor": "Yann Le Goff",
        "advisor_address": "yann.legoff@cnfpt.example",
        "reference": str(MAIL_ID),
    },
    LetterType.NEWS: {"items": ["4a1c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a99"], "subscriber": str(MAIL_ID)},
    LetterType.NOMINATION_ANSWERED: {
        "session_version": 1,
        "trainees": [{"enrolment": str(MAIL_ID), "outcome": "enrolled"}],
        "replaced": [],
    },
    LetterType.ORGANISER_MESSAGE: {
        "text": "Venez avec un ordinateur portable.\n\nÀ bientôt !",
        "link": "https://ressources.example/ateliers?a=1&b=2",
        "audience": ["enrolled"],
        "session_version": 1,
    },
    LetterType.DIGEST: {
        "sessions": [
            {
                "session": str(SESSION_ID),
                "enrolled": 12,
                "offered": 1,
                "waiting": 3,
                "pending": 4,
                "to_rank": 0,
                "minimum_missed": 0,
                "soon": 1,
                "new": 2,
                "left": 1,
                "people": 1,
            }
        ],
        "in_all": 1,
        "digest": str(MAIL_ID),
        "to_decide": 0,
        "new": 0,
        "left": 0,
        "soon": 1,
    },
    LetterType.MAILS_RETURNED: {
        "sessions": [{"session": str(SESSION_ID), "people": 2}],
        "in_all": 1,
        "people": 2,
    },
    LetterType.SELECTION_DUE: {"session_version": 1, "candidates": 34, "capacity": 20, "enrolled": 2},
    LetterType.MINIMUM_MISSED: {
        "session_version": 1,
        "minimum": 12,
        "enrolled": 7,
        "offered": 1,
        "candidates": 0,
    },
    LetterType.CONFIRM_SUBSCRIPTION: {"request": str(MAIL_ID), "interests": ["theme:enjeux-ia"]},
    LetterType.CONFIRM_ADDRESS: {
        "request": str(MAIL_ID),
        "until": "2025-03-11T13:05:00+00:00",
    },
    LetterType.ADDRESS_GIVEN: {"reference": str(MAIL_ID), "until": "2025-03-11T13:05:00+00:00"},
    LetterType.ADDRESS_CORRECTED: {"reference": str(MAIL_ID), "by": "support"},
    LetterType.REPLAY_AVAILABLE: {"replay_title": "Replay", "replay_url": "https://replay.example/1?a=1&b=2"},
}


WITHOUT_SESSION = {
    LetterType.BESPOKE_RECEIVED,
    LetterType.BESPOKE_ANSWERED,
    LetterType.NEWS,
    LetterType.CONFIRM_SUBSCRIPTION,
    LetterType.MY_ENROLMENTS,
    LetterType.MAILS_RETURNED,
    LetterType.CONFIRM_ADDRESS,
    LetterType.ADDRESS_GIVEN,
    LetterType.ADDRESS_CORRECTED,
    LetterType.DIGEST,
}


def rendered(template: LetterType, session: NumberedSession | None = None, **changes: Any) -> EmailMessage:
    changes.setdefault("details", DETAILS.get(template, {}))
    news = [some_news()] if template is LetterType.NEWS else []
    about_a_session = template not in WITHOUT_SESSION
    about = session or a_session()
    outgoing = a_renderer().render(
        a_mail(template, **changes),
        LetterContext(about if about_a_session else None, news=news, listed={about.session_id: about}),
    )
    return parsed(outgoing.content)


def parsed(content: bytes) -> EmailMessage:
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    (part,) = [part for part in message.walk() if part.get_content_type() == kind]
    assert isinstance(part, EmailMessage)
    content = part.get_content()
    return (content if isinstance(content, str) else content.decode()).replace("\r\n", "\n")


class LetterPage(HTMLParser):
    """The elements, in order, and the text of a page.

    ``read`` are its lines with the places of its links, as who hears them: a cell that is hidden from them,
    such as a date that is said again, is left out.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._lines = [""]
        self._href = ""
        self._is_hidden = False
        self.feed(html)

    @property
    def read(self) -> str:
        lines = (re.sub(r"[ \n]+", " ", line).strip() for line in self._lines)
        return "".join(f"{line}\n" for line in lines if line.strip("# -"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes.append((tag, dict(attrs)))
        if tag == "td":
            self._is_hidden = ("aria-hidden", "true") in attrs
        if self._is_hidden:
            return
        if tag in _BEGIN_A_LINE:
            self._lines.append(_BEGIN_A_LINE[tag])
        elif tag == "a":
            self._href = dict(attrs)["href"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._is_hidden = False
            self._lines.append("")
        elif tag in _BEGIN_A_LINE:
            self._lines.append("")
        elif tag == "a":
            self._lines[-1] += f" <{self._href}>"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.elements and self.elements[-1][0] != "style" and not self._is_hidden:
            self._lines[-1] += data


_BEGIN_A_LINE = dict.fromkeys(("title", "style", "body", "p", "br", "ul", "blockquote", "footer"), "") | {
    "h1": "# ",
    "h2": "## ",
    "li": "- ",
}
"""What sets text apart from the line before, and how that is shown."""


LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "https://parcours.example"))
