"""Which sessions somebody looks for, and which they may see."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from services.catalogue.rules.sessions import ShownSession
from shared.events.vocabulary import Delegation, EnrolmentWindow, Format, Status

_NOTHING = (None, None, None)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the public sees what was published, a delegation its own drafts too, an admin all."""

    everywhere: bool = False
    delegation: str | None = None

    def organises(self, session: ShownSession) -> bool:
        """Whether the session is theirs."""
        return self.everywhere or self.delegation == session.organiser

    def seen(self, session: ShownSession) -> ShownSession:
        """The session as they see it.

        How to connect is between its organiser and who has a seat, where to evaluate it between them and who
        attended, its reference the organiser's own, and so are the addresses of trainers.
        """
        plan = session.plan
        written_to = any(trainer.email is not None for trainer in plan.trainers)
        others_see_all = (
            plan.join_url,
            plan.evaluation_url,
            session.reference,
        ) == _NOTHING and not written_to
        if self.organises(session) or others_see_all:
            return session
        trainers = tuple(replace(trainer, email=None) for trainer in plan.trainers)
        plan = replace(plan, join_url=None, evaluation_url=None, trainers=trainers)
        return replace(session, plan=plan, reference=None)


PUBLIC = Viewer()

Position: TypeAlias = tuple[datetime, UUID]
"""The position of an item in a list by time: its moment, then its id."""


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """The sessions of a format or a delegation, counted: all, and those that one can enrol in.

    ``seats`` are those left in the latter, None where one of them has no limit; ``next_at`` is when the next
    one begins that takes place, None where none does, and ``next_zone`` its time zone. ``has_examples``:
    whether any of them is an example of the offer's files.
    """

    sessions: int = 0
    open: int = 0
    seats: int | None = 0
    next_at: datetime | None = None
    next_zone: str | None = None
    has_examples: bool = False


class SessionOrder(StrEnum):
    """The order of a list of sessions; sessions of one moment are in that of their ids."""

    FIRST = "premieres"
    LAST = "dernieres"
    CHANGED = "modifiees"
    """Those that were stored last come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSearch:
    """Which sessions to list; None restricts nothing. ``now`` is what ``enrolment`` is judged by.

    ``text`` is searched as people write it: words, "a phrase", or, -not. ``own`` leaves out what the viewer
    may see but does not organise.
    """

    now: datetime
    viewer: Viewer = PUBLIC
    format: Format | None = None
    organiser: Delegation | None = None
    offer_id: str | None = None
    theme: str | None = None
    text: str | None = None
    status: Status | None = None
    enrolment: EnrolmentWindow | None = None
    starts_after: datetime | None = None
    starts_before: datetime | None = None
    ends_after: datetime | None = None
    own: bool = False
    order: SessionOrder = SessionOrder.FIRST
