from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.notifier import letters
from services.notifier.render.typography import quoted
from shared.events.catalogue import Audience
from shared.events.enrolment import AudiencePart, EndedBecause, NominationOutcome
from shared.events.reasons import Explanation, Reason, explanation
from shared.events.vocabulary import Format, WaitingList
from shared.events.zones import PARIS
from shared.places import map_link
from shared.web import french, labels
from shared.web.french import typeset


@dataclass(frozen=True, slots=True)
class SessionView:
    """Dates are in the session's time zone, in French.

    ``when`` and ``short_when`` (without the year) name the zone where it could be mistaken: online, and
    overseas. The other dates stand beside one of them.
    """

    session_id: UUID
    title: str
    named: str
    """The title without subtitle, and the town, for a subject."""
    day: str
    """The first day, for a subject. Empty for a MOOC, which is open for weeks."""
    tile: tuple[str, str, str] | None
    """Day, month and weekday of the start. None for a MOOC."""
    when: str
    short_when: str
    has_several_dates: bool
    modules: tuple[tuple[str, str], ...]
    opens: str
    closes: str
    starts: str
    timezone: str
    venue: str | None
    map_link: str | None
    directions: str | None
    join_url: str | None
    evaluation_url: str | None
    organiser: str
    organisation: str
    is_mooc: bool
    is_webinar: bool
    is_online: bool
    is_limited: bool
    waiting_list: WaitingList
    prerequisite: str
    has_two_steps: bool
    """First the employer approves, then the organiser selects."""
    is_public: bool

    @classmethod
    def of(cls, session: letters.NumberedSession) -> "SessionView":
        zone = session.timezone
        town = french.town(session.venue) if session.venue else ""
        name = quoted(typeset(french.short_title(session.title, town)))
        is_online = bool(session.join_url) or session.format in (Format.MOOC, Format.WEBINAR)
        zoned = is_online or zone != PARIS
        return cls(
            session_id=session.session_id,
            title=typeset(session.title),
            named=f"{name}, {town}" if town else name,
            day="" if session.format is Format.MOOC else french.day_and_month(session.starts_at, zone),
            tile=None if session.format is Format.MOOC else french.tile(session.starts_at, zone),
            when=french.period(session.starts_at, session.ends_at, zone, zoned=zoned),
            short_when=french.period(session.starts_at, session.ends_at, zone, zoned=zoned, year=False),
            has_several_dates=len(session.modules) > 1 or _lasts_days(session),
            modules=tuple(
                (typeset(module.title), _short_period(module.starts_at, module.ends_at, zone))
                for module in session.modules
            ),
            opens=french.beginning(session.enrolment_opens_at, zone, zoned=False),
            closes=french.deadline(session.enrolment_closes_at, zone, zoned=False),
            starts=french.beginning(session.starts_at, zone, zoned=False),
            timezone=zone,
            venue=session.venue,
            map_link=map_link(session.venue, session.organiser),
            directions=session.directions,
            join_url=session.join_url,
            evaluation_url=session.evaluation_url,
            organiser=labels.organiser(session.organiser),
            organisation=labels.organisation(session.organiser),
            is_mooc=session.format is Format.MOOC,
            is_webinar=session.format is Format.WEBINAR,
            is_online=is_online,
            is_limited=session.capacity is not None,
            waiting_list=session.waiting_list,
            prerequisite=(
                f"la formation {quoted(session.prerequisite.title)}"
                if session.prerequisite is not None
                else "une autre formation"
            ),
            has_two_steps=session.approval.by_employer and session.approval.by_selection,
            is_public=not session.audience.sirets,
        )


@dataclass(frozen=True, slots=True)
class ListedView:
    session: SessionView
    url: str | None
    says: letters.DetailRow
    capacity: int | None
    is_closed: bool
    by_employer: bool
    by_selection: bool

    @property
    def is_to_decide(self) -> bool:
        return bool(self.says.get("to_rank") or self.says.get("minimum_missed"))

    @property
    def is_soon(self) -> bool:
        return bool(self.says.get("soon")) and not self.is_to_decide


def _short_period(starts_at: datetime, ends_at: datetime, zone: str) -> str:
    return french.period(starts_at, ends_at, zone, zoned=False, year=False)


def _lasts_days(session: letters.NumberedSession) -> bool:
    zone = ZoneInfo(session.timezone)
    last = session.ends_at - timedelta(seconds=1)  # exclusive: midnight belongs to the day before
    return session.starts_at.astimezone(zone).date() != last.astimezone(zone).date()


class ChangeKind(IntEnum):
    DATES = 1
    MODULES = 2
    PLACE = 3
    LINK = 4


