"""Letters as mails: what they say, how they are built, and that nothing from outside breaks them."""

import binascii
import functools
import re
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from html.parser import HTMLParser
from typing import Any

import icalendar
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.notifier import mime, reasons
from services.notifier.letters import KINDS, Calendar, Link, NewsItem, Template
from services.notifier.mime import UnsendableAddress
from services.notifier.render import THEME, Renderer
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Reason
from shared.links import Expired, Links, Purpose
from tests.unit.notifier.builders import (
    ENROLMENT_ID,
    MAIL_ID,
    SENDER,
    a_mail,
    a_renderer,
    a_session,
    at,
    some_news,
    the_mooc,
)

FACTS: dict[Template, dict[str, Any]] = {
    Template.WAITLISTED: {"position": 3},
    Template.SEAT_OFFERED: {"hold_until": "2025-03-17T08:30:00+00:00"},
    Template.OFFER_LAPSED: {"cause": "expired"},
    Template.PENDING: {"awaiting": "employer_approval"},
    Template.REFUSED: {"reason": "deadline_passed"},
    Template.WITHDRAWAL_REFUSED: {"reason": "deadline_passed"},
    Template.OFFER_REFUSED: {"reason": "deadline_passed"},
    Template.WITHDRAWN: {"by": "agent", "had_seat": True},
    Template.SESSION_CANCELLED: {"had_seat": True},
    Template.SESSION_CHANGED: {
        "starts_before": "2025-04-02T07:30:00+00:00",
        "ends_before": "2025-04-02T15:00:00+00:00",
        "timezone_before": "Europe/Paris",
        "venue_before": "Salle des fêtes",
        "link_changed": True,
    },
    Template.BESPOKE_ANSWERED: {
        "answer": "proposed",
        "message": "Deux journées à Rennes.\n\nDates à convenir.",
        "advisor": "Yann Le Goff",
        "advisor_address": "yann.legoff@cnfpt.example",
        "reference": str(MAIL_ID),
    },
    Template.NEWS: {"items": ["4a1c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a99"], "subscriber": str(MAIL_ID)},
    Template.CONFIRM_SUBSCRIPTION: {"request": str(MAIL_ID), "interests": ["theme:enjeux-ia"]},
    Template.REPLAY_AVAILABLE: {"replay_title": "Replay", "replay_url": "https://replay.example/1?a=1&b=2"},
}

OUTCOME = {
    Template.CONFIRMED: "Votre inscription à la session « {title} » est confirmée.",
    Template.SEAT_ASSIGNED: "Une place vous est attribuée à la session « {title} »",
    Template.WAITLISTED: "Vous êtes sur la liste d’attente de la session « {title} », à la 3e place.",
    Template.SEAT_OFFERED: "Une place s’est libérée pour vous à la session « {title} » : "
    "elle vous est réservée jusqu’au lundi 17 mars 2025 à 9 h 30, heure de Paris.",
    Template.OFFER_LAPSED: "La place proposée à la session « {title} » n’est plus réservée pour vous",
    Template.PENDING: "Votre demande d’inscription à la session « {title} » est bien reçue",
    Template.REFUSED: "Votre demande d’inscription à la session « {title} » n’est pas acceptée.",
    Template.ALREADY_ENROLLED: "Votre nouvelle demande pour la session « {title} » ne change rien",
    Template.WITHDRAWAL_REFUSED: "Votre désistement de la session « {title} » n’a pas pu être enregistré.",
    Template.OFFER_REFUSED: "Votre réponse à la place proposée à la session « {title} » "
    "n’a pas pu être prise en compte.",
    Template.CERTIFICATE: "Votre attestation de participation à la session « {title} » est disponible.",
    Template.WITHDRAWN: "Votre désistement de la session « {title} » est enregistré.",
    Template.SESSION_CANCELLED: "La session « {title} » est annulée : votre inscription prend fin.",
    Template.JOINING: "Vous avez une place à la session « {title} », qui commence le jeudi 3 avril",
    Template.REMINDER_WEEK: "La session « {title} » commence le jeudi 3 avril 2025 à 9 h 30, heure de Paris.",
    Template.REMINDER_DAY: "La session « {title} » commence le jeudi 3 avril 2025 à 9 h 30, heure de Paris.",
    Template.SESSION_CHANGED: "La session « {title} » a changé : vous y gardez votre place.",
    Template.BESPOKE_ANSWERED: "La délégation vous fait une proposition de formation sur mesure.",
    Template.NEWS: "Une nouveauté correspond à vos abonnements.",
    Template.CONFIRM_SUBSCRIPTION: "Quelqu’un, sans doute vous, a demandé que cette adresse reçoive",
    Template.REPLAY_AVAILABLE: "Le replay « Replay » est disponible, en accès libre.",
}


