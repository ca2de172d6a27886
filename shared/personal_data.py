"""The register of personal data: what a service stores about people, why, for how long, and how it ends.

Retention, erasure, the export for a person and the published documents are made from the registers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import TextClause, inspect, text
from sqlmodel import SQLModel

from shared.database import Transaction
from shared.events.vocabulary import AgentKey

SLICE = 1_000


class Whose(StrEnum):
    AGENTS = "agentes et agents territoriaux"
    OFFICERS = "correspondantes et correspondants des collectivités et des délégations"
    SUBSCRIBERS = "personnes abonnées aux nouveautés"
    ADDRESSEES = f"{AGENTS}, {OFFICERS}, personnes abonnées"
    NAMED = "agentes et agents territoriaux, et autres personnes que nomme l’événement"
    STAFF = "personnel du CNFPT"
    TRAINERS = "formatrices et formateurs"
    VISITORS = "personnes qui ouvrent les pages, ou appellent les services"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """A rule that ends rows ``days`` after ``since`` (in French).

    ``days`` is a number, or the setting that has it. ``over`` is the SQL condition for a row that has ended;
    ``:before`` is the moment that many days ago. The row is deleted, with the rows of other tables that
    refer to its ``key`` by the columns of ``with_rows_of``; or only its columns ``emptied`` become null.
    """

    table: type[SQLModel]
    days: int | str
    since: str
    over: str
    emptied: tuple[str, ...] = ()
    key: str = ""
    with_rows_of: Mapping[type[SQLModel], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """Personal data in one table.

    ``columns`` describe each column, ``purpose`` the reason to keep them, both in French. ``ends`` are the
    rules of retention. ``until`` names another end, in French, after « jusqu’à ce que ».

    ``of_agent`` is the SQL condition for a row about an agent, with the parameters of :class:`Subject`.
    ``of_address`` is the condition for a row about a person known by an address alone. ``address`` is the
    SQL of the agent's addresses in a row; it finds the agent by an address if the row has the columns
    ``identifier`` and ``issuer``.

    An erasure deletes the row, or sets its columns ``emptied`` to these SQL values. A ``proof`` of an act
    stays, and the person only gets its time; ``at`` and ``actor`` are the SQL of time and author. Columns
    ``of_others`` concern another person and are not given out.
    """

    table: type[SQLModel]
    whose: Whose
    columns: Mapping[str, str]
    purpose: str
    ends: tuple[Retention, ...] = ()
    until: str = ""
    of_agent: str = ""
    of_address: str = ""
    address: str = ""
    identifier: str = "agent_id"
    emptied: Mapping[str, str] = field(default_factory=dict)
    of_others: tuple[str, ...] = ()
    proof: bool = False
    at: str = "at"
    actor: str = "actor"

    def condition(self, subject: "Subject") -> str:
        """Return "" if no row can be about the subject."""
        return self.of_address if subject.agent is None else self.of_agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The person whose rows are looked for.

    ``agent`` is None for a person known by an address alone. ``addresses`` are in lower case. ``digests``
    replace them where addresses are not stored. Portals with these ``sources_of_others`` mean no agent of
    this issuer. Rows after ``until`` are left out.
    """

    agent: AgentKey | None
    until: datetime
    addresses: frozenset[str] = frozenset()
    digests: frozenset[bytes] = frozenset()
    sources_of_others: frozenset[str] = frozenset()

    def parameters_of(self, condition: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            "until": self.until,
            "addresses": sorted(self.addresses),
            "digests": sorted(self.digests),
            "sources_of_others": sorted(self.sources_of_others),
        }
        if self.agent is not None:
            in_json = f'"agent_id":{json.dumps(self.agent.agent_id)}'
            values |= {**self.agent._asdict(), "in_json": in_json}
        return {name: value for name, value in values.items() if f":{name}" in condition}


BY_ADDRESS = "lower({}) = ANY(CAST(:addresses AS text[]))"


@dataclass(frozen=True, slots=True)
class Register:
    """What a service stores about people, and the rules that delete old rows, about people or not."""

    personal_data: Sequence[PersonalData]
    retentions: Sequence[Retention]

    def __add__(self, other: "Register") -> "Register":
        return Register([*self.personal_data, *other.personal_data], [*self.retentions, *other.retentions])


