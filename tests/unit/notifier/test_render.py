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
    NewsItem,
    NewsKind,
    Tone,
)
from services.notifier.render import THEMES, Renderer
from services.notifier.render.mime import UnsendableAddress
from shared.events.reasons import Reason
from shared.references import reference_of
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

OUTCOME = {
    LetterType.CONFIRMED: "Votre inscription à la session « {title} » est confirmée.",
    LetterType.SEAT_ASSIGNED: "Vous avez obtenu une place à la session « {title} »",
    LetterType.WAITLISTED: "Vous êtes en 3e position sur la liste d’attente de la session « {title} ».",
    LetterType.SEAT_OFFERED: "Une place s’est libérée pour vous à la session « {title} » : "
    "elle vous est réservée jusqu’au lundi 17 mars 2025 à 9 h 30, heure de Paris.",
    LetterType.SEAT_NOT_OBTAINED: "Vous n’avez pas obtenu de place à la session « {title} »",
    LetterType.MOVED: "Vous avez une place à la session « {title} » qui commence le jeudi 3 avril",
    LetterType.MOVE_REFUSED: "Vous gardez votre place à la session « {title} »",
    LetterType.OFFER_LAPSED: "La place proposée à la session « {title} » n’est plus réservée pour vous",
    LetterType.PENDING: "Votre demande d’inscription à la session « {title} » est bien reçue",
    LetterType.REFUSED: "Votre demande d’inscription à la session « {title} » n’est pas acceptée.",
    LetterType.ALREADY_ENROLLED: "Votre nouvelle demande pour la session « {title} » ne change rien",
    LetterType.WITHDRAWAL_REFUSED: "Votre désistement de la session « {title} » n’a pas pu être enregistré.",
    LetterType.OFFER_REFUSED: "Votre réponse à la proposition de place à la session « {title} » "
    "n’a pas pu être prise en compte.",
    LetterType.EVALUATION: "Que pensez-vous de la session « {title} », à laquelle vous avez participé ?",
    LetterType.CERTIFICATE: "Votre attestation de participation à la session « {title} » est disponible.",
    LetterType.WITHDRAWN: "Votre désistement de la session « {title} » est enregistré.",
    LetterType.SESSION_CANCELLED: "La session « {title} » est annulée : votre inscription prend fin.",
    LetterType.JOINING: "Vous avez une place à la session « {title} », qui commence le jeudi 3 avril",
    LetterType.REMINDER_WEEK: (
        "La session « {title} » commence le jeudi 3 avril 2025 à 9 h 30, heure de Paris."
    ),
    LetterType.REMINDER_DAY: (
        "La session « {title} » commence le jeudi 3 avril 2025 à 9 h 30, heure de Paris."
    ),
    LetterType.SESSION_CHANGED: "La session « {title} » a changé de date (jeudi 3 avril 2025",
    LetterType.SESSION_CHANGED_WAITING: "La session « {title} » a changé",
    LetterType.MODULE_CANCELLED: "Une séance de la session « {title} » est annulée : vous gardez votre place",
    LetterType.BESPOKE_RECEIVED: "Votre demande de formation sur mesure est bien reçue : "
    "la délégation Bretagne du CNFPT vous répondra.",
    LetterType.BESPOKE_ANSWERED: "La délégation vous fait une proposition de formation sur mesure.",
    LetterType.NEWS: "Le replay « Replay : IA et droit » est en ligne.",
    LetterType.NOMINATION_ANSWERED: "Votre liste pour la session « {title} » est traitée",
    LetterType.ORGANISER_MESSAGE: "La délégation Bretagne du CNFPT vous écrit au sujet de la session "
    "« {title} ».",
    LetterType.DIGEST: "1 session commence, ou clôt ses inscriptions, dans les sept jours.",
    LetterType.MAILS_RETURNED: "Des courriels au sujet d’une de vos sessions n’arrivent pas à 2 personnes",
    LetterType.SELECTION_DUE: "Les candidatures à la session",
    LetterType.MINIMUM_MISSED: "Les inscriptions sont closes à la session",
    LetterType.MY_ENROLMENTS: "Voici le lien qui mène à toutes vos inscriptions",
    LetterType.CONFIRM_ADDRESS: "Quelqu’un, sans doute vous, veut recevoir à cette adresse",
    LetterType.ADDRESS_GIVEN: "Une autre adresse électronique a été indiquée pour vos inscriptions",
    LetterType.ADDRESS_CORRECTED: "Votre adresse électronique a été corrigée le ",
    LetterType.CONFIRM_SUBSCRIPTION: "Quelqu’un, sans doute vous, a demandé que cette adresse reçoive",
    LetterType.TRAINER_NAMED: (
        "Vous intervenez dans la session « {title} », qui commence le jeudi 3 avril 2025"
    ),
    LetterType.TRAINER_CHANGED: "La session « {title} » a changé de lieu",
    LetterType.TRAINER_CANCELLED: (
        "La session « {title} », dans laquelle vous deviez intervenir, est annulée."
    ),
    LetterType.REPLAY_AVAILABLE: "Le replay « Replay » est disponible, en accès libre.",
}


