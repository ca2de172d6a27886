from collections.abc import Collection
from uuid import UUID

from sqlalchemy import delete, select
from sqlmodel import col

from services.notifier.tables import TrainerRow
from shared.database import Transaction
from shared.events.catalogue import SessionTrainersChanged
from shared.statements import insert_many


async def save(tx: Transaction, lists: Collection[SessionTrainersChanged]) -> None:
    """Store the newest list of each session, and delete trainers of older lists."""
    for named in lists:
        await tx.execute(
            delete(TrainerRow).where(
                col(TrainerRow.session_id) == named.session_id,
                col(TrainerRow.version) < named.session_version,
                col(TrainerRow.trainer_id).not_in([trainer.trainer_id for trainer in named.trainers]),
            )
        )
    rows = [
        {
            "trainer_id": trainer.trainer_id,
            "session_id": named.session_id,
            "version": named.session_version,
            "name": trainer.name,
            "address": trainer.email,
        }
        for named in lists
        for trainer in named.trainers
    ]
    if rows:
        await insert_many(
            tx,
            TrainerRow,
            rows,
            then="ON CONFLICT (trainer_id) DO UPDATE SET version = excluded.version, name = excluded.name, "
            "address = excluded.address WHERE trainer.version < excluded.version",
        )


async def written_to(tx: Transaction, ids: Collection[UUID]) -> list[TrainerRow]:
    query = select(TrainerRow).where(
        col(TrainerRow.trainer_id).in_(ids), col(TrainerRow.address).is_not(None)
    )
    return list(await tx.scalars(query.order_by(col(TrainerRow.trainer_id)))) if ids else []


async def names(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, str]:
    if not ids:
        return {}
    query = select(col(TrainerRow.trainer_id), col(TrainerRow.name)).where(
        col(TrainerRow.trainer_id).in_(ids)
    )
    return {row.trainer_id: row.name for row in await tx.execute(query)}
