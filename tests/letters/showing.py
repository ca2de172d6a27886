"""Sample letters as their reader gets them."""

import base64
import email.policy
from collections import defaultdict
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from services.notifier.letters import KnownEnrolment, LetterContext, LetterType, Mail
from services.notifier.render import Renderer, Sender
from shared.web.links import Links, Purpose
from tests.letters.samples import Sample

_ENROLMENT = UUID("0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c01")
_MAIL = UUID("d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90")


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of a letter: ``page`` is its HTML, with the images inside."""

    subject: str
    text: str
    page: str
    calendars: tuple[str, ...]


def renderer_of(sample: Sample) -> Renderer:
    sender = Sender(
        "CNFPT", "formations@cnfpt.example", "formations@cnfpt.example", "https://parcours.example"
    )
    links = Links(["a key for samples only"], dict.fromkeys(Purpose, "https://parcours.example"))
    return Renderer(sender, links, now=lambda: sample.now)


def letter_of(sample: Sample) -> tuple[Mail, LetterContext]:
    """Return the mail as it comes out of the queue, and what is known of its session and reader."""
    about_session = sample.session is not None and sample.template not in (
        LetterType.BESPOKE_ANSWERED,
        LetterType.MINIMUM_MISSED,
        LetterType.SELECTION_DUE,
        LetterType.NOMINATION_ANSWERED,
        LetterType.TRAINER_NAMED,
        LetterType.TRAINER_CHANGED,
        LetterType.TRAINER_CANCELLED,
    )
    about_enrolment = about_session or sample.template in (LetterType.REFUSED, LetterType.MY_ENROLMENTS)
    mail = Mail(
        mail_id=_MAIL,
        template=sample.template,
        details=sample.details,
        message_id=f"<{_MAIL}@cnfpt.example>",
        address="zoe.durand@ville-exemple.fr",
        given_name="Zoé" if sample.named else "",
        family_name="Durand" if sample.named else "",
        session_id=sample.session.session_id if sample.session is not None else None,
        enrolment_id=_ENROLMENT if about_enrolment else None,
        version=sample.version,
        called_for_at=sample.now,
    )
    enrolment = KnownEnrolment(sample.version + 1, sample.state) if sample.state else None
    context = LetterContext(
        sample.session,
        enrolment,
        alternatives=sample.others,
        news=sample.news,
        other=sample.other,
        people=sample.people,
        trainers=sample.trainers,
        listed={session.session_id: session for session in sample.listed},
        certificates=sample.certificates,
    )
    return mail, context


def show(sample: Sample) -> Shown:
    outgoing = renderer_of(sample).render(*letter_of(sample))
    message = message_from_bytes(outgoing.content, _class=EmailMessage, policy=email.policy.default)
    bodies: defaultdict[str, list[str]] = defaultdict(list)
    images: dict[str, str] = {}
    for part in message.walk():
        kind = part.get_content_type()  # each look at it parses the header
        if kind.startswith("text/"):
            bodies[kind].append(_content(part))
        elif kind.startswith("image/"):
            image = base64.b64encode(part.get_content()).decode()
            images[f"cid:{part['Content-ID'].strip('<>')}"] = f"data:{kind};base64,{image}"
    [text], [page] = bodies["text/plain"], bodies["text/html"]
    for named, image in images.items():
        page = page.replace(named, image)
    return Shown(str(message["Subject"]), text, page, tuple(bodies["text/calendar"]))


def _content(part: Any) -> str:
    content = part.get_content()
    text: str = content if isinstance(content, str) else content.decode()
    return text.replace("\r\n", "\n")