WITHOUT_SESSION = {Template.BESPOKE_ANSWERED, Template.NEWS, Template.CONFIRM_SUBSCRIPTION}


def rendered(template: Template, session: SessionState | None = None, **changes: Any) -> EmailMessage:
    changes.setdefault("facts", FACTS.get(template, {}))
    news = [some_news()] if template is Template.NEWS else []
    about_a_session = template not in WITHOUT_SESSION
    outgoing = a_renderer().render(
        a_mail(template, **changes), (session or a_session()) if about_a_session else None, news=news
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


class Page(HTMLParser):
    """The elements, in order, and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("template", list(Template))
def test_every_letter_begins_with_its_outcome_in_both_parts(template: Template) -> None:
    message = rendered(template)
    expected = OUTCOME[template].format(title=a_session().title)
    text = body(message, "text/plain").replace("\u00a0", " ")
    assert text.startswith("Bonjour Zoé Durand,\n\n" + expected)
    words = " ".join(Page(body(message, "text/html")).words.split())
    assert expected in words
    assert "None" not in words


@pytest.mark.parametrize("template", list(Template))
def test_every_letter_says_whom_to_write_to(template: Template) -> None:
    message = rendered(template)
    advised = template is Template.BESPOKE_ANSWERED
    contact = "yann.legoff@cnfpt.example" if advised else "formations@cnfpt.example"
    for kind in ("text/plain", "text/html"):
        assert contact in body(message, kind)
    assert (message["Reply-To"] is not None) is advised


@pytest.mark.parametrize("template", list(Template))
def test_subjects_are_sentences_without_shouting(template: Template) -> None:
    subject = KINDS[template].subject
    assert subject[0].isupper()
    assert not any(word.isupper() and len(word) > 1 for word in subject.split())
    if template is not Template.NEWS:  # whose subject is what it tells of
        assert str(rendered(template)["Subject"]).startswith(subject.removesuffix(" : {title}"))


@pytest.mark.parametrize("template", list(Template))
def test_every_page_is_accessible_and_asks_nothing_of_other_hosts(template: Template) -> None:
    html = body(rendered(template), "text/html")
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert dict(page.attributes[tags.index("html")][1]) == {"lang": "fr"}
    assert tags.count("h1") == 1
    assert "h2" in tags
    assert not {"img", "table", "script", "link", "iframe", "font"} & set(tags)
    assert "url(" not in html
    assert "@import" not in html
    assert "text-decoration: underline" in html


def test_every_text_colour_has_a_contrast_of_4_5() -> None:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ink in ("ink", "quiet", "accent"):
        for ground in ("paper", "ground"):
            light, dark = sorted((luminance(THEME[ink]), luminance(THEME[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


@pytest.mark.parametrize("template", list(Template))
def test_letters_that_touch_the_calendar_carry_it_as_an_alternative(template: Template) -> None:
    message = rendered(template)
    assert message.get_content_type() == "multipart/alternative"
    parts = [part.get_content_type() for part in message.iter_parts()]
    method = {None: None, Calendar.INVITE: "REQUEST", Calendar.CANCEL: "CANCEL"}[KINDS[template].calendar]
    assert parts == ["text/plain", "text/html"] + (["text/calendar"] if method else [])
    if method:
        part = list(message.iter_parts())[-1]
        assert part.get_param("method") == method
        assert str(icalendar.Calendar.from_ical(body(message, "text/calendar"))["METHOD"]) == method


def test_the_mooc_is_published() -> None:
    message = rendered(Template.CONFIRMED, the_mooc())
    assert list(message.iter_parts())[-1].get_param("method") == "PUBLISH"
    assert "du lundi 17 mars 2025 au vendredi 11 avril 2025" in body(message, "text/plain")


def test_who_never_had_a_seat_gets_no_cancellation() -> None:
    message = rendered(Template.WITHDRAWN, facts={"by": "agent", "had_seat": False})
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_the_sequence_grows_with_the_session_and_with_the_enrolment() -> None:
    def sequence(session_version: int, enrolment_version: int) -> int:
        message = rendered(Template.CONFIRMED, a_session(version=session_version), version=enrolment_version)
        event: Any = icalendar.Calendar.from_ical(body(message, "text/calendar")).walk("VEVENT")[0]
        return int(event["SEQUENCE"])

    assert sequence(1, 1) < sequence(2, 1) < sequence(2, 2)
    assert sequence(500, 1) < sequence(1, 2), "a late confirmation outdoes the cancellation after it"
    assert sequence(1, 2**31 - 1) < 2**31


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.UNKNOWN_SESSION])
def test_every_reason_reads_with_the_dates_of_the_session(reason: Reason) -> None:
    text = body(rendered(Template.REFUSED, facts={"reason": reason.value}), "text/plain")
    assert "{" not in text
    if reason is Reason.NOT_OPEN_YET:
        assert "elles ouvrent le mercredi 26 février 2025 à 0\u00a0h, heure de Paris" in text
    if reason is Reason.DEADLINE_PASSED:
        assert "vendredi 28 mars 2025 inclus" in text


def test_an_unknown_session_is_refused_without_naming_one() -> None:
    outgoing = a_renderer().render(a_mail(Template.REFUSED, facts={"reason": "unknown_session"}), None)
    text = body(parsed(outgoing.content), "text/plain")
    assert text.startswith("Bonjour Zoé Durand,\n\nVotre demande d’inscription n’est pas acceptée.")


def test_a_mail_has_the_headers_of_an_automatic_message() -> None:
    message = rendered(Template.CONFIRMED)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "fr"
    assert message["Message-ID"] == a_mail(Template.CONFIRMED).message_id
    assert "List-Unsubscribe" not in message  # only for subscriptions (DOMAIN.md, Mails)


def test_a_domain_with_accents_goes_out_in_its_ascii_form() -> None:
    outgoing = a_renderer().render(a_mail(Template.CONFIRMED, address="zoe@mairie-évry.fr"), a_session())
    assert outgoing.recipient == "zoe@xn--mairie-vry-h7a.fr"


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
    ],
)
def test_an_address_that_smtp_cannot_say_is_not_sendable(address: str) -> None:
    with pytest.raises(UnsendableAddress):
        a_renderer().render(a_mail(Template.CONFIRMED, address=address), a_session())


def test_an_address_with_accents_goes_out_as_it_is_and_in_the_calendar_as_a_uri() -> None:
    """For a relay that offers SMTPUTF8: RFC 6532 for the header, RFC 6068 for the calendar."""
    outgoing = a_renderer().render(
        a_mail(Template.CONFIRMED, address="zoe\u0301@mairie-évry.fr"), a_session()
    )
    assert outgoing.recipient == "zoé@xn--mairie-vry-h7a.fr"
    assert "<zoé@xn--mairie-vry-h7a.fr>".encode() in outgoing.content
    message = message_from_bytes(outgoing.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert "mailto:zo%C3%A9@xn--mairie-vry-h7a.fr" in re.sub("\r?\n ", "", body(message, "text/calendar"))


# ------------------------------------------------------------------- whatever stands in names and titles

HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Content-Language",
    "MIME-Version",
    "Content-Type",
]
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


def checked(text_of: dict[str, str]) -> None:
    """Render with these texts, past the contracts' own checks, and compare with a harmless mail."""
    session = a_session().model_copy(update={"title": text_of["title"], "venue": text_of["venue"] or "v"})
    mail = a_mail(Template.CONFIRMED, given_name=text_of["given"], family_name=text_of["family"])
    content = a_renderer().render(mail, session).content
    message = parsed(content)

    head = content.partition(b"\r\n\r\n")[0].decode("ascii")
    names = re.findall(r"(?m)^([!-9;-~]+):", head.replace("\r\n", "\n"))
    assert names == HEADERS
    assert [name for name, _ in message.raw_items()] == HEADERS
    assert [box.addr_spec for box in message["To"].addresses] == ["zoe.durand@ville-exemple.fr"]
    assert [box.addr_spec for box in message["From"].addresses] == ["formations@cnfpt.example"]
    for name in ("Subject", "To"):
        for chunk, charset in decode_header(str(dict(message.raw_items())[name])):
            decoded = chunk.decode(charset or "ascii") if isinstance(chunk, bytes) else chunk
            assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]", decoded)
            assert "=?" not in decoded.replace("=\n?", "")
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "text/html",
        "text/calendar",
    ]

    calendar = icalendar.Calendar.from_ical(body(message, "text/calendar"))
    (event,) = calendar.walk("VEVENT")
    harmless = harmless_event()
    assert sorted(event) == sorted(harmless)
    assert str(event["UID"]) == str(harmless["UID"])
    assert str(event["ATTENDEE"]) == "mailto:zoe.durand@ville-exemple.fr"

    page = Page(body(message, "text/html"))
    assert page.elements == harmless_page().elements


