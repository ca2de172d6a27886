"""What letters let their readers do, by signed links that name nobody."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest

from services.notifier.letters import (
    KINDS,
    EnrolmentState,
    KnownEnrolment,
    LetterContext,
    LetterType,
    Link,
    NumberedSession,
)
from services.notifier.render import Renderer
from shared import qr_codes
from shared.web.links import ARRIVAL, Expired, Purpose
from tests.unit.notifier.builders import (
    ENROLMENT_ID,
    MAIL_ID,
    SENDER,
    a_mail,
    a_session,
    at,
    some_news,
    the_mooc,
)
from tests.unit.notifier.reading import DETAILS, LINKS, WITHOUT_SESSION, LetterPage, body, parsed, rendered

CONFIRMING = {LetterType.CONFIRM_SUBSCRIPTION, LetterType.CONFIRM_ADDRESS}
TO_TRAINERS = {t for t in LetterType if KINDS[t].link is Link.ROSTER}
LINKED = [t for t in LetterType if KINDS[t].link is not None and t not in CONFIRMING | TO_TRAINERS]


@pytest.mark.parametrize("template", LINKED)
def test_a_letter_lets_its_reader_act_by_a_link_that_names_nobody(template: LetterType) -> None:
    session = a_session()
    mail = a_mail(template, details=DETAILS.get(template, {}), version=7)
    message = parsed(
        Renderer(SENDER, LINKS, now=lambda: mail.called_for_at).render(mail, LetterContext(session)).content
    )
    purpose, number, until = {
        Link.WITHDRAW: (Purpose.WITHDRAW, "0", session.ends_at),
        Link.OFFER: (Purpose.OFFER, "7", at("2025-03-17T09:30+01:00")),
        Link.CERTIFICATE: (Purpose.CERTIFICATE, "0", at("2027-03-10T14:05:30+01:00")),
    }[KINDS[template].link or Link.WITHDRAW]
    address = f"https://parcours.example{purpose.value}/"
    (in_text,) = [word for word in body(message, "text/plain").split() if word.startswith(address)]
    hrefs = [attributes.get("href") for tag, attributes in LetterPage(body(message, "text/html")).attributes]
    assert in_text in hrefs
    token = in_text.removeprefix(address)
    opened = LINKS.read(purpose, token, until - timedelta(seconds=1)).ids
    assert opened == (str(ENROLMENT_ID), str(LINKS.mark(mail.address)), number)
    with pytest.raises(Expired):
        LINKS.read(purpose, token, until)
    assert "depuis votre portail" not in body(message, "text/plain") or template is LetterType.SEAT_OFFERED


@pytest.mark.parametrize("template", sorted(TO_TRAINERS))
def test_a_trainers_link_names_their_id_and_the_session_and_outlives_a_session_that_moves(
    template: LetterType,
) -> None:
    session, trainer_id = a_session(), UUID(int=7)
    mail = a_mail(template, details=DETAILS[template] | {"trainer": str(trainer_id)})
    text = Renderer(SENDER, LINKS, now=lambda: mail.called_for_at).text(mail, LetterContext(session))
    address = f"https://parcours.example{Purpose.ROSTER.value}/"
    (link,) = [word for word in text.split() if word.startswith(address)]
    opened = LINKS.read(Purpose.ROSTER, link.removeprefix(address), session.ends_at + timedelta(days=364))
    assert opened.ids == (str(trainer_id), "0", str(session.session_id.int))


@pytest.mark.parametrize(("catalogue", "times"), [("https://offre.example", 1), ("", 0)])
@pytest.mark.parametrize("template", [LetterType.CONFIRMED, LetterType.CONFIRM_SUBSCRIPTION])
def test_a_letter_leads_to_the_rights_of_its_reader_where_the_catalogue_has_an_address(
    template: LetterType, catalogue: str, times: int
) -> None:
    mail = a_mail(template, details=DETAILS.get(template, {}))
    renderer = Renderer(replace(SENDER, catalogue=catalogue), now=lambda: mail.called_for_at)
    message = parsed(renderer.render(mail, LetterContext(a_session())).content)
    for kind in ("text/plain", "text/html"):
        assert body(message, kind).count(f"{catalogue}/donnees-personnelles") == times


@pytest.mark.parametrize("template", LINKED)
def test_without_a_key_letters_send_their_reader_to_the_portal(template: LetterType) -> None:
    message = rendered(template)
    for kind in ("text/plain", "text/html"):
        assert "depuis votre portail" in body(message, kind)
        assert "https://" not in body(message, kind)


@pytest.mark.parametrize(
    ("session", "end"),
    [(a_session(), a_session().starts_at), (the_mooc(), the_mooc().ends_at)],
    ids=["a seat, until the start", "a MOOC, until its end"],
)
def test_a_letter_offers_to_withdraw_for_as_long_as_one_may(session: NumberedSession, end: datetime) -> None:
    def says(now: datetime) -> str:
        renderer = Renderer(SENDER, LINKS, now=lambda: now)
        return body(
            parsed(renderer.render(a_mail(LetterType.CONFIRMED), LetterContext(session)).content),
            "text/plain",
        )

    assert "DÉSISTER" in says(end - timedelta(seconds=1))
    assert "désist" not in says(end).lower()


def test_whoever_is_offered_a_seat_in_a_session_that_changed_answers_from_that_letter() -> None:
    """By the offer that stands now: the letter may be of an older version of the enrolment."""
    mail = a_mail(
        LetterType.SESSION_CHANGED_WAITING, details=DETAILS[LetterType.SESSION_CHANGED_WAITING], version=1
    )
    renderer = Renderer(SENDER, LINKS, now=lambda: at("2025-03-10T14:06+01:00"))
    for standing, offers in ((EnrolmentState.OFFERED, True), (EnrolmentState.WAITLISTED, False)):
        context = LetterContext(a_session(), KnownEnrolment(3, standing))
        html = body(parsed(renderer.render(mail, context).content), "text/html")
        assert ("Accepter ou refuser cette place" in html) == offers
        assert ("Renoncer à cette session" in html) != offers
        found = re.findall(f'href="https://parcours.example{Purpose.OFFER.value}/([^"]*)"', html)
        assert [LINKS.read(Purpose.OFFER, token, mail.called_for_at).ids[2] for token in found] == [
            "3"
        ] * offers


def test_only_what_one_subscribes_to_has_a_way_out_with_one_click() -> None:
    """RFC 8058: an https address that a POST ends it with, without login or cookie."""
    for template in LetterType:
        mail = a_mail(template, details=DETAILS.get(template, {}))
        session = None if template in WITHOUT_SESSION else a_session()
        message = parsed(
            Renderer(SENDER, LINKS, now=lambda: at("2025-03-10T14:06+01:00"))
            .render(mail, LetterContext(session, news=[some_news()]))
            .content
        )
        if template not in (LetterType.NEWS, LetterType.DIGEST):
            assert message["List-Unsubscribe"] is None, template
            continue
        address = str(message["List-Unsubscribe"])
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        purpose = Purpose.UNSUBSCRIBE if template is LetterType.NEWS else Purpose.DIGEST
        base = f"https://parcours.example{purpose.value}/"
        assert address.startswith(f"<{base}")
        token = address.removeprefix(f"<{base}").removesuffix(">")
        mark = (str(LINKS.mark(mail.address)),) if template is LetterType.DIGEST else ()
        assert LINKS.read(purpose, token, at("2025-03-10T14:07+01:00")).ids == (str(MAIL_ID), *mark)
        for kind in ("text/plain", "text/html"):
            assert base in body(message, kind)
            if template is LetterType.DIGEST:
                continue
            assert f"{Purpose.PREFERENCES.value}/" in body(message, kind)


def test_without_a_key_one_unsubscribes_by_mail() -> None:
    message = rendered(LetterType.NEWS)
    assert message["List-Unsubscribe"] == "<mailto:formations@cnfpt.example?subject=desabonnement>"
    assert "Pour ne plus le recevoir, écrivez à" in body(message, "text/plain")


def test_the_confirmation_of_a_subscription_is_a_link_for_two_days() -> None:
    mail = a_mail(LetterType.CONFIRM_SUBSCRIPTION, details=DETAILS[LetterType.CONFIRM_SUBSCRIPTION])
    message = parsed(
        Renderer(SENDER, LINKS, now=lambda: mail.called_for_at).render(mail, LetterContext()).content
    )
    address = f"https://parcours.example{Purpose.CONFIRM.value}/"
    (link,) = [word for word in body(message, "text/plain").split() if word.startswith(address)]
    token = link.removeprefix(address)
    end = mail.called_for_at + timedelta(hours=48)
    assert LINKS.read(Purpose.CONFIRM, token, end - timedelta(seconds=1)).ids == (str(MAIL_ID),)
    with pytest.raises(Expired):
        LINKS.read(Purpose.CONFIRM, token, end)


def test_the_confirmation_of_an_address_is_a_link_that_names_the_request_and_marks_the_new_address() -> None:
    details = DETAILS[LetterType.CONFIRM_ADDRESS]
    end = datetime.fromisoformat(str(details["until"]))
    mail = a_mail(LetterType.CONFIRM_ADDRESS, details=details)
    message = parsed(
        Renderer(SENDER, LINKS, now=lambda: mail.called_for_at).render(mail, LetterContext()).content
    )
    address = f"https://parcours.example{Purpose.CONFIRM_ADDRESS.value}/"
    (link,) = [word for word in body(message, "text/plain").split() if word.startswith(address)]
    token = link.removeprefix(address)
    opened = LINKS.read(Purpose.CONFIRM_ADDRESS, token, end - timedelta(seconds=1)).ids
    assert opened == (str(MAIL_ID), str(LINKS.mark(mail.address)))
    with pytest.raises(Expired):
        LINKS.read(Purpose.CONFIRM_ADDRESS, token, end)


def with_links(template: LetterType, **session: Any) -> EmailMessage:
    """A letter with its links, as it leaves."""
    mail = a_mail(template)
    renderer = Renderer(SENDER, LINKS, now=lambda: mail.called_for_at)
    return parsed(renderer.render(mail, LetterContext(a_session(**session))).content)


def images_of(message: EmailMessage) -> list[EmailMessage]:
    return [part for part in message.walk() if part.get_content_type() == "image/png"]


def test_the_convocation_to_a_place_has_the_code_for_its_door() -> None:
    message = with_links(LetterType.JOINING)
    [image] = images_of(message)
    address = f"https://parcours.example{ARRIVAL}/{ENROLMENT_ID}"
    assert image.get_content() == qr_codes.png(address)
    page = body(message, "text/html")
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in page
    assert address not in page  # nobody but an organiser has anything to open there
    assert "Donnez votre nom ou la référence" in body(message, "text/plain")


def test_a_letter_that_convokes_to_no_place_has_no_code() -> None:
    assert images_of(with_links(LetterType.JOINING, venue=None)) == []
    assert images_of(with_links(LetterType.CONFIRMED)) == []
    assert images_of(rendered(LetterType.JOINING)) == []  # without a key there are no links
