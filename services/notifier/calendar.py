"""The iCalendar part of a letter: an invitation, a publication (several dates, MOOC) or a cancellation.

Sources: RFC 5545 (format), RFC 5546 (methods), RFC 6047 (in a mail). The same session is sent to many, so
its components are built once and only what is an agent's own is put in: identifiers, numbers, the name.
"""

import functools
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

from icalendar import (
    Calendar,
    Event,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCalAddress,
)

from services.notifier import mime
from services.notifier.letters import Occasion, Session
from shared import french
from shared.events.vocabulary import Format

PRODUCT = "-//CNFPT//Parcours//FR"

_UID = "enrolment"
_OWN = re.compile(
    rb"^(UID:enrolment|SEQUENCE:0|DTSTAMP:19700101T000000Z|ATTENDEE:mailto:agent)", re.MULTILINE
)
"""What is an agent's own in a prepared calendar. Text from outside never begins a line: a long one goes on
behind a space."""


@dataclass(frozen=True, slots=True)
class Attendee:
    """Whose calendar it is. ``address`` is as it goes to the relay: its domain in IDNA form."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Own:
    """What of a calendar is one agent's own. ``stamp`` is when the letter was called for."""

    enrolment_id: str
    sequence: int
    stamp: datetime
    attendee: Attendee


@dataclass(frozen=True, slots=True)
class Part:
    """A ``text/calendar`` body and the method that its content type must repeat."""

    method: str
    body: bytes


class CalendarWriter:
    """Writes calendars; ``organiser_address`` is who invites. Keeps the last sessions prepared."""

    def __init__(self, organiser_address: str, *, keep: int = 500) -> None:
        self._organiser_address = organiser_address
        self._prepared: OrderedDict[tuple[object, ...], list[bytes]] = OrderedDict()
        self._keep = keep

    def invitation(self, session: Session, own: Own) -> Part:
        """For who has a seat: REQUEST, or PUBLISH for the MOOC and for what has several dates.

        All events of a REQUEST are one and the same (RFC 5546, 3.2.2), and Outlook reads only the first.
        """
        occasions = session.occasions
        published = session.format is Format.MOOC or len(occasions) > 1
        return self._part(session, occasions, "PUBLISH" if published else "REQUEST", own)

    def cancellation(self, session: Session, own: Own) -> Part:
        """Takes back what any :meth:`invitation` put in; its sequence must be higher than theirs.

        The letter about a dropped séance may not have come, or not been opened: it is taken out here too.
        """
        return self._part(session, [*session.occasions, *session.gone], "CANCEL", own)

    def removal(self, session: Session, gone: Sequence[Occasion], own: Own) -> Part:
        """Takes these out, which the session had before, and leaves the others."""
        return self._part(session, gone, "CANCEL", own)

    def _part(self, session: Session, occasions: Sequence[Occasion], method: str, own: Own) -> Part:
        lines = {
            b"U": b"UID:" + own.enrolment_id.encode(),
            b"S": b"SEQUENCE:%d" % own.sequence,
            b"D": b"DTSTAMP:" + own.stamp.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ").encode(),
            b"A": _attendee_line(own.attendee),
        }
        pieces = list(self._prepare(session, occasions, method))
        for index in range(1, len(pieces), 2):
            pieces[index] = lines[pieces[index][:1]]
        return Part(method, b"".join(pieces))

    def _prepare(self, session: Session, occasions: Sequence[Occasion], method: str) -> list[bytes]:
        """The calendar in pieces: every second one is to be replaced by the agent's own."""
        key = (session.session_id, session.version, method, *(one.number for one in occasions))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = _OWN.split(self._compose(session, occasions, method))
            if len(self._prepared) > self._keep:
                self._prepared.popitem(last=False)
        return prepared

    def _compose(self, session: Session, occasions: Sequence[Occasion], method: str) -> bytes:
        calendar = Calendar()
        calendar.add("prodid", PRODUCT)
        calendar.add("version", "2.0")
        calendar.add("method", method)
        zone = ZoneInfo(session.timezone)
        first = min(occasion.starts_at for occasion in occasions).astimezone(zone)
        last = max(occasion.ends_at for occasion in occasions).astimezone(zone)
        calendar.add_component(vtimezone(session.timezone, first.year, last.year))
        organiser = vCalAddress(f"mailto:{self._organiser_address}")
        organiser.params["CN"] = _quotable(french.organisation(session.organiser))
        for occasion in occasions:
            event = Event()
            event.add("uid", f"{_UID}-{occasion.number}" if occasion.number else _UID)
            event.add("sequence", 0)
            event.add("dtstamp", datetime(1970, 1, 1, tzinfo=UTC))
            event.add("dtstart", occasion.starts_at.astimezone(zone))
            event.add("dtend", occasion.ends_at.astimezone(zone))
            event.add("summary", mime.one_line(_summary(session, occasion)))
            event.add("organizer", organiser, encode=False)
            if session.venue is not None:
                event.add("location", mime.one_line(session.venue))
            if session.join_url is not None:
                event.add("url", session.join_url)
                if session.venue is None:
                    event.add("location", session.join_url)
            event.add("status", "CANCELLED" if method == "CANCEL" else "CONFIRMED")
            # The MOOC is followed at one's own pace: it must not make an agent look busy for weeks.
            event.add("transp", "TRANSPARENT" if session.format is Format.MOOC else "OPAQUE")
            if method != "PUBLISH":
                event.add("attendee", "mailto:agent", encode=False)
            calendar.add_component(event)
        return bytes(calendar.to_ical())