@functools.cache
def harmless_event() -> Any:
    (event,) = icalendar.Calendar.from_ical(body(rendered(Template.CONFIRMED), "text/calendar")).walk(
        "VEVENT"
    )
    return event


@functools.cache
def harmless_page() -> Page:
    return Page(body(rendered(Template.CONFIRMED), "text/html"))


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({"title": OUTSIDE, "venue": OUTSIDE, "given": OUTSIDE, "family": OUTSIDE}))
def test_no_text_from_outside_adds_removes_or_breaks_a_header_an_address_a_calendar_line_or_html(
    text_of: dict[str, str],
) -> None:
    checked(text_of)


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("where", ["title", "venue", "given", "family"])
def test_what_is_known_to_break_mails_breaks_none(where: str, evil: str) -> None:
    checked({"title": "t", "venue": "v", "given": "g", "family": "f"} | {where: evil})


ELSEWHERE: dict[Template, Callable[[str], tuple[dict[str, Any], list[NewsItem]]]] = {
    Template.BESPOKE_ANSWERED: lambda text: (
        FACTS[Template.BESPOKE_ANSWERED] | {"message": "m" + " ".join(text.split()), "advisor": text},
        [],
    ),
    Template.NEWS: lambda text: (
        FACTS[Template.NEWS],
        [some_news(title="n" + text, summary="s" + " ".join(text.split()))],
    ),
    Template.SESSION_CHANGED: lambda text: ({"venue_before": "v" + text}, []),
    Template.REPLAY_AVAILABLE: lambda text: (
        {"replay_title": "r" + text, "replay_url": "https://r.example/1"},
        [],
    ),
}
"""Letters that quote something else than a session's title and place, or a name."""


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(ELSEWHERE)), OUTSIDE)
def test_nothing_that_a_letter_quotes_breaks_it(template: Template, text: str) -> None:
    def written(quoted: str) -> EmailMessage:
        facts, news = ELSEWHERE[template](quoted)
        session = None if template in WITHOUT_SESSION else a_session()
        return parsed(a_renderer().render(a_mail(template, facts=facts), session, news=news).content)

    message, harmless = written(text), written("x")
    assert list(message.keys()) == list(harmless.keys())
    assert [part.get_content_type() for part in message.walk()] == [
        part.get_content_type() for part in harmless.walk()
    ]
    assert Page(body(message, "text/html")).elements == Page(body(harmless, "text/html")).elements


