"""What letters say is true when they leave, and names what it is about."""

import re
from typing import Any

import pytest

from services.notifier.letters import LetterContext, LetterType, NewsItem, NewsKind, NumberedSession
from services.notifier.render import Renderer, Sender
from shared.references import reference_of
from tests.letters.samples import samples
from tests.letters.showing import show
from tests.unit.notifier.builders import MAIL_ID, SENDER, a_mail, a_session, at, some_news, the_mooc
from tests.unit.notifier.reading import DETAILS, body, parsed, rendered

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


def test_a_confirmation_that_leaves_after_the_session_announces_nothing() -> None:
    late = says_at("2025-04-03T17:00+02:00", LetterType.CONFIRMED)
    assert "Cette session est terminée." in late
    assert "AMÉNAGEMENT" not in late
    assert "terminée" not in says_at("2025-04-03T16:59+02:00", LetterType.CONFIRMED)


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


def test_nothing_begins_at_zero_hours() -> None:
    for template in (LetterType.REMINDER_WEEK, LetterType.REMINDER_DAY, LetterType.WITHDRAWAL_REFUSED):
        assert "0 h" not in says_at("2025-03-16T08:00+01:00", template, the_mooc(modules=[]))
    mooc = the_mooc(modules=[])
    assert "commence demain, lundi 17 mars 2025." in says_at(
        "2025-03-16T08:00+01:00", LetterType.REMINDER_DAY, mooc
    )


def test_a_seat_that_is_held_until_midnight_is_held_for_the_day_before() -> None:
    details = {"hold_until": "2025-03-16T23:00:00+00:00"}
    text = says_at("2025-03-10T09:00+01:00", LetterType.SEAT_OFFERED, details=details)
    assert "elle vous est réservée jusqu’au dimanche 16 mars 2025 inclus." in text


def test_a_place_is_freed_only_where_places_are_limited() -> None:
    details = {"by": "agent", "had_seat": True}
    assert "Votre place est libérée" in says_at(
        "2025-03-10T09:00+01:00", LetterType.WITHDRAWN, details=details
    )
    of_the_mooc = says_at("2025-03-10T09:00+01:00", LetterType.WITHDRAWN, the_mooc(), details=details)
    assert "libérée" not in of_the_mooc


# ------------------------------------------------------------------- what changed


def test_a_change_names_the_seances_that_moved_or_are_new() -> None:
    moved = {"number": 2, "starts_at": "2025-03-25T08:00:00+00:00", "ends_at": "2025-03-25T11:00:00+00:00"}
    details = {"modules": [moved, {"number": 3}]}
    text = body(rendered(LetterType.SESSION_CHANGED, the_mooc(), details=details), "text/plain")
    lines = text.replace("\u00a0", " ").splitlines()
    assert (
        "- Séance « Séance 2 » : lundi 24 mars 2025 de 9 h à 12 h, heure de Paris "
        "(au lieu de : mardi 25 mars 2025 de 9 h à 12 h, heure de Paris)" in lines
    )
    assert "- Nouvelle séance « Séance 3 » : mardi 1er avril 2025 de 9 h à 12 h, heure de Paris" in lines
    assert not [line for line in lines if "« Séance 1 »" in line]


def test_a_change_says_what_was_and_what_is() -> None:
    text = body(rendered(LetterType.SESSION_CHANGED), "text/plain").replace("\u00a0", " ")
    assert (
        "- Date : jeudi 3 avril 2025 de 9 h 30 à 17 h, heure de Paris (au lieu de : mercredi 2 avril" in text
    )
    assert (
        "- Lieu : Le Couvent des Jacobins, 20 place Sainte-Anne, Rennes (au lieu de : Salle des fêtes)"
        in text
    )
    only = body(rendered(LetterType.SESSION_CHANGED, details={"venue_before": None}), "text/plain")
    assert "Date\u00a0: jeudi 3 avril" in only
    assert "au lieu de" not in only


MOVED = {
    "starts_before": "2025-04-02T07:30:00+00:00",
    "ends_before": "2025-04-02T15:00:00+00:00",
    "timezone_before": "Europe/Paris",
}
PLACE, LINK = {"venue_before": "Salle des fêtes"}, {"link_changed": True}
TO_DATE, TO_PLACE = (
    "de date (jeudi 3 avril 2025 de 9 h 30 à 17 h, heure de Paris)",
    "de lieu (Salle B, Rennes)",
)


@pytest.mark.parametrize(
    ("details", "says"),
    [
        (MOVED, TO_DATE),
        (PLACE, TO_PLACE),
        (LINK, "de lien de connexion"),
        (MOVED | PLACE | LINK, f"{TO_DATE}, {TO_PLACE} et de lien de connexion"),
    ],
)
def test_the_first_sentence_says_what_changed_and_into_what(details: dict[str, Any], says: str) -> None:
    session = a_session(venue="Salle B, Rennes")
    text = says_at("2025-03-10T09:00+01:00", LetterType.SESSION_CHANGED, session, details=details)
    assert f"» a changé {says} : vous y gardez votre place." in text


