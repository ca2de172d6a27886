"""What letters let their readers do, by signed links that name nobody."""

import re
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
from tests.unit.notifier.builders import ENROLMENT_ID, SENDER, a_mail, a_session, at, the_mooc
from tests.unit.notifier.reading import DETAILS, LINKS, LetterPage, body, context_of, parsed, rendered

SECOND = timedelta(seconds=1)
LINKED = [template for template in LetterType if KINDS[template].link is not None]
TRAINER, SESSION = UUID(int=1), a_session()


def written(template: LetterType, session: NumberedSession = SESSION, **changes: Any) -> EmailMessage:
    """A letter with its links, as it leaves."""
    mail = a_mail(template, **{"details": DETAILS[template]} | changes)
    renderer = Renderer(SENDER, LINKS, now=lambda: mail.called_for_at)
    return parsed(renderer.render(mail, context_of(template, session)).content)


def token_in(message: EmailMessage, purpose: Purpose) -> str:
    """The token of the one link for this, which stands in the text and on the page."""
    address = f"https://parcours.example{purpose.value}/"
    (link,) = [word for word in body(message, "text/plain").split() if word.startswith(address)]
    page = LetterPage(body(message, "text/html"))
    assert link in [attributes.get("href") for _, attributes in page.attributes]
    return link.removeprefix(address)


def end_and_ids(link: Link, template: LetterType) -> tuple[datetime, tuple[str, ...]]:
    """Until when a link works, and the ids that it names."""
    mail = a_mail(template)
    agent = (str(ENROLMENT_ID), str(LINKS.mark(mail.address)))
    match link:
        case Link.WITHDRAW:
            return SESSION.ends_at, (*agent, "0")
        case Link.OFFER:
            return datetime.fromisoformat(DETAILS[template]["hold_until"]), (*agent, "7")
        case Link.CERTIFICATE:
            return mail.called_for_at + timedelta(days=730), (*agent, "0")
        case Link.CONFIRM:
            return mail.called_for_at + timedelta(hours=48), (DETAILS[template]["request"],)
        case Link.CONFIRM_LOG_IN:
            return mail.called_for_at + timedelta(days=1), (DETAILS[template]["log_in"],)
        case Link.CONFIRM_ADDRESS:
            until = datetime.fromisoformat(DETAILS[template]["until"])
            return until, (DETAILS[template]["request"], agent[1])
        case Link.CONFIRM_CORRECTION:
            until = datetime.fromisoformat(DETAILS[template]["until"])
            return until, (
                DETAILS[template]["reference"],
                agent[1],
                str(LINKS.mark(DETAILS[template]["new_address"])),
            )
        case Link.LIST:
            siret = DETAILS[template]["siret"]
            return SESSION.ends_at + timedelta(days=365), (str(SESSION.session_id), "0", siret)
        case Link.ROSTER:  # it outlives a session that moves
            return SESSION.ends_at + timedelta(days=365), (str(TRAINER), "0", str(SESSION.session_id.int))


@pytest.mark.parametrize("template", LINKED)
def test_a_letter_lets_its_reader_act_by_a_link_that_names_only_ids_and_ends(template: LetterType) -> None:
    link = KINDS[template].link
    assert link is not None
    purpose = Purpose[link.name]
    token = token_in(written(template, version=7), purpose)
    end, ids = end_and_ids(link, template)
    assert LINKS.read(purpose, token, end - SECOND).ids == ids
    with pytest.raises(Expired):
        LINKS.read(purpose, token, end)


@pytest.mark.parametrize("template", sorted({LetterType.CONFIRMED, LetterType.NEWS, LetterType.SEAT_OFFERED}))
def test_without_a_key_no_letter_has_a_signed_link(template: LetterType) -> None:
    message = rendered(template)
    for kind in ("text/plain", "text/html"):
        assert "https://parcours.example" not in body(message, kind)


@pytest.mark.parametrize(
    ("session", "end"),
    [(a_session(), a_session().starts_at), (the_mooc(), the_mooc().ends_at)],
    ids=["a seat, until the start", "a MOOC, until its end"],
)
def test_a_letter_offers_to_withdraw_for_as_long_as_withdrawing_is_allowed(
    session: NumberedSession, end: datetime
) -> None:
    def says(now: datetime) -> str:
        renderer = Renderer(SENDER, LINKS, now=lambda: now)
        return renderer.text(a_mail(LetterType.CONFIRMED), LetterContext(session))

    assert "DÉSISTER" in says(end - SECOND)
    assert "désist" not in says(end).lower()


@pytest.mark.parametrize(
    ("state", "versions"), [(EnrolmentState.OFFERED, ["3"]), (EnrolmentState.WAITLISTED, [])]
)
def test_an_agent_with_an_offer_answers_it_from_the_letter_about_a_change(
    state: EnrolmentState, versions: list[str]
) -> None:
    """By the offer that stands now: the letter may be of an older version of the enrolment."""
    template = LetterType.SESSION_CHANGED_WAITING
    mail = a_mail(template, details=DETAILS[template], version=1)
    renderer = Renderer(SENDER, LINKS, now=lambda: mail.called_for_at)
    html = renderer.page(mail, LetterContext(SESSION, KnownEnrolment(3, state)))
    tokens = re.findall(f'href="https://parcours.example{Purpose.OFFER.value}/([^"]*)"', html)
    assert [LINKS.read(Purpose.OFFER, token, mail.called_for_at).ids[2] for token in tokens] == versions


@pytest.mark.parametrize("template", list(LetterType))
def test_only_a_subscription_ends_with_one_click(template: LetterType) -> None:
    """RFC 8058: an https address that a POST ends it with, without login or cookie."""
    message = written(template)
    purpose = {LetterType.NEWS: Purpose.UNSUBSCRIBE, LetterType.DIGEST: Purpose.DIGEST}.get(template)
    if purpose is None:
        assert message["List-Unsubscribe"] is None
        return
    token = token_in(message, purpose)
    assert message["List-Unsubscribe"] == f"<https://parcours.example{purpose.value}/{token}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    named = DETAILS[template]["subscriber" if template is LetterType.NEWS else "digest"]
    marks = (str(LINKS.mark(a_mail(template).address)),) if template is LetterType.DIGEST else ()
    assert LINKS.read(purpose, token, at("2025-03-10T14:07+01:00")).ids == (named, *marks)


def test_a_subscriber_chooses_by_a_link_or_without_a_key_unsubscribes_by_mail() -> None:
    assert token_in(written(LetterType.NEWS), Purpose.PREFERENCES)
    message = rendered(LetterType.NEWS)
    assert message["List-Unsubscribe"] == "<mailto:formations@cnfpt.example?subject=desabonnement>"


def images_of(message: EmailMessage) -> list[EmailMessage]:
    return [part for part in message.walk() if part.get_content_type() == "image/png"]


def test_joining_instructions_to_a_place_have_the_code_for_its_door() -> None:
    message = written(LetterType.JOINING)
    [image] = images_of(message)
    address = f"https://parcours.example{ARRIVAL}/{ENROLMENT_ID}"
    assert image.get_content() == qr_codes.png(address)
    page = body(message, "text/html")
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in page
    assert address not in page  # nobody but an organiser has anything to open there


def test_a_letter_that_invites_to_no_place_has_no_code() -> None:
    assert images_of(written(LetterType.JOINING, a_session(venue=None))) == []
    assert images_of(written(LetterType.CONFIRMED)) == []
    assert images_of(rendered(LetterType.JOINING)) == []  # without a key there are no links
