"""Every letter with sample data, as files and a page to leaf through; needs no database and no settings.

The same samples are the golden tests: what a change of a template does to the letters is seen in its review.
"""

import email.policy
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

from services.notifier.letters import (
    Interest,
    InterestKind,
    Mail,
    NewsItem,
    NewsKind,
    Session,
    Template,
)
from services.notifier.render import Renderer, Sender
from shared.events.vocabulary import Reason
from shared.links import Links, Purpose

NOW = datetime(2025, 3, 10, 13, 5, 30, tzinfo=UTC)
_SESSION = UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11")
_OTHER = UUID("6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12")
_MOOC = UUID("2f1c1f5e-61d2-5ab8-8d0b-4d4cbb3f7f10")
_ENROLMENT = UUID("0b7a4e52-58f3-4d0e-8a51-9f2f2b6a6c01")
_MAIL = UUID("d2719a4e-3b53-4a52-9d53-2b8f7f6f3a90")


@dataclass(frozen=True, slots=True)
class Sample:
    """A letter to show: its name is that of its files."""

    name: str
    template: Template
    facts: dict[str, Any] = field(default_factory=dict)
    session: Session | None = None
    others: Sequence[Session] = ()
    news: Sequence[NewsItem] = ()
    named: bool = True
    now: datetime = NOW


@dataclass(frozen=True, slots=True)
class Shown:
    """A letter as its reader gets it. ``calendar`` is None where it has none."""

    subject: str
    text: str
    page: str
    calendar: str | None
    message: bytes


def _event(**changes: Any) -> Session:
    facts: dict[str, Any] = {
        "session_id": _SESSION,
        "version": 2,
        "offer_id": "ia-et-territoires",
        "format": "local_event",
        "title": "IA et territoires : le CNFPT s’engage pour développer les compétences",
        "status": "published",
        "phase": "upcoming",
        "enrolment": "open",
        "enrolment_opens_at": "2025-02-26T00:00:00+01:00",
        "enrolment_closes_at": "2025-03-29T00:00:00+01:00",
        "starts_at": "2025-04-03T09:30:00+02:00",
        "ends_at": "2025-04-03T17:00:00+02:00",
        "timezone": "Europe/Paris",
        "capacity": 80,
        "waiting_list": "offer",
        "organiser": "bretagne",
        "venue": "Le Couvent des Jacobins, 20 place Sainte-Anne, Rennes",
    }
    return Session.model_validate(facts | changes)


def _mooc() -> Session:
    modules = [
        {"title": title, "starts_at": start, "ends_at": end}
        for title, start, end in (
            ("Séance 1 : comprendre", "2025-03-17T00:00:00+01:00", "2025-03-24T00:00:00+01:00"),
            ("Séance 2 : pratiquer", "2025-03-24T00:00:00+01:00", "2025-03-31T00:00:00+02:00"),
            ("Séance 3 : agir", "2025-03-31T00:00:00+02:00", "2025-04-12T00:00:00+02:00"),
        )
    ]
    return _event(
        session_id=_MOOC,
        format="mooc",
        title="Les fondamentaux de l’IA",
        starts_at="2025-03-17T00:00:00+01:00",
        ends_at="2025-04-12T00:00:00+02:00",
        capacity=None,
        waiting_list="none",
        organiser="inset-montpellier",
        venue=None,
        join_url="https://mooc.example/ia",
        modules=modules,
    )


def _inet() -> Session:
    days = (
        (13, "5", "Journée 1 : comprendre"),
        (14, "5", "Journée 2 : organiser"),
        (5, "6", "Journée 3 : évaluer"),
    )
    modules = [
        {
            "title": title,
            "starts_at": f"2025-0{month}-{day:02}T09:30:00+02:00",
            "ends_at": f"2025-0{month}-{day:02}T17:00:00+02:00",
        }
        for day, month, title in days
    ]
    return _event(
        format="inet",
        title="Conduire la transition numérique : le rôle de l’encadrement, « du cap au cadre »",
        enrolment_closes_at="2025-04-22T00:00:00+02:00",
        starts_at="2025-05-13T09:30:00+02:00",
        ends_at="2025-06-05T17:00:00+02:00",
        capacity=20,
        organiser="inet",
        venue="Institut national des études territoriales, Strasbourg",
        modules=modules,
    )


