"""iCalendar (RFC 5545) for feeds, letters and the agent's page, written line by line (ADR 0019)."""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.events.vocabulary import Format
from shared.web.french import listed


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    address: str


@dataclass(frozen=True)
class Details:
    """The part that is the same for all attendees. Its lines are written once.

    ``busy``: the reader has a seat, so the time is taken; never for a MOOC, which agents follow at their own
    pace. ``tentative``: the reader has no seat yet. A field that is None is not written.
    """

    format: Format
    starts_at: datetime
    ends_at: datetime
    timezone: str
    summary: str
    location: str | None = None
    url: str | None = None
    description: str | None = None
    category: str | None = None
    cancelled: bool = False
    tentative: bool = False
    busy: bool = False
    organiser: Person | None = None

    @functools.cached_property
    def in_days(self) -> bool:
        """The event lasts whole days: a MOOC, or a séance of a MOOC."""
        return self.format is Format.MOOC and self.starts.time() == self.ends.time() == time.min

    @functools.cached_property
    def starts(self) -> datetime:
        return self.starts_at.astimezone(ZoneInfo(self.timezone))

    @functools.cached_property
    def ends(self) -> datetime:
        return self.ends_at.astimezone(ZoneInfo(self.timezone))

    @functools.cached_property
    def lines(self) -> bytes:
        form = ";VALUE=DATE:%Y%m%d" if self.in_days else f";TZID={self.timezone}:%Y%m%dT%H%M%S"
        lines = [
            f"DTSTART{self.starts.strftime(form)}",
            f"DTEND{self.ends.strftime(form)}",
            f"SUMMARY:{_text(self.summary)}",
            f"STATUS:{'CANCELLED' if self.cancelled else 'TENTATIVE' if self.tentative else 'CONFIRMED'}",
            f"TRANSP:{'OPAQUE' if self.busy and self.format is not Format.MOOC else 'TRANSPARENT'}",
        ]
        if self.location is not None:
            lines.append(f"LOCATION:{_text(self.location)}")
        if self.url is not None:
            lines.append(f"URL:{self.url}")
        if self.description is not None:
            lines.append(f"DESCRIPTION:{_text(self.description)}")
        if self.category is not None:
            lines.append(f"CATEGORIES:{_text(self.category)}")
        if self.organiser is not None:
            lines.append(f"ORGANIZER;{_person(self.organiser)}")
        return _folded(*lines)


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """``stamp`` is when this state was written (DTSTAMP)."""

    uid: str
    sequence: int
    stamp: datetime
    details: Details
    attendee: Person | None = None


def uid(enrolment_id: UUID | str, number: int) -> str:
    """``number`` is that of the séance, 0 for the session itself."""
    return f"{enrolment_id}-{number}" if number else str(enrolment_id)


def sequence(enrolment_version: int, session_version: int) -> int:
    """The last decision has the highest number (RFC 5546, 2.1.4).

    The enrolment's version weighs more: a late confirmation about a changed session must not outdo the
    cancellation that was decided after it.
    """
    return min(enrolment_version * 10_000 + min(session_version, 9_999), 2**31 - 1)


def speaking(names: Sequence[str]) -> str | None:
    return f"Intervention\u00a0: {listed(names)}" if names else None


def about(names: Sequence[str], directions: str | None) -> str | None:
    access = None if directions is None else f"Accès\u00a0: {directions}"
    return "\n".join(part for part in (speaking(names), access) if part) or None


def write(
    events: Sequence[CalendarEvent],
    *,
    product: str,
    method: str,
    name: str | None = None,
    refresh: str | None = None,
) -> bytes:
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{product}", "CALSCALE:GREGORIAN", f"METHOD:{method}"]
    if name is not None:
        head += [f"NAME:{_text(name)}", f"X-WR-CALNAME:{_text(name)}"]
    if refresh is not None:
        head.append(f"REFRESH-INTERVAL;VALUE=DURATION:{refresh}")
    zones: dict[str, list[Details]] = {}
    for event in events:
        if not event.details.in_days:
            zones.setdefault(event.details.timezone, []).append(event.details)
    pieces = [_folded(*head)]
    for zone, timed in sorted(zones.items()):
        first = min(details.starts.year for details in timed)
        pieces.append(timezone(zone, first, max(details.ends.year for details in timed)))
    pieces.extend(_event(event) for event in events)
    return b"".join((*pieces, b"END:VCALENDAR\r\n"))


def _event(event: CalendarEvent) -> bytes:
    stamp = f"{event.stamp.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    own = [
        "BEGIN:VEVENT",
        f"UID:{event.uid}",
        f"SEQUENCE:{event.sequence}",
        f"DTSTAMP:{stamp}",
        f"LAST-MODIFIED:{stamp}",
    ]
    if event.attendee is not None:
        # RSVP=FALSE: an agent with a seat need not answer.
        own.append(f"ATTENDEE;PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=FALSE;{_person(event.attendee)}")
    return _folded(*own) + event.details.lines + b"END:VEVENT\r\n"


def _person(person: Person) -> str:
    """RFC 6868 escapes double quotes and carets."""
    name = " ".join(person.name.splitlines()).replace('"', "’").replace("^", "^^")
    address = person.address
    # As a URI (RFC 6068).
    uri = address if address.isascii() else quote(address, safe="@!$&'*+/=?^`{|}~")
    return f'CN="{name}":mailto:{uri}'


# ------------------------------------------------------------------------------------------- time zones


@functools.lru_cache(maxsize=200)
def timezone(name: str, first_year: int, last_year: int) -> bytes:
    """A change of clock is dated by the local time before it (3.6.5)."""
    zone = ZoneInfo(name)
    day = datetime(first_year, 1, 1, tzinfo=zone).astimezone(UTC)
    end = datetime(last_year + 1, 1, 1, tzinfo=zone).astimezone(UTC)
    lines = ["BEGIN:VTIMEZONE", f"TZID:{name}", *_observance(zone, day, day)]
    while day < end:
        following = day + timedelta(days=1)
        if _offset(zone, day) != _offset(zone, following):
            change = _change_between(zone, day, following)
            lines += _observance(zone, change, change - timedelta(seconds=1))
        day = following
    return _folded(*lines, "END:VTIMEZONE")


def _observance(zone: ZoneInfo, instant: datetime, before: datetime) -> Iterator[str]:
    after = instant.astimezone(zone)
    kind = "DAYLIGHT" if after.dst() else "STANDARD"
    yield f"BEGIN:{kind}"
    yield f"DTSTART:{instant + _offset(zone, before):%Y%m%dT%H%M%S}"
    yield f"TZOFFSETFROM:{before.astimezone(zone):%z}"
    yield f"TZOFFSETTO:{after:%z}"
    yield f"TZNAME:{after:%Z}"
    yield f"END:{kind}"


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _change_between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


# ------------------------------------------------------------------------------------------------ lines

_SPECIAL = re.compile(r"[\\;,]")


def _text(value: str) -> str:
    """Line breaks are escaped (3.3.11)."""
    return "\\n".join(_SPECIAL.sub(r"\\\g<0>", value).splitlines())


def _folded(*lines: str) -> bytes:
    """A piece has at most 75 octets, and never ends inside a character (3.1)."""
    return b"".join(_fold(line.encode(errors="replace")) for line in lines)


def _fold(line: bytes) -> bytes:
    pieces = []
    most = 75
    while len(line) > most:
        end = most
        while line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
        most = 74  # a continued line begins with a space
    return b"\r\n ".join((*pieces, line)) + b"\r\n"
