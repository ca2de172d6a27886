from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.notifier.letters.kinds import Letter, LetterDetails, LetterType
from services.notifier.letters.timing import schedule
from shared.events.catalogue import ReplayPublished, SessionState
from shared.events.enrolment import ParticipantsMessaged


class FanOutTask(StrEnum):
    REPLAY = "replay"
    CHANGE = "change"
    REMOVAL = "removal"
    CHANGE_WAITING = "change-waiting"
    """It goes to each agent without a seat yet: waiting, offered or pending."""
    JOINING = "joining"
    REMINDER_WEEK = "reminder-week"
    REMINDER_DAY = "reminder-day"
    MESSAGE = "message"
    NEWS = "news"


TEMPLATE_OF = {
    FanOutTask.REPLAY: LetterType.REPLAY_AVAILABLE,
    FanOutTask.CHANGE: LetterType.SESSION_CHANGED,
    FanOutTask.REMOVAL: LetterType.MODULE_CANCELLED,
    FanOutTask.CHANGE_WAITING: LetterType.SESSION_CHANGED_WAITING,
    FanOutTask.JOINING: LetterType.JOINING,
    FanOutTask.REMINDER_WEEK: LetterType.REMINDER_WEEK,
    FanOutTask.REMINDER_DAY: LetterType.REMINDER_DAY,
    FanOutTask.MESSAGE: LetterType.ORGANISER_MESSAGE,
}
TASK_OF = {template: task for task, template in TEMPLATE_OF.items()}


@dataclass(frozen=True, slots=True)
class FanOut:
    """One letter to all participants of a session, or to all followers of some news.

    ``event_id`` called for it; ``subject_id`` is the session or the item of news. It begins at ``due_at``;
    None means at once. Only enrolments read before ``called_for_at`` get it, because later confirmations have
    the new facts. A replay is for everyone.
    """

    event_id: UUID
    task: FanOutTask
    subject_id: UUID
    details: LetterDetails
    called_for_at: datetime
    due_at: datetime | None = None


def message_fan_out(event_id: UUID, event: ParticipantsMessaged, received_at: datetime) -> FanOut:
    details: LetterDetails = {
        "text": event.text,
        "link": event.link,
        "audience": [audience.value for audience in event.audience],
        "session_version": event.session_version,
        "enrolments": None if event.enrolment_ids is None else [str(named) for named in event.enrolment_ids],
    }
    return FanOut(event_id, FanOutTask.MESSAGE, event.session_id, details, received_at)


def scheduled_fan_outs(
    event_id: UUID,
    session: SessionState,
    now: datetime,
    *,
    is_new: bool = False,
    owed: Collection[LetterType] = (),
) -> list[FanOut]:
    """Return a fan-out for each scheduled letter that is still to be sent.

    A late letter is sent at once if the session ``is_new``, because decisions about it may have arrived
    earlier, or if it is ``owed``: a change of the session moved its moment into the past. Agents enrolled now
    receive it.
    """
    found = []
    for planned in schedule(session):
        is_owed = is_new or planned.template in owed
        if now < planned.until and (now < planned.moment or is_owed):
            before = planned.moment if is_new else max(planned.moment, now)
            details = {"moment": planned.moment.isoformat()}
            task = TASK_OF[planned.template]
            found.append(FanOut(event_id, task, session.session_id, details, before, planned.due_at))
    return found


def replay_letter(replay: ReplayPublished) -> Letter | None:
    if replay.session_id is None:
        return None
    return Letter(LetterType.REPLAY_AVAILABLE, {"replay_title": replay.title, "replay_url": replay.url})