@dataclass(frozen=True, slots=True)
class ChangeView:
    """``module`` is the title of a new module or one with other dates. ``before`` is None if unknown."""

    kind: ChangeKind
    now: str | None
    before: str | None = None
    module: str | None = None
    is_new: bool = False


def changes_of(details: letters.LetterDetails, session: letters.NumberedSession) -> list[ChangeView]:
    changes: list[ChangeView] = []
    if "starts_before" in details:
        zone_before = str(details["timezone_before"])
        zoned = zone_before != session.timezone
        now = french.period(session.starts_at, session.ends_at, session.timezone, zoned=zoned)
        old_dates = _period(details, "starts_before", "ends_before", zone_before, zoned=zoned)
        changes.append(ChangeView(ChangeKind.DATES, now, old_dates))
    rows = {row["number"]: row for row in letters.rows_of(details, "modules")}
    for module in session.numbered_modules:
        if (row := rows.get(module.number)) is not None:
            now = french.period(module.starts_at, module.ends_at, session.timezone, zoned=False)
            is_new = "starts_at" not in row
            before = None if is_new else _period(row, "starts_at", "ends_at", session.timezone)
            title = module.title or session.title
            changes.append(ChangeView(ChangeKind.MODULES, now, before, title, is_new))
    if "venue_before" in details:
        old = details["venue_before"]
        changes.append(ChangeView(ChangeKind.PLACE, session.venue, str(old) if old else None))
    if "link_changed" in details:
        changes.append(ChangeView(ChangeKind.LINK, session.join_url))
    return [change for change in changes if change.before is None or change.now != change.before]


def gone_from(details: letters.LetterDetails, timezone: str, name: str = "modules") -> list[tuple[str, str]]:
    return [
        (
            typeset(str(module.title)),
            _short_period(module.starts_at, module.ends_at, timezone),
        )
        for module in letters.modules_in(details, name)
    ]


def trainees_by_outcome(
    details: letters.LetterDetails, people: Mapping[UUID, str]
) -> dict[NominationOutcome, list[str]]:
    found: dict[NominationOutcome, list[str]] = {outcome: [] for outcome in NominationOutcome}
    for row in letters.rows_of(details, "trainees"):
        name = people.get(UUID(str(row["enrolment"])))
        if name is not None:
            why = f" ({labels.REFUSALS[str(row['reason'])]})" if "reason" in row else ""
            found[NominationOutcome(str(row["outcome"]))].append(f"{name}{why}")
    return found


@dataclass(frozen=True, slots=True)
class ItemView:
    kind: letters.NewsKind
    title: str
    summary: str | None
    url: str
    session: SessionView | None
    is_open: bool


def _period(details: Mapping[str, Any], start: str, end: str, zone: str, *, zoned: bool = False) -> str:
    first, last = (datetime.fromisoformat(str(details[name])) for name in (start, end))
    return french.period(first, last, zone, zoned=zoned)


def explanation_of(
    mail: letters.Mail,
    session: letters.NumberedSession | None,
    view: SessionView | None,
    *,
    enrolment_is_over: bool,
) -> Explanation:
    requested = _REQUESTED.get(mail.template, "enrolment")
    if requested == "swap" and session is not None and mail.session_id == session.session_id:
        requested = "withdrawal"  # it was too late to leave the session, whatever the other session had
    found = explanation(
        Reason(str(mail.details["reason"])),
        requested=requested,
        session_format=session.format if session else None,
        enrolment_is_over=enrolment_is_over,
        undecided=mail.details.get("because") == EndedBecause.SILENCE,
    )
    outside = mail.details.get("outside")
    if session is not None and isinstance(outside, Sequence) and outside:
        found = replace(found, sentence=_of_audience(session.audience, str(outside[0])))
    if view is None:
        return found
    dates = {
        "opens": view.opens,
        "closes": view.closes,
        "starts": view.starts,
        "prerequisite": view.prerequisite,
    }
    return Explanation(found.sentence.format_map(dates), found.advice.format_map(dates))


def _of_audience(audience: Audience, part: str) -> str:
    """Return the limit that excludes the reader."""
    match part:
        case AudiencePart.FUNCTION:
            functions = ", ".join(labels.AUDIENCES[function] for function in audience.functions)
            return f"Cette session s’adresse à d’autres fonctions : {functions}."
        case AudiencePart.EMPLOYER:
            return "Cette session est réservée aux agentes et agents d’une autre collectivité."
        case _:
            delegations = ", ".join(labels.organiser(code) for code in audience.delegations)
            return f"Cette session est réservée aux territoires suivants : {delegations}."


_REQUESTED = {
    letters.LetterType.WITHDRAWAL_REFUSED: "withdrawal",
    letters.LetterType.OFFER_REFUSED: "offer",
    letters.LetterType.MOVE_REFUSED: "swap",
}
