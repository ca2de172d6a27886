"""Whatever stands in names and titles, it never adds, removes or breaks anything."""

import binascii
import functools
import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, NamedTuple

import icalendar
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.notifier.letters import LetterContext, LetterType
from services.notifier.render import mime
from tests.unit.notifier.builders import (
    MAIL_ID,
    a_mail,
    a_renderer,
    a_session,
    some_news,
    the_mooc,
)
from tests.unit.notifier.reading import DETAILS, SAMPLES, WITHOUT_SESSION, LetterPage, body, parsed

EVIL = [
    "=?utf-8?q?hi=0d=0aBcc:_evil=40x.example?=",
    "=?utf-8?b?aGkNCkJjYzogZXZpbEB4LmV4YW1wbGU=?=",
    "x\r\nBcc: evil@x.example",
    "x\r\n\r\n<h1>body</h1>",
    "x\nBcc: evil@x.example",
    "x\u2028Bcc: evil@x.example",
    "x\x85Bcc: evil@x.example",
    'x" <evil@x.example>, "y',
    "x <evil@x.example>",
    "x, evil@x.example",
    "x; y: z (comment",
    "x\\",
    'x\\"',
    "</p><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %} {title} {opens}",
    "x\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:evil",
    "x\\nATTENDEE:mailto:evil@x.example",
    "UID:enrolment",
    "x;y,z:w^'\"",
    'x";CN="y:mailto:evil@x.example',
    '" onmouseover="alert(1)" x="',
    "\ud800",
    "\u202egpj.exe",
    ".",
    "..",
    "\n.\n",
    "--=_d2719a4e3b534a529d532b8f7f6f3a90--",
    "é" * 300,
    "x" * 300,
    '"' * 300,
    " ",
    "",
]


PIECES = st.one_of(
    st.sampled_from(EVIL),
    st.text(max_size=40),
    st.text(st.characters(max_codepoint=0x100), max_size=40),
    st.text(alphabet="=?utf-8qb_ \r\n\t<>\"',;:\\@().é", max_size=60),
)


OUTSIDE = st.builds("".join, st.lists(PIECES, min_size=1, max_size=3)).map(lambda text: text[:300])


def nothing_is_decoded_twice(message: EmailMessage) -> None:
    for name in ("Subject", "To"):
        for chunk, charset in decode_header(str(dict(message.raw_items())[name])):
            decoded = chunk.decode(charset or "ascii") if isinstance(chunk, bytes) else chunk
            assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]", decoded)
            assert "=?" not in decoded.replace("=\n?", "")