def _webinar() -> Session:
    return _event(
        session_id=_OTHER,
        format="webinar",
        title="IA : quels enjeux pour les collectivités ?",
        starts_at="2025-03-20T14:00:00+04:00",
        ends_at="2025-03-20T15:30:00+04:00",
        timezone="Indian/Reunion",
        waiting_list="none",
        organiser="la-reunion",
        venue=None,
        join_url="https://visio.example/ia",
    )


def _news(number: int, kind: NewsKind, title: str, summary: str | None = None) -> NewsItem:
    url = None if kind is NewsKind.SESSION else f"https://ressources.example.org/{number}"
    interest = Interest(InterestKind.THEME, "enjeux-ia")
    return NewsItem(UUID(int=number), kind, title, summary, url, (interest,), NOW)


def samples() -> list[Sample]:
    """Every letter, and what it says in each case that has words of its own."""
    event, mooc, webinar = _event(), _mooc(), _webinar()
    inet = _inet()
    elsewhere = _event(session_id=_OTHER, organiser="normandie", venue="Le Dôme, Caen")
    bespoke = {
        "message": "Deux journées à Rennes, pour quinze agentes et agents.\n\nLes dates restent à convenir.",
        "advisor": "Yann Le Goff",
        "advisor_address": "yann.legoff@cnfpt.example",
        "reference": str(_MAIL),
    }
    moved = {
        "starts_before": "2025-04-02T07:30:00+00:00",
        "ends_before": "2025-04-02T15:00:00+00:00",
        "timezone_before": "Europe/Paris",
    }
    gone = [
        {
            "number": number,
            "title": f"Atelier {number - 3}",
            "starts_at": f"2025-05-{number + 11}T07:30:00+00:00",
            "ends_at": f"2025-05-{number + 11}T10:00:00+00:00",
        }
        for number in (4, 5)
    ]
    replay = {
        "replay_title": "IA et droit : les bases",
        "replay_url": "https://replays.example.org/ia-et-droit",
    }
    items = [
        _news(1, NewsKind.REPLAY, "IA et droit : les bases", "L’enregistrement du webinaire du 6 mars."),
        _news(2, NewsKind.DOSSIER, "L’IA et l’action publique locale"),
        _news(3, NewsKind.SESSION, "IA et territoires : le CNFPT s’engage pour développer les compétences"),
    ]
    follows = {"items": [str(item.item_id) for item in items], "subscriber": str(_MAIL)}
    asked = {"request": str(_MAIL), "interests": ["theme:enjeux-ia", "delegation:bretagne"]}
    refusals = [
        Sample(
            f"refus-{reason.value.replace('_', '-')}",
            Template.REFUSED,
            {"reason": reason.value},
            _where_refused(reason),
            [elsewhere],
        )
        for reason in Reason
        if reason not in (Reason.ALREADY_ENROLLED, Reason.NOT_ENROLLED, Reason.NO_OFFER)
    ]
    refused_answers = [
        Sample(
            f"reponse-refusee-{reason.value.replace('_', '-')}",
            Template.OFFER_REFUSED,
            {"reason": reason.value},
            event,
        )
        for reason in (Reason.DEADLINE_PASSED, Reason.NO_OFFER, Reason.ALREADY_ENROLLED)
    ]
    return [
        Sample("accuse-employeur", Template.PENDING, {"awaiting": "employer_approval"}, event),
        Sample("accuse-selection", Template.PENDING, {"awaiting": "selection"}, inet),
        Sample("inscription-confirmee", Template.CONFIRMED, {}, event),
        Sample("inscription-confirmee-mooc", Template.CONFIRMED, {}, mooc),
        Sample("inscription-confirmee-mooc-ouvert", Template.CONFIRMED, {}, mooc, now=_during(mooc)),
        Sample("inscription-confirmee-inet", Template.CONFIRMED, {}, inet),
        Sample("inscription-confirmee-webinaire", Template.CONFIRMED, {}, webinar),
        Sample("liste-d-attente-offre", Template.WAITLISTED, {"position": 3}, event),
        Sample(
            "liste-d-attente-automatique",
            Template.WAITLISTED,
            {"position": 1},
            _event(waiting_list="automatic"),
        ),
        Sample("place-liberee", Template.SEAT_OFFERED, {"hold_until": "2025-03-17T11:00:00+00:00"}, event),
        Sample("place-attribuee", Template.SEAT_ASSIGNED, {}, event),
        Sample("offre-expiree", Template.OFFER_LAPSED, {"cause": "expired"}, event),
        Sample("offre-refusee", Template.OFFER_LAPSED, {"cause": "declined"}, event),
        *refusals,
        Sample("refus-webinaire-complet", Template.REFUSED, {"reason": "session_full"}, webinar),
        Sample("deja-inscrit", Template.ALREADY_ENROLLED, {}, event),
        *refused_answers,
        Sample(
            "desistement-refuse",
            Template.WITHDRAWAL_REFUSED,
            {"reason": "deadline_passed"},
            event,
            now=_during(event),
        ),
        Sample("convocation", Template.JOINING, {}, event),
        Sample("convocation-mooc", Template.JOINING, {}, mooc, now=mooc.starts_at),
        Sample("convocation-webinaire", Template.JOINING, {}, webinar),
        Sample("rappel-une-semaine", Template.REMINDER_WEEK, {}, event),
        Sample("rappel-un-jour", Template.REMINDER_DAY, {}, webinar),
        Sample(
            "modification-dates-et-lieu",
            Template.SESSION_CHANGED,
            moved | {"venue_before": "Salle des fêtes, Rennes"},
            event,
        ),
        Sample(
            "modification-seances",
            Template.SESSION_CHANGED,
            {
                "modules": [
                    {
                        "number": 2,
                        "starts_at": "2025-05-15T07:30:00+00:00",
                        "ends_at": "2025-05-15T15:00:00+00:00",
                    },
                    {"number": 3},
                ]
            },
            inet,
        ),
        Sample("seance-annulee", Template.MODULE_CANCELLED, {"modules": gone[:1]}, inet),
        Sample("seances-annulees", Template.MODULE_CANCELLED, {"modules": gone}, inet),
        Sample("modification-lien", Template.SESSION_CHANGED, {"link_changed": True}, webinar),
        Sample(
            "annulation",
            Template.SESSION_CANCELLED,
            {"had_seat": True},
            _event(status="cancelled"),
            [elsewhere],
        ),
        Sample(
            "annulation-sans-place",
            Template.SESSION_CANCELLED,
            {"had_seat": False},
            _event(status="cancelled"),
        ),
        Sample("desistement-enregistre", Template.WITHDRAWN, {"by": "agent", "had_seat": True}, event),
        Sample("desistement-sans-place", Template.WITHDRAWN, {"by": "agent", "had_seat": False}, event),
        Sample(
            "desistement-par-l-employeur", Template.WITHDRAWN, {"by": "employer", "had_seat": True}, event
        ),
        Sample("replay-disponible", Template.REPLAY_AVAILABLE, replay, webinar),
        Sample("attestation", Template.CERTIFICATE, {}, event),
        Sample("nouveaute", Template.NEWS, follows, news=items[:1]),
        Sample("nouveautes", Template.NEWS, follows, news=items, named=False),
        Sample("abonnement-a-confirmer", Template.CONFIRM_SUBSCRIPTION, asked, named=False),
        *(
            Sample(f"sur-mesure-{answer}", Template.BESPOKE_ANSWERED, bespoke | {"answer": answer})
            for answer in ("qualified", "proposed", "declined")
        ),
        Sample("sur-mesure-agreed", Template.BESPOKE_ANSWERED, bespoke | {"answer": "agreed"}, event),
    ]


