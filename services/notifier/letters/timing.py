"""When a letter leaves, and when it must not leave any more. Pure.

A queued letter may no longer be true, so it is judged again just before it is written.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.notifier.letters.authorities import trainees_of
from services.notifier.letters.context import LetterContext
from services.notifier.letters.kinds import KINDS, EnrolmentState, LetterType, Mail, Priority, hold_until
from shared.events.catalogue import SessionState
from shared.events.enrolment import Awaiting
from shared.events.vocabulary import Format, Status

MORNING, NIGHT = time(8), time(20)
"""Letters without urgency leave between these hours, in the session's time zone."""
HOME = "Europe/Paris"
"""The time zone of letters about no session."""
EVENING = time(19)
"""A letter due in the following night leaves at this time."""

SCHEDULED = frozenset({LetterType.JOINING, LetterType.REMINDER_WEEK, LetterType.REMINDER_DAY})
_CERTIFICATES = frozenset({LetterType.CERTIFICATE, LetterType.CERTIFICATE_VOID})
_TIMED = SCHEDULED | _CERTIFICATES | {LetterType.EVALUATION}

NOTICES_OF_CLOSE = frozenset({LetterType.MINIMUM_MISSED, LetterType.SELECTION_DUE})

_CHANGES = frozenset(
    {LetterType.SESSION_CHANGED, LetterType.MODULE_CANCELLED, LetterType.SESSION_CHANGED_WAITING}
)
_GIVES_SEAT = frozenset({LetterType.CONFIRMED, LetterType.SEAT_ASSIGNED, LetterType.MOVED})
_WAITING = frozenset({EnrolmentState.WAITLISTED, EnrolmentState.PENDING})
_WITHOUT_SEAT = _WAITING | {EnrolmentState.OFFERED}
_LIVE = frozenset(
    {EnrolmentState.ENROLLED, EnrolmentState.WAITLISTED, EnrolmentState.OFFERED, EnrolmentState.PENDING}
)
_NAMES_COME = timedelta(minutes=1)
"""The letter about a list of trainees waits this long for the decisions with the trainees' names."""
_LOOKS_AGAIN = timedelta(seconds=2)
CONFIRM_FOR = timedelta(hours=48)

_DAY = timedelta(days=1)
_CLOCKS_DIFFER = timedelta(minutes=1)
"""A due mail is not postponed if our clock is slightly behind the database's."""


@dataclass(frozen=True, slots=True)
class ScheduledLetter:
    """``moment`` is set by the rule: an agent who enrols later does not get the letter.

    ``due_at`` is the same moment, moved out of the night. From ``until`` on the letter is useless.
    """

    template: LetterType
    moment: datetime
    due_at: datetime
    until: datetime


def schedule(session: SessionState) -> tuple[ScheduledLetter, ...]:
    """Return the joining instructions and the two reminders, in this order.

    Days count in the session's time zone, so that the hour stays over a change of clocks. A MOOC sends its
    joining instructions at the start.
    """
    return _schedule(planning_of(session)) if session.status is Status.PUBLISHED else ()


class Planning(NamedTuple):
    """A change of any of these facts re-plans the scheduled letters."""

    format: Format
    starts_at: datetime
    ends_at: datetime
    timezone: str
    joining_days_before: int
    reminder_days_before: int
    last_reminder_days_before: int


def planning_of(session: SessionState) -> Planning:
    return Planning(*(getattr(session, name) for name in Planning._fields))


@functools.lru_cache(maxsize=1_000)  # hundreds of letters are about the same session
def _schedule(planning: Planning) -> tuple[ScheduledLetter, ...]:
    start, end, timezone = planning.starts_at, planning.ends_at, planning.timezone

    def scheduled(template: LetterType, moment: datetime, until: datetime) -> ScheduledLetter:
        return ScheduledLetter(template, moment, by_day(moment, timezone), until)

    if planning.format is Format.MOOC:
        joining = scheduled(LetterType.JOINING, start, end)
    else:
        joins_at = _days_after(start, -planning.joining_days_before, timezone)
        joining = scheduled(LetterType.JOINING, joins_at, start)
    reminds_at = _days_after(start, -planning.reminder_days_before, timezone)
    reminds_last_at = _days_after(start, -planning.last_reminder_days_before, timezone)
    return (
        joining,
        scheduled(LetterType.REMINDER_WEEK, reminds_at, reminds_last_at),
        scheduled(LetterType.REMINDER_DAY, reminds_last_at, start),
    )


def includes_joining(mail: Mail, session: SessionState, now: datetime) -> bool:
    """Return whether the confirmation also serves as joining instructions (rule 12).

    It does if the seat was given after the joining instructions had left.
    """
    return mail.template in _GIVES_SEAT and any(
        planned.template is LetterType.JOINING
        and planned.moment <= mail.called_for_at
        and now < planned.until
        for planned in schedule(session)
    )