@settings(deadline=None)
@given(OUTSIDE)
@example("=?utf-8?q?hi=0d=0aBcc:_evil=40x?=")
def test_a_header_value_is_one_line_of_ascii_that_decodes_to_no_control(text: str) -> None:
    value = mime.unstructured(text)
    assert value.isascii()
    assert re.fullmatch(r"[ -~]*(\r\n [ -~]+)*", value)


@settings(deadline=None)
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
def test_text_survives_quoted_printable(text: str) -> None:
    encoded = mime._quoted_printable(text.encode(errors="replace").decode())
    assert max(len(line) for line in encoded.split(b"\r\n")) <= 76
    decoded = binascii.a2b_qp(encoded).decode().replace("\r\n", "\n")
    lines = text.encode(errors="replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    expected = re.sub(r"(?m)[ \t]+$", "", lines)
    assert decoded == (expected if expected.endswith("\n") else expected + "\n")


LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "https://parcours.example"))
LINKED = [t for t in Template if KINDS[t].link is not None and t is not Template.CONFIRM_SUBSCRIPTION]


@pytest.mark.parametrize("template", LINKED)
def test_a_letter_lets_its_reader_act_by_a_link_that_names_nobody(template: Template) -> None:
    session = a_session()
    mail = a_mail(template, facts=FACTS.get(template, {}), version=7)
    message = parsed(Renderer(SENDER, LINKS, now=lambda: mail.called_for_at).render(mail, session).content)
    purpose, about, until = {
        Link.WITHDRAW: (Purpose.WITHDRAW, (str(ENROLMENT_ID),), session.ends_at),
        Link.OFFER: (Purpose.OFFER, (str(ENROLMENT_ID), "7"), at("2025-03-17T09:30+01:00")),
        Link.CERTIFICATE: (Purpose.CERTIFICATE, (str(ENROLMENT_ID),), at("2027-03-10T14:05:30+01:00")),
    }[KINDS[template].link or Link.WITHDRAW]
    address = f"https://parcours.example{purpose.value}/"
    (in_text,) = [word for word in body(message, "text/plain").split() if word.startswith(address)]
    hrefs = [attributes.get("href") for tag, attributes in Page(body(message, "text/html")).attributes]
    assert in_text in hrefs
    token = in_text.removeprefix(address)
    assert LINKS.read(purpose, token, until - timedelta(seconds=1)) == about
    with pytest.raises(Expired):
        LINKS.read(purpose, token, until)
    assert "depuis votre portail" not in body(message, "text/plain") or template is Template.SEAT_OFFERED