def _where_refused(reason: Reason) -> Session | None:
    match reason:
        case Reason.UNKNOWN_SESSION:
            return None
        case Reason.NOT_OPEN_YET:
            return _event(enrolment_opens_at="2025-03-17T09:00:00+01:00")
        case Reason.DEADLINE_PASSED:
            return _event(enrolment_closes_at="2025-03-09T00:00:00+01:00")
        case Reason.NOT_SELECTED:
            return _inet()
        case _:
            return _event()


def _during(session: Session) -> datetime:
    return session.starts_at + timedelta(hours=1)


def show(sample: Sample) -> Shown:
    """The letter, rendered as the queue would."""
    sender = Sender(
        "CNFPT", "formations@cnfpt.example", "formations@cnfpt.example", "https://parcours.example"
    )
    links = Links(["a key for samples only"], dict.fromkeys(Purpose, "https://parcours.example"))
    about_enrolment = sample.session is not None and sample.template is not Template.BESPOKE_ANSWERED
    mail = Mail(
        mail_id=_MAIL,
        template=sample.template,
        facts=sample.facts,
        message_id=f"<{_MAIL}@cnfpt.example>",
        agent_id="IEL-0048151",
        address="zoe.durand@ville-exemple.fr",
        given_name="Zoé" if sample.named else "",
        family_name="Durand" if sample.named else "",
        session_id=sample.session.session_id if sample.session is not None else None,
        enrolment_id=_ENROLMENT if about_enrolment or sample.template is Template.REFUSED else None,
        version=3,
        called_for_at=sample.now,
    )
    renderer = Renderer(sender, links, now=lambda: sample.now)
    outgoing = renderer.render(mail, sample.session, sample.others, sample.news)
    message = message_from_bytes(outgoing.content, _class=EmailMessage, policy=email.policy.default)
    bodies = {part.get_content_type(): _content(part) for part in message.iter_parts()}
    return Shown(
        str(message["Subject"]),
        bodies["text/plain"],
        bodies["text/html"],
        bodies.get("text/calendar"),
        outgoing.content,
    )


