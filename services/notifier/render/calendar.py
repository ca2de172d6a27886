"""The iCalendar part of a letter: invitation, publication or cancellation (RFC 5546, RFC 6047)."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.notifier.letters import (
    KINDS,
    CalendarAction,
    LetterContext,
    Mail,
    NumberedModule,
    NumberedSession,
    is_true,
    modules_after,
    modules_in,
)
from services.notifier.render import mime
from shared.events.vocabulary import Format
from shared.web import calendars, labels
from shared.web.calendars import CalendarEvent, Details, Person, sequence

PRODUCT = "-//CNFPT//Parcours//FR"


@dataclass(frozen=True, slots=True)
class Invitee:
    """``stamp`` is when the cause of the letter occurred. ``attendee`` has the address in SMTP's form."""

    enrolment_id: str
    sequence: int
    stamp: datetime
    attendee: Person


@dataclass(frozen=True, slots=True)
class CalendarPart:
    method: str
    body: bytes


class CalendarWriter:
    def __init__(self, organiser_address: str, *, keep: int = 500) -> None:
        self._organiser_address = organiser_address
        self._prepared: OrderedDict[tuple[object, ...], Details] = OrderedDict()
        self._keep = keep

    def of_letter(
        self, mail: Mail, context: LetterContext, attendee: Person, now: datetime
    ) -> list[CalendarPart]:
        kind, session = KINDS[mail.template], context.session
        if kind.calendar is None or session is None or mail.details.get("had_seat") is False:
            return []
        invitee = Invitee(
            str(mail.details.get("trainer") or mail.enrolment_id),
            sequence=sequence(mail.version, session.version),
            stamp=mail.called_for_at,
            attendee=attendee,
        )
        said = mail.details.get("said")
        why = None if said is None else mime.one_line(str(said))
        match kind.calendar:
            case CalendarAction.INVITE:
                return [self.invitation(session, invitee, context.trainers)]
            case CalendarAction.CANCEL if mail.details.get("attendance_kept"):
                to_come = modules_after(session, mail.called_for_at)
                return [self.removal(session, to_come, invitee, why)] if to_come else []
            case CalendarAction.CANCEL:
                return [self.cancellation(session, invitee, why)]
            case CalendarAction.REMOVE:
                return [self.removal(session, modules_in(mail.details), invitee)]
            case CalendarAction.REPLACE:
                has_seat = is_true(mail, context, now)
                parts = [self.invitation(session, invitee, context.trainers)] if has_seat else []
                return parts + self._removal_of_left(mail, context.other, invitee)

    def invitation(
        self, session: NumberedSession, invitee: Invitee, trainers: Sequence[str] = ()
    ) -> CalendarPart:
        """Return a REQUEST for one date, or a PUBLISH for a MOOC or several dates.

        A REQUEST may hold only one event and its recurrences (RFC 5546, 3.2.2), and Outlook reads only the
        first.
        """
        numbered_modules = session.numbered_modules
        published = session.format is Format.MOOC or len(numbered_modules) > 1
        method = "PUBLISH" if published else "REQUEST"
        directions = None if session.directions is None else mime.one_line(session.directions)
        description = calendars.about([mime.one_line(name) for name in trainers], directions)
        return self._part(session, numbered_modules, method, invitee, description)

    def cancellation(
        self, session: NumberedSession, invitee: Invitee, why: str | None = None
    ) -> CalendarPart:
        """Cancel any :meth:`invitation`, by a higher sequence number.

        It includes modules cancelled earlier, because the agent may not have opened the letters about them.
        """
        return self._part(session, [*session.numbered_modules, *session.gone], "CANCEL", invitee, why)

    def removal(
        self,
        session: NumberedSession,
        gone: Sequence[NumberedModule],
        invitee: Invitee,
        why: str | None = None,
    ) -> CalendarPart:
        return self._part(session, gone, "CANCEL", invitee, why)

    def _removal_of_left(
        self, mail: Mail, left: NumberedSession | None, invitee: Invitee
    ) -> list[CalendarPart]:
        if left is None:
            return []
        decided = sequence(int(str(mail.details["left_version"])), left.version)
        old = replace(invitee, enrolment_id=str(mail.details["left_enrolment"]), sequence=decided)
        return [self.cancellation(left, old)]

    def _part(
        self,
        session: NumberedSession,
        numbered_modules: Sequence[NumberedModule],
        method: str,
        invitee: Invitee,
        description: str | None = None,
    ) -> CalendarPart:
        # A PUBLISH has no attendees (RFC 5546, 3.2.1).
        name, address = mime.one_line(invitee.attendee.name), invitee.attendee.address
        attendee = None if method == "PUBLISH" else Person(name, address)
        events = [
            CalendarEvent(
                calendars.uid(invitee.enrolment_id, module.number),
                invitee.sequence,
                invitee.stamp,
                self._details(session, module, description, cancelled=method == "CANCEL"),
                attendee,
            )
            for module in numbered_modules
        ]
        return CalendarPart(method, calendars.write(events, product=PRODUCT, method=method))

    def _details(
        self,
        session: NumberedSession,
        module: NumberedModule,
        description: str | None,
        *,
        cancelled: bool,
    ) -> Details:
        key = (session.session_id, session.version, module, description, cancelled)
        details = self._prepared.get(key)
        if details is None:
            details = self._prepared[key] = self._describe(session, module, description, cancelled=cancelled)
            if len(self._prepared) > self._keep:
                self._prepared.popitem(last=False)
        return details

    def _describe(
        self,
        session: NumberedSession,
        module: NumberedModule,
        description: str | None,
        *,
        cancelled: bool,
    ) -> Details:
        # Readers of a cancellation have no seat.
        link = None if cancelled else session.join_url
        place = session.venue or link or (labels.ONLINE if session.join_url else None)
        title = session.title if module.title is None else f"{session.title} : {module.title}"
        return Details(
            format=session.format,
            starts_at=module.starts_at,
            ends_at=module.ends_at,
            timezone=session.timezone,
            summary=mime.one_line(title),
            location=None if place is None else mime.one_line(place),
            url=link,
            description=description,
            cancelled=cancelled,
            busy=True,
            organiser=Person(labels.organisation(session.organiser), self._organiser_address),
        )