def scheduled_letters(
    session: SessionState, enrolled_at: datetime, now: datetime
) -> tuple[ScheduledLetter, ...]:
    return tuple(
        planned for planned in schedule(session) if enrolled_at < planned.moment and now < planned.until
    )


def _days_after(moment: datetime, days: int, timezone: str) -> datetime:
    return (moment.astimezone(ZoneInfo(timezone)) + timedelta(days=days)).astimezone(moment.tzinfo)


def by_day(moment: datetime, timezone: str) -> datetime:
    local = moment.astimezone(ZoneInfo(timezone))
    if local.time() < MORNING:
        local = local.replace(hour=MORNING.hour, minute=0, second=0, microsecond=0)
    elif local.time() >= NIGHT:
        local = local.replace(hour=EVENING.hour, minute=0, second=0, microsecond=0)
    return local.astimezone(moment.tzinfo)


def next_morning(moment: datetime, timezone: str) -> datetime | None:
    """Return the end of the night around ``moment``, or None by day."""
    local = moment.astimezone(ZoneInfo(timezone))
    if MORNING <= local.time() < NIGHT:
        return None
    morning = local.replace(hour=MORNING.hour, minute=0, second=0, microsecond=0)
    if local.time() >= NIGHT:
        morning += timedelta(days=1)
    return morning.astimezone(moment.tzinfo)


@dataclass(frozen=True, slots=True)
class Superseded:
    """The letter is no longer true and not sent. ``why`` is for operators."""

    why: str


@dataclass(frozen=True, slots=True)
class SessionStateMissing:
    pass


@dataclass(frozen=True, slots=True)
class Postponed:
    until: datetime


def revalidate(
    mail: Mail, context: LetterContext, now: datetime
) -> Superseded | Postponed | SessionStateMissing | None:
    """Judge again a letter whose turn has come. Returns None if it is to be sent.

    A letter about a move is always sent, because it takes the old session out of the calendar
    (:func:`is_true`). The exception: no letter goes to an old address while the new one is unknown.
    """
    if context.former_address and not KINDS[mail.template].as_given:
        return Superseded("the agent has another address since, and it is not known which")
    if context.withdrawn:
        return Superseded("what it is about was published by mistake, and is withdrawn")
    if mail.template is LetterType.DIGEST and now >= mail.called_for_at + _DAY:
        return Superseded("there is another day's digest")
    if not knows_session(mail, context.session):
        return SessionStateMissing()
    if any(trainee not in context.people for trainee in trainees_of(mail)) and (
        now < mail.called_for_at + _NAMES_COME
    ):
        return Postponed(now + _LOOKS_AGAIN)
    if mail.template is LetterType.ORGANISER_MESSAGE and not _is_addressed(mail, context):
        return Superseded("the organiser does not write to who stands where the agent does now")
    return None if mail.template is LetterType.MOVED else _revalidate(mail, context, now)


def knows_session(mail: Mail, session: SessionState | None) -> bool:
    """Return whether ``session`` is as new as the state that the letter was called for in."""
    version = mail.details.get("session_version")
    return version is None or (session is not None and session.version >= int(str(version)))


def is_true(mail: Mail, context: LetterContext, now: datetime) -> bool:
    return not isinstance(_revalidate(mail, context, now), Superseded)


def _revalidate(mail: Mail, context: LetterContext, now: datetime) -> Superseded | Postponed | None:
    session, known = context.session, context.enrolment
    valid_while = KINDS[mail.template].valid_while
    if (
        valid_while is not None
        and known is not None
        and known.version > mail.version
        and known.state != valid_while
    ):
        return Superseded(f"the agent stands elsewhere since: {known.state}")
    if known is not None and known.version > mail.version and (since := _decided_since(mail)) is not None:
        return Superseded(since)
    if mail.template is LetterType.ALREADY_ENROLLED and known is not None and known.state not in _LIVE:
        return Superseded(f"the agent has no seat or request any more: {known.state}")
    waits = known is None or known.state in _WITHOUT_SEAT
    if mail.template is LetterType.SESSION_CHANGED_WAITING and not waits:
        return Superseded("the agent waits no more")
    if session is not None and (past := _is_past(mail, session, now)) is not None:
        return Superseded(past)
    if mail.template is LetterType.CONFIRM_SUBSCRIPTION and now >= mail.called_for_at + CONFIRM_FOR:
        return Superseded("its link has expired")
    if mail.template is LetterType.CONFIRM_ADDRESS and now >= datetime.fromisoformat(
        str(mail.details["until"])
    ):
        return Superseded("its link has expired")
    if mail.template is LetterType.SEAT_OFFERED and now >= hold_until(mail):
        return Superseded("the offer has ended")
    if mail.template is LetterType.NEWS and not context.news:
        return Superseded("nothing of it is followed, or open, any more")
    if mail.template in _TIMED and session is not None:
        return _by_the_clock(mail, context, session, now)
    if KINDS[mail.template].priority is Priority.NEWS:
        morning = next_morning(now, session.timezone if session is not None else HOME)
        return Postponed(morning) if morning is not None else None
    return None


