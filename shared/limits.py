"""Counts in Postgres, shared by all processes and keyed by digests that name nobody.

A count is a row that ends with its window. A service may count in its own transaction.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import MetaData, text
from sqlmodel import Field, SQLModel

from shared.database import Timestamp, Transaction, new_registry
from shared.personal_data import PersonalData, Register, Retention, Whose

_RATE = re.compile(r"([1-9]\d{0,8})/(?:(\d{1,4}) ?)?(second|minute|hour|day)s?")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """``most`` acts within ``seconds`` from the first one on."""

    most: int
    seconds: int

    @classmethod
    def parse(cls, written: str) -> Self:
        """Parse ``600/minute`` or ``30/10 minutes``. Raises ``ValueError``."""
        found = _RATE.fullmatch(written.strip())
        if found is None or found[2] == "0":
            raise ValueError(f"{written!r} is not a rate such as 600/minute or 30/10 minutes")
        return cls(int(found[1]), int(found[2] or 1) * _SECONDS[found[3]])


class _Table(SQLModel, registry=new_registry()):
    pass


class RequestCountRow(_Table, table=True):
    """A count until ``ends_at``, when it begins anew.

    The table is unlogged: a crash of Postgres loses the counts, and a count waits for no disk.
    """

    __tablename__ = "request_count"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    counted: bytes = Field(
        primary_key=True, description="Keyed digest of what is counted, and of whose network, token, mailbox."
    )
    taken: int
    ends_at: datetime = Field(sa_type=Timestamp)


def add_to(metadata: MetaData) -> None:
    for table in _Table.metadata.tables.values():
        table.to_metadata(metadata)


_OVER = Retention(
    table=RequestCountRow,
    days=0,
    since="la fin du compte, un jour au plus après la première demande",
    over="ends_at <= :before",
)

REGISTER = Register(
    [
        PersonalData(
            table=RequestCountRow,
            whose=Whose.VISITORS,
            columns={"counted": "empreinte à clé du réseau, du jeton ou du courriel de qui demande"},
            purpose="Limiter combien de fois on peut se tromper de jeton, ou demander la même chose.",
            ends=(_OVER,),
        )
    ],
    [_OVER],
)


async def take(tx: Transaction, counted: bytes, rate: Rate) -> bool:
    """Count an act in its own transaction. Returns whether it is allowed."""
    rows = await tx.execute(TAKE, parameters(counted, rate, 1))
    return bool(rows.one().is_within)


def parameters(counted: bytes, rate: Rate, number: int) -> dict[str, object]:
    within = timedelta(seconds=rate.seconds)
    return {"counted": counted, "number": number, "most": rate.most, "within": within}


TAKE = text(
    """
    WITH counted AS (
        INSERT INTO request_count AS known (counted, taken, ends_at)
        VALUES (:counted, CAST(:number AS integer), now() + CAST(:within AS interval))
            ON CONFLICT (counted) DO UPDATE
               SET taken = excluded.taken + CASE WHEN known.ends_at <= now() THEN 0 ELSE known.taken END,
                   ends_at = CASE WHEN known.ends_at <= now() THEN excluded.ends_at ELSE known.ends_at END
             WHERE known.ends_at <= now() OR known.taken + excluded.taken <= CAST(:most AS integer)
        RETURNING ends_at)
    SELECT true AS is_within, extract(epoch FROM ends_at - now()) AS seconds FROM counted
    UNION ALL
    SELECT false, coalesce((SELECT extract(epoch FROM ends_at - now()) FROM request_count
                             WHERE counted = :counted), extract(epoch FROM CAST(:within AS interval)))
     WHERE NOT EXISTS (SELECT FROM counted)"""
)
"""Take ``number`` of a count, or nothing if that would exceed ``most``. The window ends in ``seconds``."""
