"""Letters as mails: how they are built. Golden letters have what they say."""

import re
from collections.abc import Mapping
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import icalendar
import pytest

from services.notifier.letters import KINDS, CalendarAction, LetterContext, LetterType, Tone
from services.notifier.render import THEMES, Renderer
from services.notifier.render.mime import UnsendableAddress
from tests.unit.notifier.builders import MAIL_ID, SENDER, a_mail, a_renderer, a_session, the_mooc
from tests.unit.notifier.reading import DETAILS, LetterPage, body, context_of, parsed, rendered


@pytest.mark.parametrize("template", list(LetterType))
def test_every_letter_is_accessible_and_asks_nothing_of_other_hosts(template: LetterType) -> None:
    html = body(rendered(template), "text/html")
    page = LetterPage(html)
    tags = [tag for tag, _ in page.elements]
    assert page.attributes[tags.index("html")][1] == {"lang": "fr"}
    assert tags.count("h1") == 1
    assert not {"script", "link", "iframe", "font"} & set(tags)
    for tag, attributes in page.attributes:
        assert tag != "img" or str(attributes["src"]).startswith("cid:"), "it is in the mail itself"
        is_layout, is_data = attributes == {"role": "presentation"}, attributes == {"class": "changes"}
        assert tag != "table" or is_layout or is_data, "it is no table for screen readers"
        assert tag != "th" or attributes.get("scope") in ("col", "row")
    assert "url(" not in html
    assert "@import" not in html