URL_NEVER = re.compile(r"[\s<>\"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What the contract of a URL refuses (shared.events.vocabulary)."""


def every_field(template: LetterType, text: str) -> EmailMessage:
    """A letter in which every text that comes from outside is this one, past the contracts' own checks."""
    some = "s " + text
    url = "https://x.example/" + URL_NEVER.sub("", text)
    texts = {"title": some, "venue": some, "directions": some, "join_url": url}
    modules = tuple(module.model_copy(update={"title": some}) for module in the_mooc().modules)
    session = a_session(modules=[module.model_dump() for module in the_mooc().modules])
    other = a_session(session_id=MAIL_ID).model_copy(update=texts)
    context = LetterContext(
        None if template in WITHOUT_SESSION else session.model_copy(update=texts | {"modules": modules}),
        alternatives=[other],
        news=[some_news(title=some, summary="s" + " ".join(text.split()), url=url), some_news(title=some)],
        people=dict.fromkeys(SAMPLES[template].people, some),
        trainers=[some] * len(SAMPLES[template].trainers),
    )
    mail = a_mail(template, details=quoting(template, text), given_name=text, family_name=some)
    return parsed(a_renderer().render(mail, context).content)


def quoting(template: LetterType, text: str) -> dict[str, Any]:
    """The details of a letter with this text wherever somebody typed one."""
    paragraph = "m" + " ".join(text.split())  # each line of it is a paragraph
    typed = dict.fromkeys(("advisor", "authority", "venue_before", "replay_title"), "s " + text)
    typed |= dict.fromkeys(("message", "text", "said"), paragraph)
    typed["replay_url"] = "https://x.example/" + URL_NEVER.sub("", text)
    details = {name: typed.get(name, detail) for name, detail in DETAILS[template].items()}
    for rows in ("modules", "gone"):
        if rows in details:
            details[rows] = [row | {"title": "s " + text} for row in details[rows]]
    return details


class HtmlForm(NamedTuple):
    """What of a mail no text may change: names of headers, kinds of parts, elements of the page, calendar."""

    headers: list[str]
    kinds: list[str]
    elements: list[tuple[str, tuple[str, ...]]]
    calendar: list[tuple[str, ...]]

    @classmethod
    def of(cls, message: EmailMessage) -> "HtmlForm":
        kinds = [part.get_content_type() for part in message.walk()]
        return cls(
            [name for name, _ in message.raw_items()],
            kinds,
            LetterPage(body(message, "text/html")).elements,
            lines_of(message) if "text/calendar" in kinds else [],
        )


@functools.cache
def harmless_form(template: LetterType) -> HtmlForm:
    return HtmlForm.of(every_field(template, ""))


def checked_everywhere(template: LetterType, text: str) -> None:
    message = every_field(template, text)
    assert [box.addr_spec for box in message["To"].addresses] == ["zoe.durand@ville-exemple.fr"]
    assert [box.addr_spec for box in message["From"].addresses] == ["formations@cnfpt.example"]
    nothing_is_decoded_twice(message)
    assert HtmlForm.of(message) == harmless_form(template)


def lines_of(message: EmailMessage) -> list[tuple[str, ...]]:
    """The components of its calendar: name, id and participant, and the names of their properties."""
    calendar = icalendar.Calendar.from_ical(body(message, "text/calendar"))
    return [
        (str(part.name), str(part.get("UID")), str(part.get("ATTENDEE")), *sorted(part))
        for part in calendar.walk()
    ]


@settings(max_examples=40)
@given(st.sampled_from(list(LetterType)), OUTSIDE)
def test_nothing_that_any_letter_quotes_breaks_it(template: LetterType, text: str) -> None:
    checked_everywhere(template, text)


@pytest.mark.parametrize("template", list(LetterType))
def test_all_that_is_known_to_break_mails_together_breaks_no_letter(template: LetterType) -> None:
    checked_everywhere(template, " ".join(EVIL))


@pytest.mark.parametrize("text", EVIL, ids=lambda text: ascii(text[:40]))
def test_what_is_known_to_break_mails_breaks_no_confirmation(text: str) -> None:
    checked_everywhere(LetterType.CONFIRMED, text)


@given(OUTSIDE)
@example("=?utf-8?q?hi=0d=0aBcc:_evil=40x?=")
def test_a_header_value_is_one_line_of_ascii_that_decodes_to_no_control(text: str) -> None:
    value = mime.unstructured(text)
    assert value.isascii()
    assert re.fullmatch(r"[ -~]*(\r\n [ -~]+)*", value)


@given(st.text(max_size=300))
def test_a_name_survives_its_header(name: str) -> None:
    clean = mime.clean(name)
    value = mime.mailbox(mime.Mailbox(name, "a@b.example")).replace("\r\n", "")
    (box,) = message_from_bytes(f"To: {value}\r\n\r\n".encode("ascii"), policy=policy.default)["To"].addresses
    assert box.addr_spec == "a@b.example"
    shown, address = parseaddr(value)
    assert address == "a@b.example"
    # Not box.display_name: Python's parser puts spaces between the encoded-words of a phrase.
    assert " ".join(str(make_header(decode_header(shown))).split()) == clean


@given(st.text(max_size=200))
@example("\n ")
def test_text_survives_quoted_printable_but_for_blanks_at_the_ends_of_its_lines(text: str) -> None:
    encoded = mime._quoted_printable(text)
    assert max(len(line) for line in encoded.split(b"\r\n")) <= 76
    lines = text.encode(errors="replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    ended = lines if lines.endswith("\n") else lines + "\n"
    assert binascii.a2b_qp(encoded).decode().replace("\r\n", "\n") == re.sub(r"(?m)[ \t]+$", "", ended)
