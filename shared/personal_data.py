"""The register of personal data: what a service keeps of people, what for, for how long, and how it ends.

Each service writes its own beside its tables. The retention job and the published documents are made from it,
and a column that holds personal data without standing in it fails the tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import TextClause, text
from sqlmodel import SQLModel

from shared.database import Transaction

SLICE = 1_000
"""Rows that end in one transaction."""


class Whose(StrEnum):
    """Whom personal data is about, as the register says it in French."""

    AGENTS = "agents territoriaux"
    OFFICERS = "correspondants des collectivités et des délégations"
    SUBSCRIBERS = "abonnés aux actualités"
    STAFF = "personnel du CNFPT"
    VISITORS = "personnes qui ouvrent les pages, ou appellent les services"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """When rows of a table end: ``days`` after what ``since`` says in French.

    ``days`` is a number, or the setting that has it. ``over`` is the SQL condition for a row that has ended,
    where ``:before`` is the moment so many days ago. The row is deleted, with the rows of other tables whose
    column, which ``with_rows_of`` says, has its ``key``; or only its columns ``emptied`` are set to null.
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

    ``columns`` say what each holds, ``purpose`` what it is needed for, both in French. ``ends``: the rules by
    which it ends; ``until``: what ends it besides, in French, after « jusqu’à ce que ».
    """

    table: type[SQLModel]
    whose: Whose
    columns: Mapping[str, str]
    purpose: str
    ends: tuple[Retention, ...] = ()
    until: str = ""


@dataclass(frozen=True, slots=True)
class Register:
    """What a service keeps of people, and by which rules it deletes what is old, of people or not."""

    personal_data: Sequence[PersonalData]
    retentions: Sequence[Retention]

    def __add__(self, other: "Register") -> "Register":
        """Return both as one."""
        return Register([*self.personal_data, *other.personal_data], [*self.retentions, *other.retentions])


def days_of(retention: Retention, settings: object) -> int:
    """Return how many days a rule waits; ``settings`` has those that an installation may choose."""
    return retention.days if isinstance(retention.days, int) else getattr(settings, retention.days)


async def end_rows(tx: Transaction, retention: Retention, days: int, now: datetime) -> int:
    """End at most :data:`SLICE` rows that are over ``days`` before that moment. Returns how many."""
    parameters = {"before": now - timedelta(days=days), "most": SLICE}
    return (await tx.execute(statement(retention), parameters)).rowcount


def statement(retention: Retention) -> TextClause:
    """Return the statement that ends ``:most`` rows at most; it counts those of the table itself."""
    table = retention.table.__tablename__
    over = f"SELECT ctid FROM {table} WHERE {retention.over}"  # noqa: S608 names and conditions of our own
    lock = "LIMIT :most FOR UPDATE SKIP LOCKED"
    if retention.emptied:
        nulls = ", ".join(f"{name} = NULL" for name in retention.emptied)
        return text(f"UPDATE {table} SET {nulls} WHERE ctid = ANY(ARRAY({over} {lock}))")  # noqa: S608 as above
    ended = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({over} {lock}))"  # noqa: S608 as above
    if not retention.with_rows_of:
        return text(ended)
    others = [
        f"with_{other.__tablename__} AS (DELETE FROM {other.__tablename__} AS other USING ended "  # noqa: S608 as above
        f"WHERE other.{column} = ended.{retention.key})"
        for other, column in retention.with_rows_of.items()
    ]
    steps = ", ".join([f"ended AS ({ended} RETURNING {retention.key})", *others])
    return text(f"WITH {steps} SELECT FROM ended")