def _summary(session: Session, occasion: Occasion) -> str:
    return session.title if occasion.title is None else f"{session.title} : {occasion.title}"


def _attendee_line(attendee: Attendee) -> bytes:
    """The one line that every letter writes anew: by hand, in a fifth of the time that icalendar takes.

    A caret is escaped as RFC 6868 says.
    """
    name = _quotable(attendee.name).replace("^", "^^")
    address = (
        attendee.address if attendee.address.isascii() else quote(attendee.address, safe="@!$&'*+/=?^`{|}~")
    )
    line = f'ATTENDEE;CN="{name}";PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=FALSE:mailto:{address}'
    return _fold(line.encode(errors="replace"))


def _fold(line: bytes) -> bytes:
    """On lines of at most 75 octets, never cut inside a character (RFC 5545, 3.1)."""
    pieces: list[bytes] = []
    most = 75
    while len(line) > most:
        end = most
        while line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
        most = 74  # those that go on begin with a space
    return b"\r\n ".join([*pieces, line])


def _quotable(text: str) -> str:
    """A parameter value cannot hold a double quote at all (RFC 5545, 3.2)."""
    return mime.one_line(text).replace('"', "’")


@functools.lru_cache(maxsize=200)
def vtimezone(name: str, first_year: int, last_year: int) -> Timezone:
    """The zone's changes of clock in these years, one observance each.

    Written here because ``Timezone.from_tzid`` dates the change to summer time by the new offset, where
    RFC 5545 (3.6.5) asks for the local time before it.
    """
    component = Timezone()
    component.add("tzid", name)
    zone = ZoneInfo(name)
    start = datetime(first_year, 1, 1, tzinfo=UTC)
    end = datetime(last_year + 1, 1, 1, tzinfo=UTC)
    at_start = _offset(zone, start)
    component.add_component(_observance(zone, start.replace(tzinfo=None), start, at_start, at_start))
    day = start
    while day < end:
        following = day + timedelta(days=1)
        if _offset(zone, day) != _offset(zone, following):
            change = _change_between(zone, day, following)
            before = _offset(zone, change - timedelta(seconds=1))
            onset = (change + before).replace(tzinfo=None)
            component.add_component(_observance(zone, onset, change, before, _offset(zone, change)))
        day = following
    return component


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta(0)


def _change_between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second after the change of clock between two instants that are a day apart."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _observance(
    zone: ZoneInfo, onset: datetime, instant: datetime, before: timedelta, after: timedelta
) -> TimezoneStandard | TimezoneDaylight:
    local = instant.astimezone(zone)
    component = TimezoneDaylight() if local.dst() else TimezoneStandard()
    component.add("dtstart", onset)
    component.add("tzoffsetfrom", before)
    component.add("tzoffsetto", after)
    component.add("tzname", local.tzname() or "")
    return component
