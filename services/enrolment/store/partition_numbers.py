from datetime import datetime

from sqlalchemy import text
from sqlmodel import col, select

from services.enrolment.tables import PartitionNumberRow
from shared.database import Transaction
from shared.messaging.partitions import PartitionNumber


async def save_number(tx: Transaction, number: int, now: datetime) -> list[PartitionNumber]:
    await tx.execute(_END_OTHERS, {"number": number, "now": now})
    await tx.execute(_BEGIN, {"number": number})
    return await known(tx)


async def known(tx: Transaction) -> list[PartitionNumber]:
    rows = await tx.execute(select(col(PartitionNumberRow.number), col(PartitionNumberRow.until)))
    return [PartitionNumber(row.number, row.until) for row in rows]


_END_OTHERS = text("UPDATE partition_number SET until = :now WHERE until IS NULL AND number <> :number")
_BEGIN = text(
    "INSERT INTO partition_number (number, until) VALUES (:number, NULL) "
    "ON CONFLICT (number) DO UPDATE SET until = NULL WHERE partition_number.until IS NOT NULL"
)