def _decided_since(mail: Mail) -> str | None:
    """Return what a later decision in the same state changes, or None if it changes nothing."""
    if mail.template is LetterType.SEAT_OFFERED:
        return "the offer ends at another time since"
    return "the employer has agreed since" if _awaits_employer(mail) else None


def _is_past(mail: Mail, session: SessionState, now: datetime) -> str | None:
    valid_while = KINDS[mail.template].valid_while
    is_live = valid_while in _LIVE or mail.template in (
        LetterType.ALREADY_ENROLLED,
        LetterType.SESSION_CHANGED_WAITING,
    )
    if is_live and session.status is Status.CANCELLED:
        return "the session is cancelled"
    is_decided = session.status is Status.CANCELLED or now < session.enrolment_closes_at
    if mail.template in NOTICES_OF_CLOSE and is_decided:
        return "it is decided: the session is cancelled, or open again"
    if mail.template in _CHANGES and now >= session.ends_at:
        return "the session is over"
    if mail.template in (LetterType.TRAINER_NAMED, LetterType.TRAINER_CHANGED):
        return _is_no_trainer_of(session, mail, now)
    if valid_while in _WAITING:
        closes = session.enrolment_closes_at
        if now >= (closes if _awaits_employer(mail) else max(closes, session.starts_at)):
            return "there is nothing to wait for any more"
    return None


def _is_no_trainer_of(session: SessionState, mail: Mail, now: datetime) -> str | None:
    if session.status is Status.CANCELLED or now >= session.ends_at:
        return "the session is cancelled, or over"
    named = [str(trainer_id) for trainer_id in session.trainer_ids]
    return None if mail.details["trainer"] in named else "the session has other trainers since"


def _is_addressed(mail: Mail, context: LetterContext) -> bool:
    audience, known = mail.details["audience"], context.enrolment
    return known is not None and isinstance(audience, Sequence) and known.state in audience


def _awaits_employer(mail: Mail) -> bool:
    return mail.details.get("awaiting") == Awaiting.EMPLOYER_APPROVAL


def _by_the_clock(
    mail: Mail, context: LetterContext, session: SessionState, now: datetime
) -> Superseded | Postponed | None:
    known = context.enrolment
    if mail.template in _CERTIFICATES:
        return _about_certificate(mail, context, session, now)
    if mail.template is LetterType.EVALUATION:
        return _after_session(context, session, now)
    if known is not None and known.version > mail.version and "moment" in mail.details:
        return Superseded("the enrolment has begun anew")
    return _in_time(mail, session, now)


def _about_certificate(
    mail: Mail, context: LetterContext, session: SessionState, now: datetime
) -> Superseded | Postponed | None:
    """Before a certificate leaves, a correction leaves no trace with the agent (rule 24)."""
    others = context.certificates
    if others.is_newer:
        return Superseded("the attendance was corrected since")
    if mail.template is LetterType.CERTIFICATE_VOID:
        if others.is_leaving:
            return Postponed(now + _LOOKS_AGAIN)
        return None if others.was_sent else Superseded("the certificate never left")
    leaves_at = session.certificate_leaves_at(mail.called_for_at)
    if leaves_at != mail.called_for_at:
        leaves_at = next_morning(leaves_at, session.timezone) or leaves_at
    return Postponed(leaves_at) if leaves_at > now else None


def _after_session(
    context: LetterContext, session: SessionState, now: datetime
) -> Superseded | Postponed | None:
    if session.evaluation_url is None or session.status is Status.CANCELLED:
        return Superseded("there is nothing to evaluate")
    if context.evaluation_asked:
        return Superseded("the letter of the certificate asks it")
    last = session.ends_at - timedelta(seconds=1)  # exclusive: midnight belongs to the day before
    due_at = by_day(_days_after(last, 1, session.timezone), session.timezone)
    if due_at > now + _CLOCKS_DIFFER:
        return Postponed(due_at)
    morning = next_morning(now, session.timezone)
    return Postponed(morning) if morning is not None else None


def _in_time(mail: Mail, session: SessionState, now: datetime) -> Superseded | Postponed | None:
    """Judge whether a scheduled letter's time has come.

    A letter called for by old dates leaves at the moment of the new ones. If that has passed, joining
    instructions are still useful; a reminder is not.
    """
    for planned in schedule(session):
        if planned.template is mail.template:
            has_moved = mail.details.get("moment", planned.moment.isoformat()) != planned.moment.isoformat()
            if has_moved and (now < planned.moment or mail.template is not LetterType.JOINING):
                return Superseded("the session has moved")
            if now >= planned.until:
                return Superseded("its time is over")
            if planned.due_at > now + _CLOCKS_DIFFER:
                return Postponed(planned.due_at)
            morning = next_morning(now, session.timezone)
            return Postponed(morning) if morning is not None and morning < planned.until else None
    return Superseded("the session does not call for it any more")
