"""Counts in Postgres, shared by all processes and keyed by digests that name nobody.

A count is a row that ends with its window. A service may count in its own transaction.
"""

from datetime import datetime, timedelta

from sqlalchemy import MetaData, text
from sqlmodel import Field, SQLModel

from shared.database import Timestamp, Transaction, new_registry
from shared.personal_data import PersonalData, Register, Retention, Whose
from shared.rates import Rate


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
