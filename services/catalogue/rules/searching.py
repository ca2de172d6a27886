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
    everywhere: bool = False
    delegation: str | None = None

    def organises(self, session: ShownSession) -> bool:
        return self.everywhere or self.delegation == session.organiser

    def seen(self, session: ShownSession) -> ShownSession:
        """The link is for the organiser and agents with a seat, the evaluation for agents who attended.

        Only the organiser sees the reference and the addresses of trainers.
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
NearPosition: TypeAlias = tuple[int, datetime, UUID]
FAR = 100_000
"""Kilometres of a session whose place is not known, and of one online."""


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """``seats`` are left in open sessions; None if one has no limit.

    ``next_at`` is the start of the next session that takes place, ``opens_at`` the next opening of enrolment.
    """

    sessions: int = 0
    open: int = 0
    seats: int | None = 0
    next_at: datetime | None = None
    next_zone: str | None = None
    opens_at: datetime | None = None
    has_examples: bool = False


class SessionOrder(StrEnum):
    FIRST = "premieres"
    LAST = "dernieres"
    CHANGED = "modifiees"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSearch:
    """None restricts nothing. ``now`` decides ``enrolment``.

    ``text`` has words, "a phrase", or, -not. ``own`` leaves out sessions that the viewer does not organise.
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
