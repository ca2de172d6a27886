"""Letters as mails: what they say, and how they are built."""

import re
from collections.abc import Mapping
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import icalendar
import pytest

from services.notifier.letters import (
    KINDS,
    CalendarAction,
    LetterContext,
    LetterType,
    NewsKind,
    Tone,
)
from services.notifier.render import THEMES, Renderer
from services.notifier.render.mime import UnsendableAddress
from shared.web import labels
from tests.unit.notifier.builders import (
    MAIL_ID,
    SENDER,
    a_mail,
    a_renderer,
    a_session,
    at,
    some_news,
    the_mooc,
)
from tests.unit.notifier.reading import DETAILS, LetterPage, body, parsed, rendered


@pytest.mark.parametrize("template", list(LetterType))
def test_every_letter_begins_with_its_outcome_in_both_parts(template: LetterType) -> None:
    message = rendered(template)
    greeting, first, *_ = body(message, "text/plain").split("\n\n")
    assert greeting == "Bonjour Zoé Durand,"
    expected = " ".join(first.split())[:60]
    content = " ".join(LetterPage(body(message, "text/html").split("<body>")[1]).text.split())
    assert content.startswith(expected), "it is what a list of mails shows beside the subject"
    assert content.count(expected) == 2
    assert "None" not in content


@pytest.mark.parametrize("template", list(LetterType))
def test_every_letter_says_whom_to_write_to(template: LetterType) -> None:
    message = rendered(template)
    advised = template is LetterType.BESPOKE_ANSWERED
    contact = "yann.legoff@cnfpt.example" if advised else "formations@cnfpt.example"
    for kind in ("text/plain", "text/html"):
        assert contact in body(message, kind)
    assert (message["Reply-To"] is not None) is advised


def test_who_asked_for_training_is_told_to_write_to_the_delegation_that_will_answer() -> None:
    sender = replace(SENDER, contacts={"bretagne": "formation.bretagne@cnfpt.example"})
    mail = a_mail(LetterType.BESPOKE_RECEIVED, details=DETAILS[LetterType.BESPOKE_RECEIVED], session_id=None)
    content = Renderer(sender, now=lambda: at("2025-03-10T14:06+01:00")).render(mail, LetterContext()).content
    assert parsed(content)["Reply-To"] == "formation.bretagne@cnfpt.example"


@pytest.mark.parametrize("template", list(LetterType))
def test_subjects_are_sentences_without_shouting(template: LetterType) -> None:
    subject = labels.LETTERS[template]
    assert subject[0].isupper()
    assert not any(word.isupper() and len(word) > 1 for word in subject.split())


@pytest.mark.parametrize("template", list(LetterType))
def test_every_page_is_accessible_and_asks_nothing_of_other_hosts(template: LetterType) -> None:
    html = body(rendered(template), "text/html")
    page = LetterPage(html)
    tags = [tag for tag, _ in page.elements]
    assert dict(page.attributes[tags.index("html")][1]) == {"lang": "fr"}
    assert tags.count("h1") == 1
    assert "h2" in tags
    assert not {"script", "link", "iframe", "font"} & set(tags)
    for tag, attributes in page.attributes:
        assert tag != "img" or str(dict(attributes)["src"]).startswith("cid:"), "it is in the mail itself"
    for tag, attributes in page.attributes:
        assert tag != "table" or attributes == {"role": "presentation"}, "it is no table to who hears it"
    assert "url(" not in html
    assert "@import" not in html
    assert "text-decoration: underline" in html


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
def test_letters_that_touch_the_calendar_carry_it_as_an_alternative(template: LetterType) -> None:
    message = rendered(template)
    assert message.get_content_type() == "multipart/alternative"
    parts = [part.get_content_type() for part in message.iter_parts()]
    does = KINDS[template].calendar
    puts_in = does in (CalendarAction.INVITE, CalendarAction.REPLACE)
    method = None if does is None else "REQUEST" if puts_in else "CANCEL"
    assert parts == ["text/plain", "text/html"] + (["text/calendar"] if method else [])
    if method:
        part = list(message.iter_parts())[-1]
        assert part.get_param("method") == method
        assert str(icalendar.Calendar.from_ical(body(message, "text/calendar"))["METHOD"]) == method


def test_the_mooc_is_published() -> None:
    message = rendered(LetterType.CONFIRMED, the_mooc())
    assert list(message.iter_parts())[-1].get_param("method") == "PUBLISH"
    assert "du lundi 17 mars 2025 au vendredi 11 avril 2025" in body(message, "text/plain")


def test_who_never_had_a_seat_gets_no_cancellation() -> None:
    message = rendered(LetterType.WITHDRAWN, details={"by": "agent", "had_seat": False})
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("ended", [0, 1, 3])
def test_a_session_that_is_cancelled_under_way_leaves_in_the_calendar_what_took_place(ended: int) -> None:
    """Rule 11: of who attended a first day, what has ended stays."""
    mooc = the_mooc()
    called_for_at = [mooc.starts_at, *(module.ends_at for module in mooc.modules)][ended]
    details = {"had_seat": True, "attendance_kept": True}
    message = rendered(LetterType.SESSION_CANCELLED, mooc, details=details, called_for_at=called_for_at)
    parts = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    assert len(parts) == (ended < 3)
    assert [part.get_content().count("BEGIN:VEVENT") for part in parts] == [3 - ended] * len(parts)


