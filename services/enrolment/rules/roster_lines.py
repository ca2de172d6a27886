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


def plain(text: str) -> str:
    """Return a text for searching: lower case, without accents, exactly as SQL computes it."""
    text = text.lower()
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in letters if not "\u0300" <= letter <= "\u036f")


class RosterOrder(StrEnum):
    STANDING = "standing"
    NAME = "name"
    EMPLOYER = "employer"
    SINCE = "since"


def sought_of(agent: Agent) -> str:
    named = f"{agent.employer.name} {agent.family_name} {agent.given_name}"
    return plain(f"{named}\n{agent.email} {agent.agent_id}")


def part_of(state: State) -> int:
    return 0 if state.has_seat else 1 + PARTS.index(state)


SmallNumber = Annotated[int, Field(ge=-(2**31), lt=2**31)]
LargeNumber = Annotated[int, Field(ge=-(2**63), lt=2**63)]
LineKey = tuple[SmallNumber, SmallNumber, LargeNumber, Instant, UUID]
"""The position of a line: part, minus priority in line, ticket, time of receipt, id."""
TextKey = tuple[Annotated[str, Field(pattern="^[^\\x00]*$")], UUID]
TimeKey = tuple[Instant, UUID]
SortedKey = tuple[str | datetime, UUID]

ChangeKey = tuple[Instant, SmallNumber, UUID]


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One enrolment as an organiser reads it.

    ``position`` counts from 1, modules in ``attendance`` from 0. ``same_person``: live enrolments of another
    issuer with the same address or names (rule 22). ``above_capacity``: why an organiser gave a seat when
    none was free. ``sorted_by``: the chosen sort value.
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
    enrolment_id: UUID
    family_name: str
    given_name: str
    employer: str
    attendance: Attendance | None
    arrived_at: datetime | None
