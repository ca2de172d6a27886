from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from services.notifier import letters
from services.notifier.letters.timing import HOME
from services.notifier.render import interests
from services.notifier.render.letter_links import LetterLinks
from services.notifier.render.sender import Sender
from services.notifier.render.typography import quoted
from services.notifier.render.views import (
    ItemView,
    ListedView,
    SessionView,
    changes_of,
    explanation_of,
    gone_from,
    trainees_by_outcome,
)
from services.notifier.render.writing import headline_of
from shared import places
from shared.events.reasons import Explanation
from shared.events.vocabulary import Status
from shared.events.zones import zone_of
from shared.references import reference_of
from shared.web import french, labels
from shared.web.french import typeset


class LetterVariables:
    def __init__(self, sender: Sender, links: LetterLinks, now: Callable[[], datetime], *, keep: int) -> None:
        self._sender = sender
        self._links = links
        self._now = now
        self._views: OrderedDict[tuple[Any, int], SessionView] = OrderedDict()
        self._keep = keep

    def of(self, mail: letters.Mail, context: letters.LetterContext) -> dict[str, Any]:
        session, details, kind = context.session, mail.details, letters.KINDS[mail.template]
        view = self._view(session) if session is not None else None
        phase = self._phase(mail, session)
        convokes = phase["includes_joining"] or mail.template is letters.LetterType.JOINING
        code = self._links.code(mail, session) if convokes else None
        variables: dict[str, Any] = {
            "label": labels.LETTERS[mail.template],
            "name": mail.name,
            "others": [self._view(other) for other in context.alternatives]
            if letters.suggests_others(mail)
            else [],
            "session": view,
            "details": details,
            "show_access": kind.access,
            "trainers": _trainers(context),
            "state": context.enrolment.state if context.enrolment is not None else None,
            "reference": reference_of(_subject_of(mail)),
            "advisor": details.get("advisor") or self._sender.delegation_of(session),
            **self._open_dates(mail, session),
            "catalogue": self._sender.catalogue,
            "contact": str(details.get("advisor_address") or self._sender.contact_of(session)),
            "tone": kind.tone,
            "link": self._links.button(kind.link, mail, session),
            "enrolments": self._links.enrolments(mail),
            "code": None if code is None else code.content_id,
            "called_for": french.local_moment(_to_the_minute(mail.called_for_at), _zone(view)),
            **phase,
        }
        variables |= self._variables_of_some(mail, context, view)
        if "position" in details:
            variables |= _in_line(details)
        if "until" in details:
            until = datetime.fromisoformat(str(details["until"]))
            variables["until"] = french.moment(_to_the_minute(until), _zone(view))
        if "reason" in details:
            variables["explanation"] = self._explanation(mail, context, variables)
        headline = headline_of(mail.template, variables)
        about = _about(variables, headline)
        subject = f"{headline} : {about}" if about else headline
        return variables | {"headline": headline, "subject": subject}

    def _open_dates(
        self, mail: letters.Mail, session: letters.NumberedSession | None
    ) -> dict[str, str | bool | None]:
        """Return the address of the open sessions, the nearest first, for a letter about an end."""
        if mail.template not in _ENDS or not self._sender.catalogue:
            return {"open_dates": None, "is_near": False}
        here = None if session is None else places.of_session(session)
        sought = {"ouvertes": "oui"} | ({} if here is None else {"recherche": here.name})
        return {
            "open_dates": f"{self._sender.catalogue}/sessions?{urlencode(sought)}",
            "is_near": here is not None,
        }

    def _explanation(
        self, mail: letters.Mail, context: letters.LetterContext, variables: Mapping[str, Any]
    ) -> Explanation:
        """The other session explains a refused move, unless it was too late to leave."""
        session, is_over = context.session, bool(variables["enrolment_is_over"])
        if mail.template is letters.LetterType.MOVE_REFUSED and session is not None:
            too_late = mail.called_for_at >= session.withdrawal_ends_at
            session, is_over = (session if too_late else context.other), False
        view = self._view(session) if session is not None else None
        return explanation_of(mail, session, view, enrolment_is_over=is_over)

    def _variables_of_some(
        self, mail: letters.Mail, context: letters.LetterContext, view: SessionView | None
    ) -> dict[str, Any]:
        session, details = context.session, mail.details
        match mail.template:
            case letters.LetterType.NEWS:
                return {
                    "items": [self._item(item) for item in context.news],
                    "links": self._links.of_subscriber(mail),
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
                return {"evaluates": evaluates, "replaces": context.certificates.was_sent}
            case letters.LetterType.SEAT_OFFERED:
                before = details.get("shortened_from")
                return {
                    "hold_until": french.deadline(letters.hold_until(mail), _zone(view), zoned=False),
                    "hold_before": None
                    if before is None
                    else french.deadline(datetime.fromisoformat(str(before)), _zone(view), zoned=False),
                }
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
                answer = self._links.answer(mail, context, session)
                return {"changes": changes_of(details, session), "gone": gone, "answer": answer}
            case letters.LetterType.MODULE_CANCELLED if session is not None:
                return {"gone": gone_from(details, session.timezone)}
            case _:
                return {}

    def _of_bespoke_request(self, mail: letters.Mail) -> dict[str, Any]:
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
            # The delegation's own address would be the letter's recipient.
            "contact": self._sender.contact,
            "links": self._links.of_subscriber(mail),
        }

    def _after_move(self, mail: letters.Mail, context: letters.LetterContext) -> dict[str, Any]:
        """If the new seat is gone, the letter speaks only of the former session."""
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
        """A letter may leave days after its event."""
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
            # In confirmations too, because some agents enrol too late for joining instructions.
            "accommodates": mail.template in _ACCOMMODATES and not over,
            "withdrawable": kind.link is letters.Link.WITHDRAW
            and kind.valid_while is letters.EnrolmentState.ENROLLED
            and session is not None
            and now < session.withdrawal_ends_at,
            # The letter's one action stands above.
            "leaves_above": mail.template is letters.LetterType.SESSION_CHANGED,
        }

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

    def _view(self, session: letters.NumberedSession) -> SessionView:
        key = (session.session_id, session.version)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = SessionView.of(session)
            if len(self._views) > self._keep:
                self._views.popitem(last=False)
        return view


