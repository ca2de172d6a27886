"""What the store gives and takes of sessions, besides the rules' own facts."""

from dataclasses import dataclass, replace
from datetime import datetime

from services.catalogue.offer_files import Source
from services.catalogue.rules import Occupancy, Plan, Session, differences
from shared.events.vocabulary import Delegation, EnrolmentWindow, Format, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """What is shown of a session and told to no other service.

    ``source`` is where the offer's files have it from; None: an organiser made it here.
    """

    summary: str | None = None
    experts: tuple[str, ...] = ()
    source: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as it is shown. ``occupancy`` None: the enrolment service has not spoken of it yet.

    ``changed_at`` is when the session was last stored, ``filled_at`` when its occupancy was; what only the
    clock changes is in neither.
    """

    session: Session
    presentation: Presentation
    occupancy: Occupancy | None
    changed_at: datetime
    filled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What the offer's files last gave of a session."""

    plan: Plan
    presentation: Presentation

    def choosing(self, plan: Plan, shown: Presentation) -> Presentation:
        """What is shown, with its ``choices``: the files' own, and all that is not as they gave it.

        So what an organiser changed of a session that was announced is never the announcement's.
        """
        if shown.source != Source.COMMUNIQUE:
            return shown
        told = [
            name
            for name in ("summary", "experts")
            if getattr(self.presentation, name) != getattr(shown, name)
        ]
        choices = dict.fromkeys((*self.presentation.choices, *differences(self.plan, plan), *told))
        return replace(shown, choices=tuple(choices))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A session and what the offer's files last gave of it; None where they gave nothing."""

    session: Session
    presentation: Presentation
    given: Given | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the public sees what was published, a delegation its own drafts too, an admin all."""

    everywhere: bool = False
    delegation: str | None = None


PUBLIC = Viewer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
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