def days_of(retention: Retention, settings: object) -> int:
    return retention.days if isinstance(retention.days, int) else getattr(settings, retention.days)


async def end_rows(tx: Transaction, retention: Retention, days: int, now: datetime) -> int:
    """End at most :data:`SLICE` rows that are older than ``days``. Returns their number."""
    parameters = {"before": now - timedelta(days=days), "most": SLICE}
    return (await tx.execute(statement(retention), parameters)).rowcount


async def addresses_of(tx: Transaction, register: Register, subject: Subject) -> frozenset[str]:
    found: set[str | None] = set()
    for held in register.personal_data:
        if held.address:
            query = (
                f"SELECT DISTINCT lower({held.address}) FROM {held.table.__tablename__} WHERE {held.of_agent}"  # noqa: S608 names and conditions of our own
            )
            found.update(await _values(tx, query, subject))
    return frozenset(address for address in found if address is not None)


async def agents_with(tx: Transaction, register: Register, address: str) -> list[AgentKey]:
    found: set[AgentKey] = set()
    for held in register.personal_data:
        if held.address and held.identifier:
            rows = (
                f"SELECT issuer, {held.identifier} AS agent_id, lower({held.address}) AS address "  # noqa: S608 as above
                f"FROM {held.table.__tablename__}"
            )
            query = (
                f"SELECT DISTINCT issuer, agent_id FROM ({rows}) AS known "  # noqa: S608 as above
                "WHERE address = :address AND issuer <> '' AND agent_id IS NOT NULL"
            )
            named = await tx.execute(text(query), {"address": address.lower()})
            found.update(AgentKey(row.issuer, row.agent_id) for row in named)
    return sorted(found)


async def rows_of(tx: Transaction, held: PersonalData, subject: Subject) -> list[dict[str, Any]]:
    name = held.table.__tablename__
    # The row as ``name.*``, because a column may have the table's name. A proof may name other persons.
    whole = f"to_jsonb({name}.*) - CAST('{{{','.join(held.of_others)}}}' AS text[])"
    row = f"jsonb_build_object('at', {held.at}, 'actor', {held.actor})" if held.proof else whole
    order = ", ".join(f"{name}.{column.name}" for column in inspect(held.table).primary_key)
    query = f"SELECT {row} FROM {name} WHERE {held.condition(subject)} ORDER BY {order}"  # noqa: S608 as above
    return await _values(tx, query, subject)


async def erase_rows(tx: Transaction, held: PersonalData, subject: Subject) -> int:
    statement = _statement(str(held.table.__tablename__), held.emptied, f"WHERE {held.condition(subject)}")
    return (await tx.execute(text(statement), subject.parameters_of(statement))).rowcount


def statement(retention: Retention) -> TextClause:
    """End at most ``:most`` rows. Only rows of the table itself are counted."""
    table = str(retention.table.__tablename__)
    over = f"SELECT ctid FROM {table} WHERE {retention.over}"  # noqa: S608 as above
    slice_ = f"WHERE ctid = ANY(ARRAY({over} LIMIT :most FOR UPDATE SKIP LOCKED))"
    ended = _statement(table, dict.fromkeys(retention.emptied, "NULL"), slice_)
    if not retention.with_rows_of:
        return text(ended)
    others = [
        f"with_{other.__tablename__} AS (DELETE FROM {other.__tablename__} AS other USING ended "  # noqa: S608 as above
        f"WHERE other.{column} = ended.{retention.key})"
        for other, column in retention.with_rows_of.items()
    ]
    steps = ", ".join([f"ended AS ({ended} RETURNING {retention.key})", *others])
    return text(f"WITH {steps} SELECT FROM ended")


def _statement(table: str, emptied: Mapping[str, str], where: str) -> str:
    if not emptied:
        return f"DELETE FROM {table} {where}"  # noqa: S608 as above
    values = ", ".join(f"{name} = {value}" for name, value in emptied.items())
    return f"UPDATE {table} SET {values} {where}"  # noqa: S608 as above


async def _values(tx: Transaction, query: str, subject: Subject) -> list[Any]:
    return list(await tx.scalars(text(query), subject.parameters_of(query)))