def test_the_sequence_grows_with_the_session_and_with_the_enrolment() -> None:
    def sequence(session_version: int, enrolment_version: int) -> int:
        message = rendered(
            LetterType.CONFIRMED, a_session(version=session_version), version=enrolment_version
        )
        event: Any = icalendar.Calendar.from_ical(body(message, "text/calendar")).walk("VEVENT")[0]
        return int(event["SEQUENCE"])

    assert sequence(1, 1) < sequence(2, 1) < sequence(2, 2)
    assert sequence(500, 1) < sequence(1, 2), "a late confirmation outdoes the cancellation after it"
    assert sequence(1, 2**31 - 1) < 2**31


def test_a_mail_has_the_headers_of_an_automatic_message() -> None:
    message = rendered(LetterType.CONFIRMED)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "fr"
    assert message["Message-ID"] == a_mail(LetterType.CONFIRMED).message_id
    assert "List-Unsubscribe" not in message  # only for subscriptions


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
        "zo\x85@ville.fr",
        "é" * 33 + "@ville.fr",
        "\ud800@ville.fr",
        "a b@ville.fr",
        "a@b>\r\nRCPT TO:<x@y.fr",
        "a@",
        "@b.fr",
        "a",
        "a@b c.fr",
        "a@b..fr",
        "a@é..fr",
        "a@\ud800é.fr",
        f"a@{'b' * 64}.fr",
        f"a@{'é' * 64}.fr",
        "a@☃.fr",
    ],
)
def test_an_address_that_smtp_cannot_say_is_not_sendable(address: str) -> None:
    with pytest.raises(UnsendableAddress):
        a_renderer().render(a_mail(LetterType.CONFIRMED, address=address), LetterContext(a_session()))


def test_an_address_with_accents_goes_out_as_it_is_and_in_the_calendar_as_a_uri() -> None:
    """For a relay that offers SMTPUTF8: RFC 6532 for the header, RFC 6068 for the calendar."""
    outgoing = a_renderer().render(
        a_mail(LetterType.CONFIRMED, address="zoe\u0301@mairie-évry.fr"), LetterContext(a_session())
    )
    assert outgoing.recipient == "zoé@xn--mairie-vry-h7a.fr"
    assert "<zoé@xn--mairie-vry-h7a.fr>".encode() in outgoing.content
    message = message_from_bytes(outgoing.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert "mailto:zo%C3%A9@xn--mairie-vry-h7a.fr" in re.sub("\r?\n ", "", body(message, "text/calendar"))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"venue": "Le Couvent"}, "Le Couvent"),
        ({"venue": None}, "À préciser"),
        ({"venue": None, "join_url": "https://classe.example"}, "En ligne"),
        ({"venue": None, "format": "webinar"}, "En ligne"),
    ],
)
def test_an_event_is_online_only_where_it_is_known_to_be(changes: dict[str, Any], place: str) -> None:
    session = a_session(**changes, session_id=MAIL_ID)
    refused = a_mail(LetterType.REFUSED, details={"reason": "session_full"})
    letter = parsed(a_renderer().render(refused, LetterContext(a_session(), alternatives=[session])).content)
    assert f"  {place}, par" in body(letter, "text/plain")
    assert f"<br>{place}, par" in body(letter, "text/html")
    item = some_news(kind=NewsKind.SESSION, event=session)
    news = parsed(
        a_renderer()
        .render(a_mail(LetterType.NEWS, details=DETAILS[LetterType.NEWS]), LetterContext(news=[item]))
        .content
    )
    assert f"Lieu\u00a0: {place}".lower() in body(news, "text/plain").replace(" :", "\u00a0:").lower()


def test_other_sessions_are_proposed_only_where_they_help() -> None:
    other = a_session(session_id=MAIL_ID, title="Une autre <b>session</b>")

    def proposes(template: LetterType, details: dict[str, Any]) -> bool:
        outgoing = a_renderer().render(
            a_mail(template, details=details), LetterContext(a_session(), alternatives=[other])
        )
        message = parsed(outgoing.content)
        found = other.title in body(message, "text/plain")
        assert ("Une autre &lt;b&gt;session&lt;/b&gt;<br>" in body(message, "text/html")) is found
        return found

    assert proposes(LetterType.REFUSED, {"reason": "session_full"})
    assert proposes(LetterType.SESSION_CANCELLED, {"had_seat": True})
    assert not proposes(LetterType.REFUSED, {"reason": "not_open_yet"})
    assert not proposes(LetterType.CONFIRMED, {})


def test_a_letter_names_the_delegations_own_contact_where_it_has_one() -> None:
    sender = replace(SENDER, contacts={"bretagne": "rennes@cnfpt.example"})
    for organiser, contact in (("bretagne", "rennes@cnfpt.example"), ("corse", SENDER.contact)):
        context = LetterContext(a_session(organiser=organiser))
        outgoing = Renderer(sender).render(a_mail(LetterType.CONFIRMED), context)
        message = message_from_bytes(outgoing.content, _class=EmailMessage, policy=policy.default)
        assert contact in body(message, "text/plain")
        assert message["Reply-To"] == (contact if contact != SENDER.address else None)


@pytest.mark.parametrize(("changes", "tile"), [({}, True), ({"format": "mooc"}, False)])
def test_the_day_stands_beside_the_session_and_none_where_it_is_open_for_weeks(
    changes: dict[str, Any], tile: bool
) -> None:
    """Who hears the letter hears the date once."""
    page = LetterPage(body(rendered(LetterType.CONFIRMED, a_session(**changes)), "text/html"))
    cells = [attributes for tag, attributes in page.attributes if tag == "td"]
    assert ({"class": "tile", "aria-hidden": "true"} in cells) is tile
    assert ("avr." in page.text) is tile
    assert "avr." not in page.read
