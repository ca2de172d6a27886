from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.notifier.tables import WithdrawnResourceRow
from shared.database import Transaction
from shared.events.catalogue import ResourceWithdrawn


async def save(tx: Transaction, withdrawn: Sequence[ResourceWithdrawn]) -> None:
    """End also the announcements. Wait for a slice that is being queued.

    A queued letter notices the withdrawal when its turn comes.
    """
    if withdrawn:
        ids = [resource.resource_id for resource in withdrawn]
        await tx.execute(_END_FAN_OUTS, {"ids": ids})
        moments = [resource.withdrawn_at for resource in withdrawn]
        await tx.execute(_SAVE, {"ids": ids, "moments": moments})


async def known(tx: Transaction, resource_ids: Collection[UUID]) -> set[UUID]:
    resource_id = col(WithdrawnResourceRow.resource_id)
    return set(await tx.scalars(select(resource_id).where(resource_id.in_(resource_ids))))


_END_FAN_OUTS = text(
    "UPDATE fan_out SET done_at = now() WHERE done_at IS NULL AND ("
    "task = 'news' AND subject_id = ANY(CAST(:ids AS uuid[])) OR task = 'replay' AND event_id IN "
    "(SELECT event_id FROM replay WHERE resource_id = ANY(CAST(:ids AS uuid[]))))"
)
_SAVE = text(
    """
    WITH withdrawn AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:moments AS timestamptz[]))
                      AS withdrawn (resource_id, withdrawn_at)),
    announced AS (DELETE FROM replay USING withdrawn WHERE replay.resource_id = withdrawn.resource_id
                  RETURNING replay.resource_id, event_id),
    item AS (DELETE FROM news USING withdrawn WHERE item_id = withdrawn.resource_id)
    INSERT INTO withdrawn_resource (resource_id, event_id, withdrawn_at)
    SELECT resource_id, event_id, withdrawn_at FROM withdrawn LEFT JOIN announced USING (resource_id)
        ON CONFLICT (resource_id) DO NOTHING"""
)