_ENDS = frozenset(
    {
        letters.LetterType.REFUSED,
        letters.LetterType.SESSION_CANCELLED,
        letters.LetterType.SEAT_NOT_OBTAINED,
        letters.LetterType.OFFER_LAPSED,
    }
)
_ACCOMMODATES = frozenset(
    {
        letters.LetterType.CONFIRMED,
        letters.LetterType.SEAT_ASSIGNED,
        letters.LetterType.MOVED,
        letters.LetterType.JOINING,
    }
)


def _trainers(context: letters.LetterContext) -> str | None:
    session = context.session
    if session is None or session.status is Status.CANCELLED or not context.trainers:
        return None
    return french.listed([typeset(name) for name in context.trainers])


def _days_before(session: letters.NumberedSession, now: datetime) -> int:
    """Count midnights in the session's time zone."""
    zone = ZoneInfo(session.timezone)
    return (session.starts_at.astimezone(zone).date() - now.astimezone(zone).date()).days


def _about(variables: Mapping[str, Any], headline: str) -> str | None:
    """A session has its day, unless the headline says it."""
    recording, items = variables["details"].get("replay_title"), variables.get("items", ())
    item = items[0] if len(items) == 1 else None
    session = variables["session"] if item is None else item.session
    if recording:
        return quoted(str(recording))
    if session is None:
        return None if item is None else quoted(str(item.title))
    says_day = not session.day or f" {session.day} " in headline
    return str(session.named) if says_day else f"{session.named}, {session.day}"


def _in_line(details: letters.LetterDetails) -> dict[str, Any]:
    """Return the place in line, and the details without it: the letters about a session share their text."""
    return {
        "position": french.ordinal(int(str(details["position"]))),
        "together": details.get("together"),
        "details": {name: value for name, value in details.items() if name not in ("position", "together")},
    }


def _zone(view: SessionView | None) -> str:
    return view.timezone if view is not None else HOME


def _subject_of(mail: letters.Mail) -> UUID:
    requested = mail.details.get("reference")
    return UUID(str(requested)) if requested else mail.enrolment_id or mail.mail_id


def _texts(value: object) -> list[str]:
    return [str(text) for text in value] if isinstance(value, Sequence) else []


def _to_the_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
