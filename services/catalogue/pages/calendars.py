"""Sessions as iCalendar (RFC 5545).

Written line by line: a calendar of a thousand sessions is asked for every few hours by everyone who
subscribed, and the library takes half a second for it. It still makes the time zones.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from icalendar import Timezone

from services.catalogue.pages import wording
from services.catalogue.store.sessions import Listed
from shared import french
from shared.events.vocabulary import Format, Status

_FIRST, _LAST = date(2024, 1, 1), date(2038, 1, 1)
"""Between these the clock changes of a zone are told."""


def write(address: str, found: Sequence[Listed], name: str) -> bytes:
    """A calendar called ``name``; ``address`` is the site's, where each session has its page."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Parcours//Catalogue//FR",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"NAME:{_text(name)}",
        f"X-WR-CALNAME:{_text(name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT4H",
    ]
    for zone in sorted({one.session.plan.timezone for one in found if not _in_days(one)}):
        lines += _zone(zone)
    for one in found:
        lines += _entry(address, one)
    lines.append("END:VCALENDAR")
    return b"".join(_folded(line) for line in lines)


@functools.cache
def _zone(name: str) -> tuple[str, ...]:
    zone = Timezone.from_tzinfo(ZoneInfo(name), name, first_date=_FIRST, last_date=_LAST)
    text = zone.to_ical().decode().replace("\r\n ", "")
    return tuple(line for line in text.splitlines() if not line.startswith("COMMENT"))


def _entry(address: str, one: Listed) -> Iterator[str]:
    """The session as one entry; its stamps are its own, so that the same calendar is the same bytes."""
    session, plan = one.session, one.session.plan
    page = f"{address}/sessions/{session.session_id}"
    told = (
        one.presentation.summary,
        f"Organisation : {french.organiser(session.organiser)}.",
        f"Inscription {wording.until(plan)}.",
        page,
    )
    stamp = one.changed_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    yield "BEGIN:VEVENT"
    yield f"UID:{session.session_id}@parcours"
    yield f"SEQUENCE:{session.version}"
    yield f"DTSTAMP:{stamp}"
    yield f"LAST-MODIFIED:{stamp}"
    for name, moment in (("DTSTART", plan.starts_at), ("DTEND", plan.ends_at)):
        local = _local(moment, plan.timezone)
        if _in_days(one):
            yield f"{name};VALUE=DATE:{local:%Y%m%d}"
        else:
            yield f"{name};TZID={plan.timezone}:{local:%Y%m%dT%H%M%S}"
    yield f"SUMMARY:{_text(plan.title)}"
    yield f"LOCATION:{_text(wording.where(plan))}"
    yield f"URL:{page}"
    yield f"DESCRIPTION:{_text(chr(10).join(line for line in told if line))}"
    yield f"CATEGORIES:{_text(wording.FORMATS[session.format])}"
    yield f"STATUS:{'CANCELLED' if session.status is Status.CANCELLED else 'CONFIRMED'}"
    # Whoever subscribes has no seat, and a Mooc of four weeks takes nobody's days.
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _in_days(one: Listed) -> bool:
    """Whether it is told in days: the Mooc, from midnight to midnight."""
    plan = one.session.plan
    moments = (plan.starts_at, plan.ends_at)
    return one.session.format is Format.MOOC and all(
        _local(moment, plan.timezone).time() == datetime.min.time() for moment in moments
    )


def _local(moment: datetime, timezone: str) -> datetime:
    return moment.astimezone(ZoneInfo(timezone))


_SPECIAL = re.compile(r"[\\;,]")


def _text(value: str) -> str:
    """A value of type TEXT (3.3.11); no line break of it can end the line."""
    escaped = _SPECIAL.sub(r"\\\g<0>", value)
    return "\\n".join(escaped.splitlines())


def _folded(line: str) -> bytes:
    """The line in pieces of 75 octets at most, none of which ends inside a character (3.1)."""
    octets = line.encode()
    if len(octets) <= 75:
        return octets + b"\r\n"
    pieces = []
    start, room = 0, 75
    while start < len(octets):
        end = min(start + room, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, 74
    return b"\r\n ".join(pieces) + b"\r\n"