def test_one_seance_that_changes_is_named_in_the_first_sentence_and_several_are_listed() -> None:
    def first_line(*numbers: int) -> str:
        details = {"modules": [{"number": number} for number in numbers]}
        text = says_at("2025-03-10T09:00+01:00", LetterType.SESSION_CHANGED, the_mooc(), details=details)
        return text.splitlines()[2]

    assert "a changé de calendrier (nouvelle séance « Séance 3 », mardi 1er avril 2025 de 9 h" in first_line(
        3
    )
    assert "a changé de calendrier : vous" in first_line(2, 3)


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


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (NewsKind.REPLAY, "Le replay « L’IA » est en ligne."),
        (NewsKind.DOSSIER, "Le dossier documentaire « L’IA » est en ligne."),
        (NewsKind.COMMUNITY, "L’e-communauté « L’IA » est ouverte."),
        (NewsKind.SESSION, "L’événement « L’IA » est annoncé."),
    ],
)
def test_a_letter_about_one_thing_names_it_first(kind: NewsKind, says: str) -> None:
    assert f"\n\n{says}\n" in news_of(some_news(kind=kind, title="L’IA"))


def news_of(*items: NewsItem, now: str = "2025-03-10T16:00+01:00") -> str:
    renderer = Renderer(
        Sender("CNFPT", "f@cnfpt.example", "f@cnfpt.example", "https://p.example"), now=lambda: at(now)
    )
    mail = a_mail(LetterType.NEWS, details=DETAILS[LetterType.NEWS])
    return body(parsed(renderer.render(mail, LetterContext(news=items)).content), "text/plain").replace(
        "\u00a0", " "
    )


def test_an_event_has_its_date_its_place_and_when_to_enrol() -> None:
    session = a_session(title="L’IA à Rennes")
    item = some_news(kind=NewsKind.SESSION, title="Un titre d’avant", url=None, event=session)
    for now, enrolment in (
        ("2025-03-10T16:00+01:00", "jusqu’au vendredi 28 mars 2025 inclus"),
        ("2025-02-25T16:00+01:00", "à partir du mercredi 26 février 2025"),
    ):
        text = news_of(item, now=now)
        for phrase in (
            "« L’IA à Rennes » est annoncé pour le jeudi 3 avril 2025 à 9 h 30, heure de Paris.",
            "Date : jeudi 3 avril 2025 de 9 h 30 à 17 h, heure de Paris",
            "Lieu : Le Couvent des Jacobins, 20 place Sainte-Anne, Rennes",
            f"Inscriptions : {enrolment}",
            f"https://p.example/sessions/{item.item_id}",
        ):
            assert phrase in text


def test_other_sessions_are_proposed_with_the_place_where_one_finds_them() -> None:
    (sample,) = [sample for sample in samples() if sample.name == "annulation"]
    letter = show(sample)
    address = f"https://parcours.example/sessions/{sample.others[0].session_id}"
    assert f"  {address}\n" in letter.text
    assert f'<a href="{address}">' in letter.page


def test_who_organises_is_named_without_an_article() -> None:
    message = rendered(LetterType.CONFIRMED)
    assert "\nOrganisation\u00a0: Délégation Bretagne du CNFPT\n" in body(message, "text/plain")
    assert 'ORGANIZER;CN="Délégation Bretagne' in body(message, "text/calendar")


def test_a_subject_has_the_title_between_guillemets() -> None:
    title = "L’IA : « du cap au cadre »"
    subject = str(rendered(LetterType.CONFIRMED, a_session(title=title))["Subject"]).replace("\u00a0", " ")
    assert subject == "Votre inscription est confirmée : « L’IA : “du cap au cadre” », Rennes, 3 avril"


# ------------------------------------------------------------------- training of one's own


def test_trainees_are_named_until_the_list_closes() -> None:
    details = DETAILS[LetterType.BESPOKE_ANSWERED] | {"answer": "agreed"}
    session = a_session(format="bespoke")
    open_ = says_at("2025-03-28T23:59+01:00", LetterType.BESPOKE_ANSWERED, session, details=details)
    assert "depuis votre portail, jusqu’au vendredi 28 mars 2025 inclus." in open_
    closed = says_at("2025-03-29T00:00+01:00", LetterType.BESPOKE_ANSWERED, session, details=details)
    assert "Désignez" not in closed
    assert "est close" in closed
    cancelled = a_session(format="bespoke", status="cancelled")
    assert "est close" not in says_at(
        "2025-03-28T23:59+01:00", LetterType.BESPOKE_ANSWERED, cancelled, details=details
    )


def test_the_advisor_is_said_once() -> None:
    text = body(rendered(LetterType.BESPOKE_ANSWERED), "text/plain")
    assert text.count("yann.legoff@cnfpt.example") == 1
    reference = reference_of(MAIL_ID)
    assert f"Écrivez à Yann Le Goff, yann.legoff@cnfpt.example, en rappelant la référence {reference}" in text


def test_a_subscription_is_confirmed_until_a_moment_that_is_named() -> None:
    text = body(rendered(LetterType.CONFIRM_SUBSCRIPTION), "text/plain")
    assert "mercredi 12 mars 2025" not in text  # without a key there is no link
    template = LetterType.CONFIRM_SUBSCRIPTION
    (sample,) = [sample for sample in samples() if sample.template is template]
    assert "jusqu’au mercredi 12 mars 2025 à 14\u00a0h\u00a005, heure de Paris" in show(sample).text