@pytest.mark.parametrize("template", LINKED)
def test_without_a_key_letters_send_their_reader_to_the_portal(template: Template) -> None:
    message = rendered(template)
    for kind in ("text/plain", "text/html"):
        assert "depuis votre portail" in body(message, kind)
        assert "https://" not in body(message, kind)


def test_the_line_is_told_whether_a_freed_seat_is_given_or_offered() -> None:
    def says(waiting_list: str) -> str:
        return body(rendered(Template.WAITLISTED, a_session(waiting_list=waiting_list)), "text/plain")

    assert "elle vous est attribuée" in says("automatic")
    assert "une place vous sera proposée, à confirmer avant une date" in says("offer")
    assert "attribuée" not in says("offer")


@pytest.mark.parametrize("reason", ["deadline_passed", "no_offer", "already_enrolled", "session_cancelled"])
def test_a_refused_answer_to_an_offer_says_why(reason: str) -> None:
    text = body(rendered(Template.OFFER_REFUSED, facts={"reason": reason}), "text/plain")
    assert reasons.OFFER[Reason(reason)].sentence in text


def test_once_the_session_has_begun_nobody_is_told_to_withdraw() -> None:
    def says(now: str) -> str:
        renderer = Renderer(SENDER, LINKS, now=lambda: at(now))
        return body(parsed(renderer.render(a_mail(Template.CONFIRMED), the_mooc()).content), "text/plain")

    assert "DÉSISTER" in says("2025-03-16T23:59+01:00")
    assert "désist" not in says("2025-03-17T00:00+01:00").lower()


def test_who_was_withdrawn_by_their_employer_has_not_given_up() -> None:
    message = rendered(Template.WITHDRAWN, facts={"by": "employer", "had_seat": True})
    assert str(message["Subject"]).startswith("Votre inscription prend fin")


def test_a_change_says_what_was_and_what_is() -> None:
    text = body(rendered(Template.SESSION_CHANGED), "text/plain").replace("\u00a0", " ")
    assert (
        "- Dates : jeudi 3 avril 2025 de 9 h 30 à 17 h, heure de Paris (au lieu de : mercredi 2 avril" in text
    )
    assert (
        "- Lieu : Le Couvent des Jacobins, 20 place Sainte-Anne, Rennes (au lieu de : Salle des fêtes)"
        in text
    )
    only = body(rendered(Template.SESSION_CHANGED, facts={"venue_before": None}), "text/plain")
    assert "Dates\u00a0: jeudi 3 avril" in only
    assert "au lieu de" not in only


def test_the_joining_instructions_of_the_mooc_say_that_it_is_open() -> None:
    text = body(rendered(Template.JOINING, the_mooc()), "text/plain")
    assert "est ouverte\u00a0: vous pouvez commencer." in text
    assert "https://mooc.example/ia" in text


# ------------------------------------------------------------------- subscriptions


