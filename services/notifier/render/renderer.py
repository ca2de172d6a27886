"""A letter as a mail: text, HTML and calendar, in French, as bytes ready for the relay."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.notifier import letters
from services.notifier.letters.bounces import ReturnPath
from services.notifier.letters.timing import HOME
from services.notifier.render import interests, mime
from services.notifier.render.calendar import CalendarPart, CalendarWriter, Invitee
from services.notifier.render.typography import quoted, squeeze, typeset
from services.notifier.render.views import (
    ItemView,
    ListedView,
    SessionView,
    changes_of,
    explanation_of,
    gone_from,
    trainees_by_outcome,
)
from services.notifier.render.writing import THEMES, headline_of, templates_of
from shared import clock
from shared.events.vocabulary import Status
from shared.events.zones import zone_of
from shared.references import reference_of
from shared.web import french, labels
from shared.web.calendars import Person, sequence
from shared.web.links import ENROLMENTS_FOR, Links, Purpose
from shared.web.refusals import Explanation

CERTIFICATE_FOR = timedelta(days=2 * 365)
"""How long the link to a certificate opens it."""


SUBSCRIBER_FOR = timedelta(days=365)
"""How long the links to preferences and out of a subscription work."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who letters come from, whom to write to, and where the public finds sessions.

    ``contacts``: whom to write to about the sessions of an organiser, where that is somebody else.
    """

    name: str
    address: str
    contact: str
    catalogue: str = ""
    contacts: Mapping[str, str] = field(default_factory=dict)

    def contact_of(self, session: letters.NumberedSession | None) -> str:
        """Whom to write to about a session; None: about none."""
        return self.contact if session is None else self.contacts.get(session.organiser, self.contact)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail for the relay: the envelope's two addresses and the message with CRLF line ends.

    A recipient that is not ASCII needs a relay that offers SMTPUTF8.
    """

    sender: str
    recipient: str
    content: bytes


