"""What templates name: a session, a refusal, an item of news, in French."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.notifier import letters
from services.notifier.render.writing import quoted, typeset
from shared.events.vocabulary import Format, Reason, WaitingList
from shared.web import french, labels, refusals

_NEWS = {
    letters.NewsKind.REPLAY: ("Nouveau replay", "Le replay {title} est en ligne."),
    letters.NewsKind.DOSSIER: (
        "Nouveau dossier documentaire",
        "Le dossier documentaire {title} est en ligne.",
    ),
    letters.NewsKind.COMMUNITY: ("Nouvelle e-communauté", "L’e-communauté {title} est ouverte."),
    letters.NewsKind.SESSION: ("Nouvel événement", "L’événement {title} est annoncé{date}."),
}
"""What each is called, and what a letter about it alone says first."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as letters tell it: dates in its own zone, in French."""

    session_id: UUID
    title: str
    when: str
    when_label: str
    modules: tuple[tuple[str, str], ...]
    opens: str
    closes: str
    starts: str
    timezone: str
    venue: str | None
    place: str
    join_url: str | None
    organiser: str
    organisation: str
    essentials: str
    is_mooc: bool
    is_limited: bool
    waiting_list: WaitingList
    offer_hold_hours: int

    @classmethod
    def of(cls, session: letters.Session) -> "SessionView":
        zone = session.timezone
        return cls(
            session_id=session.session_id,
            title=typeset(session.title),
            when=french.period(session.starts_at, session.ends_at, zone),
            when_label="Dates" if len(session.modules) > 1 or _lasts_days(session) else "Date",
            modules=tuple(
                (typeset(module.title), french.period(module.starts_at, module.ends_at, zone))
                for module in session.modules
            ),
            opens=french.beginning(session.enrolment_opens_at, zone),
            closes=french.deadline(session.enrolment_closes_at, zone),
            starts=french.beginning(session.starts_at, zone),
            timezone=zone,
            venue=session.venue,
            place=session.venue or _elsewhere(session),
            join_url=session.join_url,
            organiser=labels.organiser(session.organiser),
            organisation=labels.organisation(session.organiser),
            essentials=_essentials(session),
            is_mooc=session.format is Format.MOOC,
            is_limited=session.capacity is not None,
            waiting_list=session.waiting_list,
            offer_hold_hours=session.offer_hold_hours,
        )


def _elsewhere(session: letters.Session) -> str:
    is_online = session.join_url or session.format in (Format.MOOC, Format.WEBINAR)
    return "en ligne" if is_online else "à préciser"


def _essentials(session: letters.Session) -> str:
    """What one needs on the day, and finds in the letter."""
    if session.format is Format.MOOC:
        return "les dates et le lien de connexion" if session.join_url else "les dates"
    if session.venue:
        return "le lieu et les horaires"
    return "les horaires et le lien de connexion" if session.join_url else "les horaires"


