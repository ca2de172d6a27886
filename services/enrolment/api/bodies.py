from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.roster_lines import LineKey, RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service.commands import Command
from services.enrolment.service.sheet_lines import module_title
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.events.reasons import Reason
from shared.events.vocabulary import (
    Agent,
    AgentId,
    IssuerName,
    at_most,
)

MAX_CANDIDATES = 20_000
MAX_RECORDS = 20_000
AMBIGUOUS = "two agents of the session have this identifier, of two issuers; say which issuer is meant"


class ModuleAttendance(BaseModel):
    """The attendance of an agent at one module."""

    module: int = Field(description="1 is the first module. A session without modules has module 1.")
    title: str | None = Field(description="Null: the session as a whole.")
    attendance: Attendance


class AnsweredQuestion(BaseModel):
    """An agent's answer to a question of the session."""

    question_id: str
    question: str = Field(description="The text of the question at the time of the answer.")
    value: Any = Field(description="A text, a boolean, a number, or a list of codes of needed adjustments.")


class RosterEntry(BaseModel):
    """The present state of one agent's enrolment in the session."""

    enrolment_id: UUID
    version: int
    state: State
    reason: Reason | None = Field(description="Why the request was refused.")
    position: int | None = Field(description="Place in line of a waiting agent; 1 is next.")
    waits_together: bool = Field(
        description="True: the agent waits in a group. A group has one place and gets its seats at once."
    )
    priority: int = Field(description="Higher priorities are served first. The default is 0.")
    agent: Agent
    address_is_bad: bool = Field(description="True: mails to this agent come back.")
    received_at: datetime
    updated_at: datetime
    hold_until: datetime | None = Field(description="The end of the offer of a seat.")
    attendance: list[ModuleAttendance]
    same_person: list[UUID] = Field(
        description=(
            "Enrolments in this session of an agent of another issuer with the same address or the"
            " same names. They may be the same person: join them, or leave them."
        )
    )
    above_capacity: str | None = Field(
        description="Why the agent was enrolled by hand without a free seat. Null: the agent was not."
    )
    answers: list[AnsweredQuestion] = Field(
        description=(
            "The answers to the session's questions. Only you see them. They are deleted on the "
            "day that the question names."
        )
    )


KEY = TypeAdapter(LineKey)


def key_of(line: RosterLine) -> Any:
    return KEY.dump_python(line.key, mode="json")


def roster_entry(line: RosterLine, session: SessionState) -> RosterEntry:
    enrolment = line.enrolment
    return RosterEntry(
        enrolment_id=enrolment.enrolment_id,
        version=enrolment.version,
        state=enrolment.state,
        reason=enrolment.reason,
        position=line.position,
        waits_together=enrolment.state is State.WAITLISTED and enrolment.waits_together,
        priority=enrolment.priority,
        agent=enrolment.agent,
        address_is_bad=line.address_is_bad,
        received_at=enrolment.received_at,
        updated_at=line.updated_at,
        hold_until=enrolment.hold_until if enrolment.state is State.OFFERED else None,
        attendance=[
            ModuleAttendance(module=number + 1, title=module_title(session, number), attendance=attendance)
            for number, attendance in sorted(line.attendance.items())
        ],
        same_person=list(line.same_person),
        above_capacity=line.above_capacity,
        answers=[
            AnsweredQuestion(question_id=name, question=answer.question, value=answer.value)
            for name, answer in line.answers.items()
        ],
    )


class IssuedId(Command):
    """An agent by identifier and issuer, for a session where two agents have the same identifier."""

    agent_id: AgentId
    issuer: IssuerName


Candidate = AgentId | IssuedId


class Ranking(Command):
    """The selected candidates, best first, and the others. Each candidate is named once."""

    ranked: Annotated[tuple[Candidate, ...], at_most(MAX_CANDIDATES), Field(max_length=MAX_CANDIDATES)] = ()
    not_selected: Annotated[
        tuple[Candidate, ...], at_most(MAX_CANDIDATES), Field(max_length=MAX_CANDIDATES)
    ] = ()


def named_agent(candidate: Candidate) -> NamedAgent:
    if isinstance(candidate, IssuedId):
        return NamedAgent(candidate.agent_id, candidate.issuer)
    return NamedAgent(candidate)


class Selected(BaseModel):
    """The result of a ranking: agents with a seat, on the waiting list, and refused."""

    enrolled: int
    waitlisted: int
    refused: int


class Record(Command):
    """The attendance of an agent at a module."""

    agent_id: AgentId
    issuer: IssuerName | None = Field(
        default=None, description="Only needed if two agents in the session have this agent_id."
    )
    module: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="1 is the first module. Not needed if the session has one module.",
    )
    attendance: Attendance

    @property
    def agent(self) -> NamedAgent:
        return NamedAgent(self.agent_id, self.issuer)


class Records(Command):
    """Attendance records. They may correct earlier records; other records stay."""

    records: Annotated[tuple[Record, ...], at_most(MAX_RECORDS), Field(min_length=1, max_length=MAX_RECORDS)]


class Recorded(BaseModel):
    """The number of records."""

    records: int
