"""The roster of a session as organisers read it, and its order."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.rules.states import State
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Agent, Instant

PARTS = [
    State.OFFERED,
    State.WAITLISTED,
    State.PENDING_APPROVAL,
    State.PENDING_SELECTION,
    State.REFUSED,
    State.NOT_OBTAINED,
    State.LAPSED,
    State.WITHDRAWN,
    State.SESSION_CANCELLED,
]
"""The order of the roster, after those who have a seat."""


def plain(text: str) -> str:
    """Return a text as it is searched in: in small letters, without accents, as SQL makes it too."""
    text = text.lower()
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in letters if not "\u0300" <= letter <= "\u036f")


class RosterOrder(StrEnum):
    """What a roster is sorted by."""

    STANDING = "standing"
    NAME = "name"
    EMPLOYER = "employer"
    SINCE = "since"


def sought_of(agent: Agent) -> str:
    """Return what an agent is searched by; its first line is what a roster is sorted by employer by."""
    named = f"{agent.employer.name} {agent.family_name} {agent.given_name}"
    return plain(f"{named}\n{agent.email} {agent.agent_id}")


def part_of(state: State) -> int:
    """Return in which part of the roster a line with this state stands: 0 has who has a seat."""
    return 0 if state.has_seat else 1 + PARTS.index(state)


SmallNumber = Annotated[int, Field(ge=-(2**31), lt=2**31)]
LargeNumber = Annotated[int, Field(ge=-(2**63), lt=2**63)]
LineKey = tuple[SmallNumber, SmallNumber, LargeNumber, Instant, UUID]
"""Where a line stands in the roster: part, minus priority in line, ticket, time of receipt, id."""
TextKey = tuple[Annotated[str, Field(pattern="^[^\\x00]*$")], UUID]
"""Where a line stands in a roster that is sorted by a text: that, and the id."""
TimeKey = tuple[Instant, UUID]
"""Where a line stands in a roster that is sorted by when it changed last: that, and the id."""
SortedKey = tuple[str | datetime, UUID]
"""A TextKey or a TimeKey."""

ChangeKey = tuple[Instant, SmallNumber, UUID]
"""Where a change stands in the history of a session: when it was, which of its enrolment's, the enrolment."""


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One enrolment as an organiser reads it.

    ``position``: the place on the waiting list, 1 is next. ``attendance``: by module, counted from 0.
    ``answers`` are to the session's questions, by their ids. ``same_person``: who is live in the session too,
    of another issuer, with the same address or the same names (rule 22). ``above_capacity``: why an organiser
    gave them a seat where none was free. ``sorted_by``: what the roster is sorted by, where that is chosen.
    """

    enrolment: Enrolment
    updated_at: datetime
    position: int | None
    address_is_bad: bool
    attendance: Mapping[int, Attendance]
    answers: Mapping[str, KeptAnswer]
    same_person: tuple[UUID, ...]
    above_capacity: str | None = None
    sorted_by: str | datetime = ""

    @property
    def key(self) -> LineKey:
        enrolment = self.enrolment
        before = -enrolment.priority if enrolment.state is State.WAITLISTED else 0
        part, ticket = part_of(enrolment.state), enrolment.ticket or 0
        return part, before, ticket, enrolment.received_at, enrolment.enrolment_id

    @property
    def sorted_key(self) -> SortedKey:
        return self.sorted_by, self.enrolment.enrolment_id


@dataclass(frozen=True, slots=True)
class SeatedPerson:
    """Who has a seat, as an organiser sees them at a module: what is recorded, and when they came."""

    enrolment_id: UUID
    family_name: str
    given_name: str
    employer: str
    attendance: Attendance | None
    arrived_at: datetime | None