def _lasts_days(session: letters.Session) -> bool:
    zone = ZoneInfo(session.timezone)
    last = session.ends_at - timedelta(seconds=1)  # exclusive: midnight belongs to the day before
    return session.starts_at.astimezone(zone).date() != last.astimezone(zone).date()


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One line of what changed: ``before`` is None where there is nothing to compare with.

    ``of`` is how the first sentence names it: *a changé* ``de date``.
    """

    of: str
    what: str
    now: str
    before: str | None = None
    is_link: bool = False


def changes_of(details: letters.Details, session: letters.Session, view: SessionView) -> list[ChangeView]:
    """What a letter says has changed, as the session is now; not what has changed back since."""
    changes = []
    if "starts_before" in details:
        before = _period(details, "starts_before", "ends_before", str(details["timezone_before"]))
        changes.append(ChangeView(f"de {view.when_label.lower()}", view.when_label, view.when, before))
    rows = {row["number"]: row for row in letters.rows_of(details, "modules")}
    for occasion in session.occasions:
        if (row := rows.get(occasion.number)) is not None:
            title = quoted(occasion.title or session.title)
            now = french.period(occasion.starts_at, occasion.ends_at, session.timezone)
            if "starts_at" in row:
                before = _period(row, "starts_at", "ends_at", session.timezone)
                changes.append(ChangeView("de calendrier", f"Séance {title}", now, before))
            else:
                changes.append(ChangeView("de calendrier", f"Nouvelle séance {title}", now))
    if "venue_before" in details:
        old = details["venue_before"]
        changes.append(ChangeView("de lieu", "Lieu", view.place, str(old) if old else None))
    if "link_changed" in details:
        now = view.join_url or "supprimé"
        changes.append(ChangeView(_OF_LINK, "Lien de connexion", now, is_link=bool(view.join_url)))
    return [change for change in changes if change.now != change.before]


_OF_LINK = "de lien de connexion"


def changed_in(changes: Sequence[ChangeView]) -> str:
    """What changed, to go on from *a changé*: ``de date (jeudi 3 avril 2025 …) et de lieu (Rennes)``."""
    told: dict[str, list[ChangeView]] = {}
    for change in changes:
        told.setdefault(change.of, []).append(change)
    return french.listed([_in_short(of, alike) for of, alike in told.items()])


def _in_short(of: str, alike: Sequence[ChangeView]) -> str:
    if len(alike) > 1 or of == _OF_LINK:
        return of  # the list below has them
    (change,) = alike
    new = f"{change.what[0].lower()}{change.what[1:]}, {change.now}" if of == "de calendrier" else change.now
    return f"{of} ({new})"


def gone_from(details: letters.Details, session: letters.Session) -> list[tuple[str, str]]:
    """The séances that a letter says are cancelled, with their dates."""
    return [
        (typeset(str(row["title"])), _period(row, "starts_at", "ends_at", session.timezone))
        for row in letters.rows_of(details, "modules")
    ]


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item of news: ``sentence`` says it alone; ``details`` are the date and place of an event."""

    kind: str
    title: str
    sentence: str
    summary: str | None
    url: str
    entries: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls, item: letters.NewsItem, view: SessionView | None, catalogue: str, now: datetime
    ) -> "ItemView":
        kind, sentence = _NEWS[item.kind]
        title = view.title if view else typeset(item.title)
        date = f" pour le {view.starts}" if view else ""
        return cls(
            kind=kind,
            title=title,
            sentence=sentence.format(title=quoted(title), date=date),
            summary=item.summary,
            url=item.url or f"{catalogue}/sessions/{item.item_id}",
            entries=_entries(item.event, view, now) if item.event and view else (),
        )


def _entries(session: letters.Session, view: SessionView, now: datetime) -> tuple[tuple[str, str], ...]:
    is_open = now >= session.enrolment_opens_at
    return (
        (view.when_label, view.when),
        ("Lieu", view.place),
        ("Inscriptions", f"jusqu’au {view.closes}" if is_open else f"à partir du {view.opens}"),
        ("Organisation", view.organisation),
    )


def _period(details: Mapping[str, Any], start: str, end: str, zone: str) -> str:
    return french.period(
        datetime.fromisoformat(str(details[start])), datetime.fromisoformat(str(details[end])), zone
    )


def explanation_of(
    mail: letters.Mail, session: letters.Session | None, view: SessionView | None, *, enrolment_is_over: bool
) -> refusals.Explanation:
    """Why something was refused, with the dates of its session."""
    found = refusals.explanation(
        Reason(str(mail.details["reason"])),
        asked=_ASKED.get(mail.template, "enrolment"),
        session_format=session.format if session else None,
        enrolment_is_over=enrolment_is_over,
    )
    if view is None:
        return found
    dates = {"opens": view.opens, "closes": view.closes, "starts": view.starts}
    return refusals.Explanation(found.sentence.format_map(dates), found.advice.format_map(dates))


_ASKED = {letters.Template.WITHDRAWAL_REFUSED: "withdrawal", letters.Template.OFFER_REFUSED: "offer"}