class Renderer:
    """Writes mails. Keeps the views of the last sessions: many mails are about the same one.

    ``links`` signs; without it, letters send their reader to the portal. ``return_path`` is where mails come
    back to, each to an address of its own; without it, to the sender's.
    """

    def __init__(
        self,
        sender: Sender,
        links: Links | None = None,
        *,
        keep: int = 500,
        now: Callable[[], datetime] = clock.now,
        return_path: ReturnPath | None = None,
    ) -> None:
        self._return_path = return_path
        self._sender = sender
        self._now = now
        self._links = links
        self._from_address = mime.ascii_address(sender.address)
        self._from = mime.mailbox(mime.Mailbox(sender.name, self._from_address))
        self._calendar = CalendarWriter(self._from_address, keep=keep)
        self._views: OrderedDict[tuple[Any, int], SessionView] = OrderedDict()
        self._keep = keep

    def render(self, mail: letters.Mail, context: letters.LetterContext) -> Outgoing:
        """The mail, ready to send. Raises :class:`mime.UnsendableAddress`."""
        kind = letters.KINDS[mail.template]
        address = mime.wire_address(mail.address)
        name = _name(mail)
        variables = self._variables(mail, context)
        text, html = templates_of(mail.template)
        calendars = self._calendars(kind, mail, context, Person(name, address))
        headers = [
            ("From", self._from),
            ("To", mime.mailbox(mime.Mailbox(name, address))),
            ("Subject", mime.unstructured(variables["subject"])),
            ("Date", mime.date(self._now())),
            ("Message-ID", mail.message_id),
            ("Auto-Submitted", "auto-generated"),
            ("Content-Language", "fr"),
        ]
        if variables["contact"] != self._sender.address:
            headers.insert(2, ("Reply-To", f"<{self._reply_to(variables['contact'])}>"))
        if kind.subscribed:
            headers += self._ways_out(mail)
        content = mime.message(
            headers,
            text=squeeze(text.render(variables)),
            html=html.render(variables),
            calendars=calendars,
            boundary=f"=_{mail.mail_id.hex}",
        )
        path = self._return_path
        return Outgoing(path.of(mail.mail_id) if path else self._from_address, address, content)

    def text(self, mail: letters.Mail, context: letters.LetterContext) -> str:
        """The letter as text alone, to be shown."""
        return squeeze(templates_of(mail.template)[0].render(self._variables(mail, context)))

    def subject(self, mail: letters.Mail, context: letters.LetterContext) -> str:
        """What the letter is about, to be shown."""
        return str(self._variables(mail, context)["subject"])

    def page(self, mail: letters.Mail, context: letters.LetterContext) -> str:
        """The letter as HTML alone, to be shown."""
        return templates_of(mail.template)[1].render(self._variables(mail, context))

    def _variables(self, mail: letters.Mail, context: letters.LetterContext) -> dict[str, Any]:
        """What the templates may name."""
        session, details, kind = context.session, mail.details, letters.KINDS[mail.template]
        view = self._view(session) if session is not None else None
        variables: dict[str, Any] = {
            "label": labels.LETTERS[mail.template],
            "name": _name(mail),
            "others": [self._view(other) for other in context.alternatives]
            if letters.suggests_others(mail)
            else [],
            "session": view,
            "details": details,
            "show_access": kind.access,
            "trainers": _trainers(context),
            "standing": context.enrolment.standing if context.enrolment is not None else None,
            "reference": reference_of(_subject_of(mail)),
            "advisor": details.get("advisor"),
            "catalogue": self._sender.catalogue,
            "contact": str(details.get("advisor_address") or self._sender.contact_of(session)),
            "themes": THEMES,
            "tone": kind.tone,
            "link": self._link(kind.link, mail, session),
            "enrolments": self._enrolments(mail),
            "called_for": french.moment(_to_the_minute(mail.called_for_at), _zone(view)),
            **self._phase(mail, session),
        }
        variables |= self._variables_of_some(mail, context, view)
        if "until" in details:
            until = datetime.fromisoformat(str(details["until"]))
            variables["until"] = french.moment(_to_the_minute(until), _zone(view))
        if "reason" in details:
            variables["explanation"] = self._explanation(mail, context, variables)
        headline, title = headline_of(mail.template, variables), _title(variables)
        subject = f"{headline} : {quoted(title)}" if title else headline
        return variables | {"headline": headline, "subject": subject}

    def _explanation(
        self, mail: letters.Mail, context: letters.LetterContext, variables: Mapping[str, Any]
    ) -> Explanation:
        """Why something was refused: a move by the other session, unless it was too late to leave."""
        session, is_over = context.session, bool(variables["enrolment_is_over"])
        if mail.template is letters.LetterType.MOVE_REFUSED and session is not None:
            too_late = mail.called_for_at >= session.withdrawal_ends_at
            session, is_over = (session if too_late else context.other), False
        view = self._view(session) if session is not None else None
        return explanation_of(mail, session, view, enrolment_is_over=is_over)

    def _variables_of_some(
        self, mail: letters.Mail, context: letters.LetterContext, view: SessionView | None
    ) -> dict[str, Any]:
        """What the templates of some letters may name beside."""
        session, details = context.session, mail.details
        match mail.template:
            case letters.LetterType.NEWS:
                return {
                    "items": [self._item(item) for item in context.news],
                    "links": self._subscriber_links(mail),
                }
            case letters.LetterType.CONFIRM_SUBSCRIPTION:
                chosen, until = _texts(details["interests"]), mail.called_for_at + letters.CONFIRM_FOR
                return {
                    "interests": _texts(details.get("titles")) or interests.titles(chosen),
                    "until": french.moment(_to_the_minute(until), _zone(view)),
                }
            case (
                letters.LetterType.MINIMUM_MISSED
                | letters.LetterType.SELECTION_DUE
                | letters.LetterType.MAILS_RETURNED
                | letters.LetterType.DIGEST
            ):
                return self._to_organisers(mail, context)
            case letters.LetterType.BESPOKE_RECEIVED:
                return self._of_bespoke_request(mail)
            case letters.LetterType.CERTIFICATE:
                evaluates = (
                    session is not None
                    and session.evaluation_url is not None
                    and not context.evaluation_asked
                )
                return {"evaluates": evaluates}
            case letters.LetterType.SEAT_OFFERED:
                return {"hold_until": french.deadline(_hold_until(mail), _zone(view))}
            case letters.LetterType.MOVED:
                return self._after_move(mail, context)
            case letters.LetterType.MOVE_REFUSED:
                return {"other": self._view(context.other) if context.other is not None else None}
            case letters.LetterType.NOMINATION_ANSWERED:
                return {
                    "trainees": trainees_by_outcome(details, context.people),
                    "replaced": [
                        name
                        for enrolment_id in _texts(details["replaced"])
                        if (name := context.people.get(UUID(enrolment_id)))
                    ],
                }
            case (
                letters.LetterType.SESSION_CHANGED
                | letters.LetterType.SESSION_CHANGED_WAITING
                | letters.LetterType.TRAINER_CHANGED
            ) if session:
                gone = gone_from(details, session.timezone, "gone")
                answer = self._answer(mail, context, session)
                return {"changes": changes_of(details, session), "gone": gone, "answer": answer}
            case letters.LetterType.MODULE_CANCELLED if session is not None:
                return {"gone": gone_from(details, session.timezone)}
            case _:
                return {}

    def _of_bespoke_request(self, mail: letters.Mail) -> dict[str, Any]:
        """What a letter to an officer says of what they requested, by the clocks of who will answer."""
        details = mail.details
        delegation = str(details["delegation"])
        zone = zone_of(delegation)
        wished = {
            name: french.local_day(datetime.fromisoformat(str(details[name])), zone)
            if details[name]
            else None
            for name in ("wished_from", "wished_until")
        }
        return {
            "delegation": labels.organiser(delegation),
            "theme": interests.title(letters.Interest(letters.InterestKind.THEME, str(details["theme"]))),
            "received": french.moment(_to_the_minute(mail.called_for_at), zone),
            "contact": self._sender.contacts.get(delegation, self._sender.contact),
            **wished,
        }

    def _to_organisers(self, mail: letters.Mail, context: letters.LetterContext) -> dict[str, Any]:
        """What a letter to organisers says: sessions as they are now, and where all of it is managed."""
        page = f"{self._sender.catalogue}/gestion" if self._sender.catalogue else None
        rows, ids = letters.rows_of(mail.details, "sessions"), letters.sessions_listed(mail)
        listed = [
            ListedView(
                self._view(session),
                page and f"{page}/sessions/{session_id}",
                row,
                session.capacity,
                session.enrolment_closes_at <= self._now(),
                session.approval.by_employer,
                session.approval.by_selection,
            )
            for row, session_id in zip(rows, ids, strict=True)
            if (session := context.listed.get(session_id)) is not None
        ]
        (about,) = ids if len(ids) == 1 else (mail.session_id,)
        return {
            "listed": listed,
            "management": f"{page}/sessions/{about}" if page and about else page,
            # Not the delegation's own address: that is where the letter arrives.
            "contact": self._sender.contact,
            "links": self._subscriber_links(mail),
        }

    def _after_move(self, mail: letters.Mail, context: letters.LetterContext) -> dict[str, Any]:
        """What a letter about a move says: of the session that was left alone, where the new seat is gone."""
        left = self._view(context.other) if context.other is not None else None
        if letters.is_true(mail, context, self._now()):
            return {"left": left, "has_seat": True}
        alone = {
            "show_access": False,
            "trainers": None,
            "accommodates": False,
            "withdrawable": False,
            "tone": letters.Tone.PLAIN,
        }
        return {"left": left, "has_seat": False, "session": left, **alone}

    def _phase(
        self, mail: letters.Mail, session: letters.NumberedSession | None
    ) -> dict[str, bool | int | None]:
        """What can be done now and what cannot any more: a letter may leave days after its event."""
        now, kind = self._now(), letters.KINDS[mail.template]
        begun = session is not None and now >= session.starts_at
        over = session is not None and now >= session.ends_at
        return {
            "days_before": _days_before(session, now) if session is not None else None,
            "begun": begun,
            "over": over,
            "includes_joining": session is not None and letters.includes_joining(mail, session, now),
            "list_is_closed": session is not None and now >= session.enrolment_closes_at,
            "enrolment_is_over": session is not None
            and (now >= session.enrolment_closes_at or session.status is Status.CANCELLED),
            # In confirmations too: some agents enrol too late for joining instructions.
            "accommodates": mail.template in _ACCOMMODATES and not over,
            "withdrawable": kind.link is letters.Link.WITHDRAW
            and kind.valid_while is letters.Standing.ENROLLED
            and session is not None
            and now < session.withdrawal_ends_at,
        }

    def _reply_to(self, address: str) -> str:
        """The address in a form that every relay takes; our own where it has none."""
        try:
            return mime.ascii_address(address)
        except mime.UnsendableAddress:
            return mime.ascii_address(self._sender.contact)

    def _link(
        self, link: letters.Link | None, mail: letters.Mail, session: letters.NumberedSession | None
    ) -> str | None:
        """The address of the one thing that a letter lets its reader do."""
        if self._links is None or link is None:
            return None
        match link:
            case letters.Link.WITHDRAW:
                if session is None:
                    return None
                return self._to_agent(Purpose.WITHDRAW, mail, until=session.ends_at)
            case letters.Link.OFFER:
                return self._to_agent(Purpose.OFFER, mail, mail.version, until=_hold_until(mail))
            case letters.Link.CERTIFICATE:
                until = mail.called_for_at + CERTIFICATE_FOR
                return self._to_agent(Purpose.CERTIFICATE, mail, until=until)
            case letters.Link.CONFIRM:
                until = mail.called_for_at + letters.CONFIRM_FOR
                return self._links.url(Purpose.CONFIRM, str(mail.details["request"]), until=until)
            case letters.Link.ROSTER:
                if session is None:
                    return None
                trainer_id = letters.trainer_of(mail)
                return self._links.to_trainer(trainer_id, session.session_id, session.ends_at)
            case letters.Link.CONFIRM_ADDRESS:
                until = datetime.fromisoformat(str(mail.details["until"]))
                return self._links.confirm_address(str(mail.details["request"]), mail.address, until)

    def _answer(
        self, mail: letters.Mail, context: letters.LetterContext, session: letters.NumberedSession
    ) -> str | None:
        """Where its reader answers the offer that stands as the letter is written; None where none does."""
        enrolment = context.enrolment
        if enrolment is None or enrolment.standing is not letters.Standing.OFFERED:
            return None
        return self._to_agent(Purpose.OFFER, mail, enrolment.version, until=session.starts_at)

    def _enrolments(self, mail: letters.Mail) -> str | None:
        """The address of all enrolments of a letter's reader; None where it is about none."""
        return self._to_agent(Purpose.ENROLMENTS, mail, until=self._now() + ENROLMENTS_FOR)

    def _to_agent(
        self, purpose: Purpose, mail: letters.Mail, number: int | None = None, *, until: datetime
    ) -> str | None:
        """The address of a page about the letter's enrolment, for its reader; None where it is about none."""
        if self._links is None or mail.enrolment_id is None:
            return None
        mark = self._links.mark(mail.address)
        return self._links.to_agent(purpose, mail.enrolment_id, mark, number or 0, until=until)

    def _item(self, item: letters.NewsItem) -> ItemView:
        event = item.event
        view = self._view(event) if event is not None else None
        return ItemView(
            kind=item.kind,
            title=view.title if view is not None else typeset(item.title),
            summary=item.summary,
            url=item.url or f"{self._sender.catalogue}/sessions/{item.announced}",
            session=view,
            is_open=event is not None and self._now() >= event.enrolment_opens_at,
        )

    def _subscriber_links(self, mail: letters.Mail) -> Mapping[str, str] | None:
        if self._links is None:
            return None
        until = self._now() + SUBSCRIBER_FOR
        if mail.template is letters.LetterType.DIGEST:
            ended = UUID(str(mail.details["digest"]))
            return {"unsubscribe": self._links.end_digest(ended, mail.address, until)}
        if "subscriber" not in mail.details:
            return None
        subscriber = str(mail.details["subscriber"])
        return {
            "preferences": self._links.preferences(subscriber, mail.address, until),
            "unsubscribe": self._links.url(Purpose.UNSUBSCRIBE, subscriber, until=until),
        }

    def _ways_out(self, mail: letters.Mail) -> list[tuple[str, str]]:
        """How a mail program unsubscribes its reader with one click (RFC 8058); by mail without a key."""
        links = self._subscriber_links(mail)
        if links is None:
            contact = mime.ascii_address(self._sender.contact)
            return [("List-Unsubscribe", f"<mailto:{contact}?subject=desabonnement>")]
        return [
            ("List-Unsubscribe", f"<{links['unsubscribe']}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]

    def _calendars(
        self, kind: letters.Kind, mail: letters.Mail, context: letters.LetterContext, attendee: Person
    ) -> list[mime.Attachment]:
        """What a letter does to the calendar of its reader, what it puts in first."""
        session = context.session
        if kind.calendar is None or session is None or mail.details.get("had_seat") is False:
            return []
        invitee = Invitee(
            str(mail.details.get("trainer") or mail.enrolment_id),
            sequence=sequence(mail.version, session.version),
            stamp=mail.called_for_at,
            attendee=attendee,
        )
        parts: list[CalendarPart]
        match kind.calendar:
            case letters.CalendarAction.INVITE:
                parts = [self._calendar.invitation(session, invitee, context.trainers)]
            case letters.CalendarAction.CANCEL if mail.details.get("attendance_kept"):
                to_come = letters.modules_after(session, mail.called_for_at)
                parts = [self._calendar.removal(session, to_come, invitee)] if to_come else []
            case letters.CalendarAction.CANCEL:
                parts = [self._calendar.cancellation(session, invitee)]
            case letters.CalendarAction.REMOVE:
                parts = [self._calendar.removal(session, letters.modules_in(mail.details), invitee)]
            case letters.CalendarAction.REPLACE:
                has_seat = letters.is_true(mail, context, self._now())
                parts = [self._calendar.invitation(session, invitee, context.trainers)] if has_seat else []
                parts += self._removal_of_left(mail, context.other, invitee)
        return [
            mime.Attachment(
                f'text/calendar; charset=utf-8; method={part.method};\r\n name="{_FILES[part.method]}"',
                part.body,
            )
            for part in parts
        ]

    def _removal_of_left(
        self, mail: letters.Mail, left: letters.NumberedSession | None, invitee: Invitee
    ) -> list[CalendarPart]:
        """What takes the session that the agent left out of their calendar; none where it is not known."""
        if left is None:
            return []
        decided = sequence(int(str(mail.details["left_version"])), left.version)
        old = replace(invitee, enrolment_id=str(mail.details["left_enrolment"]), sequence=decided)
        return [self._calendar.cancellation(left, old)]

    def _view(self, session: letters.NumberedSession) -> SessionView:
        key = (session.session_id, session.version)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = SessionView.of(session)
            if len(self._views) > self._keep:
                self._views.popitem(last=False)
        return view


_FILES = {"REQUEST": "inscription.ics", "PUBLISH": "inscription.ics", "CANCEL": "annulation.ics"}
"""The name of a calendar, by its method."""

_ACCOMMODATES = frozenset(
    {
        letters.LetterType.CONFIRMED,
        letters.LetterType.SEAT_ASSIGNED,
        letters.LetterType.MOVED,
        letters.LetterType.JOINING,
    }
)
"""The letters that say whom to ask for what a handicap makes necessary."""


def _trainers(context: letters.LetterContext) -> str | None:
    """Who speaks or teaches in a session that takes place, as a list in words; None: nobody known."""
    session = context.session
    if session is None or session.status is Status.CANCELLED or not context.trainers:
        return None
    return french.listed([typeset(name) for name in context.trainers])


def _days_before(session: letters.NumberedSession, now: datetime) -> int:
    """How many midnights of the session's zone lie between now and its start."""
    zone = ZoneInfo(session.timezone)
    return (session.starts_at.astimezone(zone).date() - now.astimezone(zone).date()).days


def _title(variables: Mapping[str, Any]) -> str | None:
    """The title of what a letter is about: the recording, the session, or the only item of news."""
    recording, session, items = (
        variables["details"].get("replay_title"),
        variables["session"],
        variables.get("items", ()),
    )
    if recording:
        return str(recording)
    if session is not None:
        return str(session.title)
    return str(items[0].title) if len(items) == 1 else None


def _zone(view: SessionView | None) -> str:
    return view.timezone if view is not None else HOME


def _hold_until(mail: letters.Mail) -> datetime:
    return datetime.fromisoformat(str(mail.details["hold_until"]))


def _subject_of(mail: letters.Mail) -> UUID:
    """The id that the letter's reference stands for: an enrolment's, a bespoke request's, or its own."""
    requested = mail.details.get("reference")
    return UUID(str(requested)) if requested else mail.enrolment_id or mail.mail_id


def _name(mail: letters.Mail) -> str:
    return f"{mail.given_name} {mail.family_name}".strip()


def _texts(value: object) -> list[str]:
    return [str(text) for text in value] if isinstance(value, Sequence) else []


def _to_the_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
