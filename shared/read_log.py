"""The log of reads: which member of staff, or trainer, read whose data, and why.

Requests to correct or erase a person are logged too. A line is written in the transaction that reads, with
the database's time. The database refuses to delete lines within half a year
(``shared.retention_settings``) and to change them, except for the columns that name a forgotten person.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import unquote
from uuid import UUID

from fastapi import Header
from sqlalchemy import BigInteger, Column, Identity, Index, MetaData, select, text
from sqlmodel import Field, SQLModel, col

from shared.auth import Principal
from shared.database import Timestamp, Transaction, new_registry
from shared.events.vocabulary import AgentKey
from shared.http import Problem
from shared.permissions import Role
from shared.personal_data import BY_ADDRESS, PersonalData, Register, Retention, Whose
from shared.statements import insert_many

LONGEST_PURPOSE = 200
_USUAL = {Role.ORGANISER: "organisation de la session", Role.ADMIN: "administration"}
_COMMAND = "ligne de commande"
_TEACHING = "animation de la session"
_UNWRITTEN = frozenset((*_USUAL.values(), _COMMAND, _TEACHING))


class ReadKind(StrEnum):
    PERSON = "person"
    MAILS = "mails"
    MAIL = "mail"
    LETTER = "letter"
    ROSTER = "roster"
    SHEET = "sheet"
    CERTIFICATE = "certificate"
    REQUEST = "request"
    ENROLMENTS = "enrolments"
    EXPLANATION = "explanation"
    EXPORT = "export"
    ADDRESS = "address"
    ANSWERS = "answers"
    BESPOKE = "bespoke"
    DEAD_LETTER = "dead_letter"
    EVENT = "event"
    CORRECTION = "correction"
    WRITTEN_AGAIN = "written_again"
    ERASURE = "erasure"


# ------------------------------------------------------------------------------------------ what is stored


class ReadLogTable(SQLModel, registry=new_registry()):
    pass


class ReadLogRow(ReadLogTable, table=True):
    """A read: of one agent's data, or of everybody in a session."""

    __tablename__ = "read_log"
    __table_args__ = (
        Index("ix_read_log_agent", "agent_id", "issuer", postgresql_where=text("agent_id IS NOT NULL")),
        Index("ix_read_log_session", "session_id", postgresql_where=text("agent_id IS NULL")),
        Index("ix_read_log_at", "at", postgresql_using="brin"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    at: datetime = Field(sa_type=Timestamp)
    actor: str
    role: str | None = Field(description="Null: a command, or a trainer by their link.")
    kind: str = Field(description="A ReadKind.")
    issuer: str | None
    agent_id: str | None
    session_id: UUID | None
    about: str | None = Field(
        description="The id of a bespoke request, correction or erasure; the number of a dead letter or of "
        "an outbox event."
    )
    may_name_others: bool = Field(
        default=False,
        sa_column_kwargs={"server_default": text("false")},
        description="Whether somebody wrote the purpose of a roster, list or other search, and it may name "
        "somebody else.",
    )
    purpose: str | None = Field(
        description="People write what they like: null where it finds nobody, and once they are forgotten."
    )


def add_to(metadata: MetaData) -> None:
    for table in ReadLogTable.metadata.tables.values():
        table.to_metadata(metadata)


@dataclass(frozen=True, slots=True)
class Reading:
    """``role`` is None for an operator's command and for a trainer.

    ``is_of_search``: the purpose was typed for an earlier search, perhaps for another person.
    """

    actor: str
    role: Role | None
    purpose: str
    is_of_search: bool = False

    @classmethod
    def by_command(cls, actor: str) -> "Reading":
        return cls(actor, None, _COMMAND)

    @classmethod
    def by_trainer(cls, trainer_id: UUID) -> "Reading":
        return cls(f"formateur-{trainer_id}", None, _TEACHING)


async def record(
    tx: Transaction,
    reading: Reading,
    kind: ReadKind,
    *,
    agents: Iterable[AgentKey] = (),
    session_id: UUID | None = None,
    about: Iterable[UUID | int] = (),
    of_a_list: bool = False,
) -> None:
    """Write a line for each of these agents; without agents, one line about the session or about nobody.

    ``about`` are the ids of the data read; each has its lines. ``of_a_list``: the search named nobody, so its
    purpose may name another person than the person found. A line about nobody keeps no typed purpose: it may
    name a person, whose erasure would not find the line.
    """
    whose: list[AgentKey | None] = [*dict.fromkeys(agents)] or [None]
    which: list[str | None] = [str(read) for read in about] or [None]
    is_usual = reading.purpose in _UNWRITTEN
    is_of_many = len(whose) * len(which) > 1 or (whose == [None] and session_id is not None)
    is_vain = session_id is None and whose == [None] and which == [None]
    may_name_others = (
        is_of_many
        or of_a_list
        or (reading.is_of_search and not await _is_recorded_for(tx, reading, whose[0]))
    )
    line = {
        "actor": reading.actor,
        "role": reading.role,
        "kind": kind.value,
        "session_id": session_id,
        "may_name_others": may_name_others and not is_usual,
        "purpose": None if is_vain and not is_usual else reading.purpose,
    }
    rows = [
        line | {"issuer": agent and agent.issuer, "agent_id": agent and agent.agent_id, "about": read}
        for agent in whose
        for read in which
    ]
    await insert_many(tx, ReadLogRow, rows)


async def _is_recorded_for(tx: Transaction, reading: Reading, agent: AgentKey | None) -> bool:
    """The reader has read only this agent, for this purpose, before."""
    if agent is None:
        return False
    recorded = select(col(ReadLogRow.id)).where(
        col(ReadLogRow.agent_id) == agent.agent_id,
        col(ReadLogRow.issuer) == agent.issuer,
        col(ReadLogRow.actor) == reading.actor,
        col(ReadLogRow.purpose) == reading.purpose,
        col(ReadLogRow.may_name_others).is_(False),
    )
    return await tx.scalar(recorded.limit(1)) is not None


# --------------------------------------------------------------------------------------- why, by HTTP

NEEDED = Problem(
    400,
    "A purpose is needed",
    "Say what you read this for, such as the number of a ticket, in the header 'Read-Purpose': 3 to 200 "
    "characters, percent-encoded where they are not ASCII.",
    code="purpose_needed",
)

PurposeHeader = Annotated[
    str | None,
    Header(
        alias="Read-Purpose",
        description="What the data of people is read for, such as the number of a ticket, and no name: it is "
        "kept with who read it, and whom it names may not find it. Support must say it. Percent-encoded "
        "where it is not ASCII.",
    ),
]


def purpose_in(written: str) -> str | None:
    purpose = " ".join(written.split())
    return purpose if 3 <= len(purpose) <= LONGEST_PURPOSE and purpose.isprintable() else None


def reading_of(who: Principal, purpose: str | None) -> Reading:
    """Raises a 400 problem.

    Organisers read their own sessions and admins administer, so they need not state a purpose. Support gives
    a reason each time.
    """
    stated = None if purpose is None else purpose_in(unquote(purpose))
    if stated is None and (purpose is not None or who.role is Role.SUPPORT):
        raise NEEDED
    return Reading(who.name, who.role, stated or _USUAL[who.role])


# ------------------------------------------------------------------------------------------- for how long


_OVER = Retention(table=ReadLogRow, days="read_log_kept_days", since="la consultation", over="at < :before")
_PURPOSE = "Savoir qui a consulté les données d’une personne, et pourquoi."
_OF_AGENT = "issuer IN (:issuer, '') AND agent_id = :agent_id"
"""A record of the outbox need not name the issuer."""
_WHOSE = {
    "issuer": "qui a donné l’identifiant de l’agent",
    "agent_id": "identifiant de l’agent dont les données ont été consultées",
}


def register(*, of_session: str = "false", of_address: str = "") -> Register:
    """``of_address`` is the SQL condition for a read about a person who is no agent.

    ``of_session`` is the condition for a read of everybody in a session with the agent: the agent may see
    the line, and it stays after the agent's erasure. Nobody sees the typed reasons of reads about several
    persons or another person.
    """
    of_agent = f"(({_OF_AGENT}) OR (agent_id IS NULL AND {of_session}))"
    emptied = {
        **dict.fromkeys(_WHOSE, "NULL"),
        "purpose": f"CASE WHEN agent_id IS NULL AND kind <> '{ReadKind.BESPOKE}' THEN purpose END",
    }
    return Register(
        [
            PersonalData(
                table=ReadLogRow,
                whose=Whose.AGENTS,
                columns={**_WHOSE, "purpose": "motif de la consultation"},
                purpose=_PURPOSE,
                ends=(_OVER,),
                of_agent=f"{of_agent} AND NOT may_name_others",
                of_address=of_address and f"{of_address} AND NOT may_name_others",
                emptied=emptied,
            ),
            PersonalData(
                table=ReadLogRow,
                whose=Whose.AGENTS,
                columns={
                    **_WHOSE,
                    "purpose": "motif de la consultation de plusieurs personnes, ou d’une recherche qui "
                    "n’était pas faite pour la seule personne ; il n’est communiqué à aucune, car il peut en "
                    "nommer une",
                },
                purpose=_PURPOSE,
                ends=(_OVER,),
                of_agent=f"{of_agent} AND may_name_others",
                of_address=of_address and f"{of_address} AND may_name_others",
                emptied=emptied,
                of_others=("purpose",),
            ),
            PersonalData(
                table=ReadLogRow,
                whose=Whose.STAFF,
                columns={
                    "actor": "nom du jeton, courriel, ou numéro de formatrice ou de formateur, "
                    "de qui a consulté"
                },
                purpose=_PURPOSE,
                ends=(_OVER,),
                of_address=BY_ADDRESS.format("actor"),
                proof=True,
            ),
        ],
        [_OVER],
    )