def test_a_letter_tells_what_has_changed_since_the_one_before_it() -> None:
    session, moved = a_session(), a_session(version=2, venue="Le Dôme, 14000 Caen")
    written = []
    now = session.enrolment_opens_at
    renderer = Renderer(SENDER, now=lambda: now)
    for now, known, trainers in [
        (session.enrolment_opens_at, session, ()),
        (session.ends_at, session, ()),
        (session.enrolment_opens_at, moved, ()),
        (session.enrolment_opens_at, moved, ("Anne Dupont",)),
    ]:
        mail, context = a_mail(LetterType.CONFIRMED), LetterContext(known, trainers=trainers)
        written.append(renderer.text(mail, context))
        assert written[-1] == renderer.at(now).text(mail, context)
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_every_text_colour_has_a_contrast_of_4_5(theme: Mapping[str, str]) -> None:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [(ink, ground) for ink in ("ink", "quiet", "accent") for ground in ("raised", "paper")]
    for ink, ground in [*pairs, ("on_accent", "accent"), *((tone, "raised") for tone in Tone)]:
        light, dark = sorted((luminance(theme[ink]), luminance(theme[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


@pytest.mark.parametrize("template", list(LetterType))
def test_a_letter_that_touches_the_calendar_carries_it_as_an_alternative(template: LetterType) -> None:
    does = KINDS[template].calendar
    method = "REQUEST" if does in (CalendarAction.INVITE, CalendarAction.REPLACE) else "CANCEL"
    parts = list(rendered(template).iter_parts())
    assert [(part.get_content_type(), part.get_param("method")) for part in parts] == [
        ("text/plain", None),
        ("text/html", None),
        *([("text/calendar", method)] if does else []),
    ]


@pytest.mark.parametrize("ended", [0, 1, 3])
def test_a_session_that_is_cancelled_under_way_leaves_past_days_in_the_calendar(ended: int) -> None:
    """Rule 11."""
    mooc = the_mooc()
    called_for_at = [mooc.starts_at, *(module.ends_at for module in mooc.modules)][ended]
    details = {"had_seat": True, "attendance_kept": True}
    message = rendered(LetterType.SESSION_CANCELLED, mooc, details=details, called_for_at=called_for_at)
    parts = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    assert [part.get_content().count("BEGIN:VEVENT") for part in parts] == [3 - ended] * (ended < 3)


def test_the_sequence_grows_with_the_session_and_with_the_enrolment() -> None:
    def sequence(session_version: int, enrolment_version: int) -> int:
        session = a_session(version=session_version)
        message = rendered(LetterType.CONFIRMED, session, version=enrolment_version)
        event: Any = icalendar.Calendar.from_ical(body(message, "text/calendar")).walk("VEVENT")[0]
        return int(event["SEQUENCE"])

    assert sequence(1, 1) < sequence(2, 1) < sequence(2, 2)
    assert sequence(500, 1) < sequence(1, 2), "a late confirmation outdoes the cancellation after it"
    assert sequence(1, 2**31 - 1) < 2**31


def test_a_mail_has_the_headers_of_an_automatic_message() -> None:
    message = rendered(LetterType.CONFIRMED)
    assert message.keys() == [
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language"),
        *("MIME-Version", "Content-Type"),
    ]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == a_mail(LetterType.CONFIRMED).message_id


@pytest.mark.parametrize(
    ("template", "organiser", "contact"),
    [
        (LetterType.CONFIRMED, "bretagne", "rennes@cnfpt.example"),
        (LetterType.CONFIRMED, "corse", None),
        (LetterType.BESPOKE_RECEIVED, "corse", "rennes@cnfpt.example"),  # of the delegation in the details
        (LetterType.BESPOKE_ANSWERED, "corse", "yann.legoff@cnfpt.example"),
    ],
)
def test_a_reply_goes_to_the_contact_of_the_delegation_or_to_the_advisor(
    template: LetterType, organiser: str, contact: str | None
) -> None:
    sender = replace(SENDER, contacts={"bretagne": "rennes@cnfpt.example"})
    context = context_of(template, a_session(organiser=organiser))
    mail = a_mail(template, details=DETAILS[template])
    message = parsed(Renderer(sender, now=lambda: mail.called_for_at).render(mail, context).content)
    assert message["Reply-To"] == contact
    assert (contact or SENDER.contact) in body(message, "text/plain")


@pytest.mark.parametrize(
    ("domain", "on_the_wire"),
    [
        ("mairie-évry.fr", "xn--mairie-vry-h7a.fr"),
        ("MAIRIE-ÉVRY.fr", "xn--mairie-vry-h7a.fr"),
        ("straße.de", "xn--strae-oqa.de"),  # by the IDNA of 2003 it was another's: strasse.de
        ("Ville_Exemple.fr", "Ville_Exemple.fr"),
    ],
)
def test_a_domain_with_accents_goes_out_in_its_ascii_form(domain: str, on_the_wire: str) -> None:
    mail = a_mail(LetterType.CONFIRMED, address=f"zoe@{domain}")
    outgoing = a_renderer().render(mail, LetterContext(a_session()))
    assert outgoing.recipient == f"zoe@{on_the_wire}"


@pytest.mark.parametrize(
    "address",
    [
        *("zo\x85@ville.fr", "é" * 33 + "@ville.fr", "\ud800@ville.fr", "a b@ville.fr"),
        *("a@b>\r\nRCPT TO:<x@y.fr", "a@", "@b.fr", "a", "a@b c.fr", "a@b..fr", "a@é..fr", "a@\ud800é.fr"),
        *(f"a@{'b' * 64}.fr", f"a@{'é' * 64}.fr", "a@☃.fr"),
    ],
)
def test_an_address_that_smtp_cannot_say_is_not_sendable(address: str) -> None:
    with pytest.raises(UnsendableAddress):
        a_renderer().render(a_mail(LetterType.CONFIRMED, address=address), LetterContext(a_session()))


def test_an_address_with_accents_goes_out_as_it_is_and_in_the_calendar_as_a_uri() -> None:
    """For a relay that offers SMTPUTF8: RFC 6532 for the header, RFC 6068 for the calendar."""
    mail = a_mail(LetterType.CONFIRMED, address="zoe\u0301@mairie-évry.fr")
    outgoing = a_renderer().render(mail, LetterContext(a_session()))
    assert outgoing.recipient == "zoé@xn--mairie-vry-h7a.fr"
    assert "<zoé@xn--mairie-vry-h7a.fr>".encode() in outgoing.content
    message = message_from_bytes(outgoing.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert "mailto:zo%C3%A9@xn--mairie-vry-h7a.fr" in re.sub("\r?\n ", "", body(message, "text/calendar"))


@pytest.mark.parametrize(
    ("template", "details", "proposes"),
    [
        (LetterType.REFUSED, {"reason": "session_full"}, True),
        (LetterType.SESSION_CANCELLED, {"had_seat": True}, True),
        (LetterType.REFUSED, {"reason": "not_open_yet"}, False),
        (LetterType.CONFIRMED, {}, False),
    ],
)
def test_other_sessions_are_proposed_only_where_they_help(
    template: LetterType, details: dict[str, Any], *, proposes: bool
) -> None:
    other = a_session(session_id=MAIL_ID, title="Une autre session")
    context = LetterContext(a_session(), alternatives=[other])
    assert ("Une autre session" in a_renderer().text(a_mail(template, details=details), context)) is proposes