@pytest.mark.parametrize("template", list(LetterType))
def test_every_letter_begins_with_its_outcome_in_both_parts(template: LetterType) -> None:
    message = rendered(template)
    expected = OUTCOME[template].format(title=a_session().title)
    text = body(message, "text/plain").replace("\u00a0", " ")
    assert text.startswith("Bonjour Zoé Durand,\n\n" + expected)
    content = " ".join(LetterPage(body(message, "text/html").split("<body>")[1]).text.split())
    assert content.startswith(expected), "it is what a list of mails shows beside the subject"
    assert content.count(expected) == 2
    assert "None" not in content


SUBJECT = {
    LetterType.SEAT_OFFERED: (
        "Une place vous est réservée jusqu’au lundi 17 mars 2025 à 9 h 30, heure de Paris"
    ),
    LetterType.REMINDER_WEEK: "Votre session commence le jeudi 3 avril 2025 à 9 h 30, heure de Paris",
    LetterType.REMINDER_DAY: "Votre session commence le jeudi 3 avril 2025 à 9 h 30, heure de Paris",
    LetterType.SESSION_CHANGED: "Votre session change de date, de lieu et de lien de connexion",
    LetterType.SESSION_CHANGED_WAITING: "La session demandée change de lieu",
    LetterType.TRAINER_CHANGED: "La session où vous intervenez change de lieu",
    LetterType.BESPOKE_ANSWERED: "Une proposition pour votre formation sur mesure",
    LetterType.NOMINATION_ANSWERED: "Votre liste de stagiaires est traitée",
}
"""What begins the subject of letters whose subject depends on what they say, instead of their label."""


@pytest.mark.parametrize("template", SUBJECT)
def test_a_subject_tells_the_outcome(template: LetterType) -> None:
    assert str(rendered(template)["Subject"]).replace("\u00a0", " ").startswith(SUBJECT[template])


@pytest.mark.parametrize(
    ("answer", "subject"),
    [
        ("qualified", "Votre demande de formation sur mesure est recevable"),
        ("agreed", "Votre formation sur mesure est convenue"),
        ("declined", "Votre demande de formation sur mesure n’est pas retenue"),
    ],
)
def test_the_subject_of_an_answer_says_which_it_is(answer: str, subject: str) -> None:
    details = DETAILS[LetterType.BESPOKE_ANSWERED] | {"answer": answer}
    assert str(rendered(LetterType.BESPOKE_ANSWERED, details=details)["Subject"]).startswith(subject)


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
    if template is not LetterType.NEWS and template not in SUBJECT:  # whose subject is what it tells of
        assert str(rendered(template)["Subject"]).startswith(subject)


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


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.UNKNOWN_SESSION])
def test_every_reason_reads_with_the_dates_of_the_session(reason: Reason) -> None:
    text = body(rendered(LetterType.REFUSED, details={"reason": reason.value}), "text/plain")
    assert "{" not in text
    if reason is Reason.NOT_OPEN_YET:
        assert "avant l’ouverture des inscriptions, fixée au mercredi 26 février 2025." in text
    if reason is Reason.DEADLINE_PASSED:
        assert "vendredi 28 mars 2025 inclus" in text