def _content(part: Any) -> str:
    content = part.get_content()
    text: str = content if isinstance(content, str) else content.decode()
    return text.replace("\r\n", "\n")


def write(directory: Path) -> int:
    """Write every letter and the page to leaf through; how many letters."""
    directory.mkdir(parents=True, exist_ok=True)
    shown = [(sample, show(sample)) for sample in samples()]
    for sample, letter in shown:
        (directory / f"{sample.name}.txt").write_text(letter.text)
        (directory / f"{sample.name}.html").write_text(letter.page)
        (directory / f"{sample.name}.eml").write_bytes(letter.message)
        if letter.calendar is not None:
            # iCalendar's lines end with CRLF (RFC 5545, 3.1).
            calendar = letter.calendar.replace("\n", "\r\n")
            (directory / f"{sample.name}.ics").write_bytes(calendar.encode())
    (directory / "index.html").write_text(_index(shown))
    return len(shown)


def _index(shown: Sequence[tuple[Sample, Shown]]) -> str:
    entries = "\n".join(
        f'<li><a href="{sample.name}.html" target="large">{html.escape(letter.subject)}</a><br>'
        f'<small><a href="{sample.name}.html" target="narrow">étroit</a> · '
        f'<a href="{sample.name}.txt" target="large">texte</a> · <a href="{sample.name}.eml">.eml</a>'
        + (f' · <a href="{sample.name}.ics">.ics</a>' if letter.calendar is not None else "")
        + f" – {sample.name}</small></li>"
        for sample, letter in shown
    )
    return _PAGE.format(entries=entries, first=shown[0][0].name, number=len(shown))


_PAGE = """<!DOCTYPE html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Les lettres de Parcours</title>
<style>
body {{ margin: 0; font: 1rem/1.4 sans-serif; }}
body {{ display: grid; grid-template-columns: 22rem 1fr 24rem; height: 100vh; }}
nav {{ overflow: auto; padding: 0 1rem; }}
ul {{ padding: 0; list-style: none; }}
li {{ margin-bottom: .75rem; }}
iframe {{ width: 100%; height: 100%; border: 0; border-left: 1px solid #c4c8cf; }}
@media (max-width: 70rem) {{
body {{ grid-template-columns: 1fr; height: auto; }}
iframe {{ height: 90vh; }}
}}
</style>
</head>
<body>
<nav aria-label="Lettres">
<h1>{number} lettres</h1>
<ul>
{entries}
</ul>
</nav>
<iframe name="large" title="La lettre" src="{first}.html"></iframe>
<iframe name="narrow" title="La lettre sur un écran étroit" src="{first}.html"></iframe>
</body>
</html>
"""
