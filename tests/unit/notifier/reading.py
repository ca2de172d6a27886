"""Letters as their reader has them: rendered, parsed, and the elements of their page."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

from services.notifier.letters import LetterContext, LetterType, NumberedSession
from shared.web.links import Links, Purpose
from tests.letters.samples import samples
from tests.unit.notifier.builders import MAIL_ID, a_mail, a_renderer, a_session, some_news

LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "https://parcours.example"))
SAMPLES = {sample.template: sample for sample in reversed(samples())}
"""The first sample of each letter."""
DETAILS: dict[LetterType, dict[str, Any]] = {name: sample.details for name, sample in SAMPLES.items()}
DETAILS[LetterType.NEWS] = {"items": [str(some_news().item_id)], "subscriber": str(MAIL_ID)}
WITHOUT_SESSION = {name for name, sample in SAMPLES.items() if sample.session is None}


def context_of(template: LetterType, session: NumberedSession | None = None) -> LetterContext:
    """Return what is known of the letter's session and reader."""
    sample = SAMPLES[template]
    about = None if template in WITHOUT_SESSION else session or a_session()
    listed = {known.session_id: known for known in sample.listed}
    return LetterContext(about, news=[some_news()], people=sample.people, listed=listed)


def rendered(template: LetterType, session: NumberedSession | None = None, **changes: Any) -> EmailMessage:
    mail = a_mail(template, **{"details": DETAILS[template]} | changes)
    return parsed(a_renderer().render(mail, context_of(template, session)).content)


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


_BEGIN_A_LINE = dict.fromkeys(
    ("title", "style", "body", "p", "br", "ul", "th", "blockquote", "footer"), ""
) | {
    "h1": "# ",
    "h2": "## ",
    "li": "- ",
}
"""What sets text apart from the line before, and how that is shown."""