def test_an_unknown_session_is_refused_without_naming_one() -> None:
    outgoing = a_renderer().render(
        a_mail(LetterType.REFUSED, details={"reason": "unknown_session"}), LetterContext()
    )
    text = body(parsed(outgoing.content), "text/plain")
    assert text.startswith("Bonjour Zoé Durand,\n\nVotre demande d’inscription n’est pas acceptée.")


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


def test_the_letter_of_the_waiting_list_says_whether_a_freed_seat_is_given_or_offered() -> None:
    def says(waiting_list: str) -> str:
        return body(rendered(LetterType.WAITLISTED, a_session(waiting_list=waiting_list)), "text/plain")

    assert "elle vous sera attribuée" in says("automatic")
    assert "nous vous la proposerons par courriel, à confirmer avant une date limite" in says("offer")
    assert "attribuée" not in says("offer")


@pytest.mark.parametrize("reason", ["deadline_passed", "no_offer", "already_enrolled", "session_cancelled"])
def test_a_refused_answer_to_an_offer_says_why(reason: str) -> None:
    text = body(rendered(LetterType.OFFER_REFUSED, details={"reason": reason}), "text/plain")
    offer = Reason(reason).refusal.offer
    assert offer is not None
    assert offer.sentence in text


def test_guillemets_inside_guillemets_become_curly_quotes() -> None:
    for kind in ("text/plain", "text/html"):
        content = body(rendered(LetterType.CONFIRMED, a_session(title="L’IA, « pour de bon »")), kind)
        assert "la session «\u00a0L’IA, “pour de bon”\u00a0» est confirmée" in content


def test_no_line_of_a_title_begins_with_its_punctuation() -> None:
    text = body(rendered(LetterType.CONFIRMED, a_session(title="L’IA : pour « quoi » ?")), "text/plain")
    assert "«\u00a0L’IA\u00a0: pour “quoi”\u00a0?\u00a0»" in text
    assert "\nL’IA\u00a0: pour «\u00a0quoi\u00a0»\u00a0?\n" in text


def test_a_confirmation_for_an_open_mooc_says_to_begin() -> None:
    def says(now: str) -> str:
        renderer = Renderer(SENDER, now=lambda: at(now))
        return body(
            parsed(renderer.render(a_mail(LetterType.CONFIRMED), LetterContext(the_mooc())).content),
            "text/plain",
        )

    assert "La formation est ouverte" in says("2025-03-17T00:00+01:00")
    assert "La formation est ouverte" not in says("2025-03-16T23:59+01:00")


def test_who_was_withdrawn_by_their_employer_has_not_given_up() -> None:
    message = rendered(LetterType.WITHDRAWN, details={"by": "employer", "had_seat": True})
    assert str(message["Subject"]).startswith("Votre inscription prend fin")


def test_the_joining_instructions_of_the_mooc_say_that_it_is_open() -> None:
    text = body(rendered(LetterType.JOINING, the_mooc()), "text/plain")
    assert "est ouverte\u00a0: vous pouvez commencer." in text
    assert "https://mooc.example/ia" in text


def test_one_item_makes_the_subject_and_several_are_counted() -> None:
    def subject(*items: NewsItem) -> str:
        mail = a_mail(LetterType.NEWS, details=DETAILS[LetterType.NEWS])
        return str(parsed(a_renderer().render(mail, LetterContext(news=items)).content)["Subject"])

    assert subject(some_news()) == "Nouveau replay : « Replay : IA et droit »"
    assert subject(some_news(), some_news(title="Autre")) == "Deux nouveautés dans vos abonnements"


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
    details = DETAILS[LetterType.BESPOKE_ANSWERED] | {"answer": answer}
    text = body(rendered(LetterType.BESPOKE_ANSWERED, details=details), "text/plain")
    assert says in text
    assert "Deux journées à Rennes." in text
    assert f"référence {reference_of(MAIL_ID)}" in text


def test_called_for_is_written_to_the_minute() -> None:
    text = body(rendered(LetterType.PENDING, called_for_at=at("2025-03-10T14:05:59+01:00")), "text/plain")
    assert "Demande enregistrée le lundi 10 mars 2025 à 14\u00a0h\u00a005, heure de Paris" in text


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