def test_only_what_one_subscribes_to_has_a_way_out_with_one_click() -> None:
    """RFC 8058: an https address that a POST ends it with, without login or cookie."""
    for template in Template:
        mail = a_mail(template, facts=FACTS.get(template, {}))
        session = None if template in WITHOUT_SESSION else a_session()
        message = parsed(
            Renderer(SENDER, LINKS, now=lambda: at("2025-03-10T14:06+01:00"))
            .render(mail, session, news=[some_news()])
            .content
        )
        if template is not Template.NEWS:
            assert message["List-Unsubscribe"] is None, template
            continue
        address = str(message["List-Unsubscribe"])
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        base = f"https://parcours.example{Purpose.UNSUBSCRIBE.value}/"
        assert address.startswith(f"<{base}")
        token = address.removeprefix(f"<{base}").removesuffix(">")
        assert LINKS.read(Purpose.UNSUBSCRIBE, token, at("2025-03-10T14:07+01:00")) == (str(MAIL_ID),)
        for kind in ("text/plain", "text/html"):
            assert base in body(message, kind)
            assert f"{Purpose.PREFERENCES.value}/" in body(message, kind)


def test_without_a_key_one_unsubscribes_by_mail() -> None:
    message = rendered(Template.NEWS)
    assert message["List-Unsubscribe"] == "<mailto:formations@cnfpt.example?subject=desabonnement>"
    assert "Pour ne plus le recevoir, écrivez à" in body(message, "text/plain")


def test_one_item_makes_the_subject_and_several_are_counted() -> None:
    def subject(*items: NewsItem) -> str:
        mail = a_mail(Template.NEWS, facts=FACTS[Template.NEWS])
        return str(parsed(a_renderer().render(mail, None, news=items).content)["Subject"])

    assert subject(some_news()) == "Nouveau replay : Replay : IA et droit"
    assert subject(some_news(), some_news(title="Autre")) == "2 nouveautés dans vos abonnements"


def test_the_confirmation_of_a_subscription_is_a_link_for_two_days() -> None:
    mail = a_mail(Template.CONFIRM_SUBSCRIPTION, facts=FACTS[Template.CONFIRM_SUBSCRIPTION])
    message = parsed(Renderer(SENDER, LINKS, now=lambda: mail.called_for_at).render(mail, None).content)
    address = f"https://parcours.example{Purpose.CONFIRM.value}/"
    (link,) = [word for word in body(message, "text/plain").split() if word.startswith(address)]
    token = link.removeprefix(address)
    end = mail.called_for_at + timedelta(hours=48)
    assert LINKS.read(Purpose.CONFIRM, token, end - timedelta(seconds=1)) == (str(MAIL_ID),)
    with pytest.raises(Expired):
        LINKS.read(Purpose.CONFIRM, token, end)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("qualified", "est recevable"),
        ("proposed", "vous fait une proposition"),
        ("agreed", "est convenue"),
        ("declined", "ne peut pas donner suite"),
    ],
)
def test_every_answer_to_a_bespoke_request_has_its_words(answer: str, says: str) -> None:
    facts = FACTS[Template.BESPOKE_ANSWERED] | {"answer": answer}
    text = body(rendered(Template.BESPOKE_ANSWERED, facts=facts), "text/plain")
    assert says in text
    assert "Deux journées à Rennes." in text
    assert f"référence {MAIL_ID}" in text


def test_called_for_is_written_to_the_minute() -> None:
    text = body(rendered(Template.PENDING, called_for_at=at("2025-03-10T14:05:59+01:00")), "text/plain")
    assert "Demande enregistrée le lundi 10 mars 2025 à 14\u00a0h\u00a005, heure de Paris" in text


def test_other_sessions_are_proposed_only_where_they_help() -> None:
    other = a_session(session_id=MAIL_ID, title="Une autre <b>session</b>")

    def proposes(template: Template, facts: dict[str, Any]) -> bool:
        outgoing = a_renderer().render(a_mail(template, facts=facts), a_session(), [other])
        message = parsed(outgoing.content)
        found = other.title in body(message, "text/plain")
        assert ("Une autre &lt;b&gt;session&lt;/b&gt;\u00a0:" in body(message, "text/html")) is found
        return found

    assert proposes(Template.REFUSED, {"reason": "session_full"})
    assert proposes(Template.SESSION_CANCELLED, {"had_seat": True})
    assert not proposes(Template.REFUSED, {"reason": "not_open_yet"})
    assert not proposes(Template.CONFIRMED, {})
