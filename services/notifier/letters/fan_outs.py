"""One fact that calls for a letter to many: what is done for each of them. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.notifier.letters.kinds import Details, Template


class FanOutTask(StrEnum):
    """What is done for each of the enrolled."""

    REPLAY = "replay"
    CHANGE = "change"
    REMOVAL = "removal"
    SCHEDULE = "schedule"
    """Plan the letters that time calls for, or move them with their session."""
    NEWS = "news"
    """For each of the subscribers, not of the enrolled."""


TASK_OF = {Template.SESSION_CHANGED: FanOutTask.CHANGE, Template.MODULE_CANCELLED: FanOutTask.REMOVAL}
"""By what each letter about a change of a session reaches all who are enrolled in it."""
TEMPLATE_OF = {task: template for template, task in TASK_OF.items()} | {
    FanOutTask.REPLAY: Template.REPLAY_AVAILABLE
}


@dataclass(frozen=True, slots=True)
class FanOut:
    """A fact about a session that concerns everyone enrolled in it, or news for all who follow it.

    ``event_id`` is the event that said so, ``subject_id`` the session's or the item's id.
    """

    event_id: UUID
    task: FanOutTask
    subject_id: UUID
    details: Details
    called_for_at: datetime
