"""The Kafka cluster of a service: the first is kept, and another is refused.

Outbox and offsets belong to one cluster, and another cluster acknowledges nothing of it. So each connection
of a running service asks for the cluster's id before it is used.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest
from sqlalchemy import text
from sqlmodel import select

from shared.database import Database, Transaction
from shared.messaging import connections
from shared.messaging.broker import KafkaSettings, client_options
from shared.messaging.tables import ClusterRow

EMBEDDED = "tansu_cluster"
"""The id of every embedded broker. It keeps no data, so a trial may always change from or to it."""


class OtherCluster(KafkaConnectionError):  # type: ignore[misc]  # aiokafka left it untyped
    """A connection leads to another cluster than ours."""


@dataclass(frozen=True, slots=True)
class Ours:
    """The cluster of this service. ``on_other`` is called with the id of another cluster."""

    id: str
    on_other: Callable[[str], None]


_ours: ContextVar[Ours | None] = ContextVar("cluster", default=None)


@contextmanager
def belonging_to(cluster: Ours) -> Iterator[None]:
    """Verify all connections of this task, and of tasks it starts."""
    connections.use(_is_ours)
    token = _ours.set(cluster)
    try:
        yield
    finally:
        _ours.reset(token)


def is_embedded() -> bool:
    """Return whether the cluster of this task is an embedded broker."""
    ours = _ours.get()
    return ours is not None and ours.id == EMBEDDED


async def id_at(settings: KafkaSettings) -> str:
    """Return the id of the cluster that answers. Raises ``KafkaError``."""
    client = AIOKafkaClient(**client_options(settings, "parcours-cluster"))
    try:
        await client.bootstrap()
        answer = await client.send(client.get_random_node(), MetadataRequest([]))
        return str(answer.cluster_id)
    finally:
        await client.close()


async def keep(database: Database, found: str) -> str:
    """Keep this cluster unless one is kept already. Returns the id of ours."""
    [row] = await database.execute_alone(_KEEP, {"found": found, "embedded": EMBEDDED})
    return str(row.cluster_id)


async def kept(tx: Transaction) -> str | None:
    """Return the id of our cluster, or None if none is kept yet."""
    found: str | None = await tx.scalar(select(ClusterRow.cluster_id))
    return found


async def accept(database: Database, found: str) -> None:
    """Make this cluster ours from now on."""
    await database.execute_alone(_ACCEPT, {"found": found})


async def _is_ours(connection: AIOKafkaConnection) -> None:
    cluster = _ours.get()
    if cluster is not None:
        answer = await connection.send(MetadataRequest([]))  # without topics: only the cluster
        if answer.cluster_id != cluster.id:
            cluster.on_other(str(answer.cluster_id))
            raise OtherCluster(f"{answer.cluster_id} answers, not {cluster.id}")


_KEEP = text(
    """
    INSERT INTO cluster AS kept (id, cluster_id) VALUES (1, :found)
        ON CONFLICT (id) DO UPDATE
       SET cluster_id = CASE WHEN :embedded IN (:found, kept.cluster_id) THEN :found ELSE kept.cluster_id END
    RETURNING cluster_id"""
)
_ACCEPT = text(
    "INSERT INTO cluster (id, cluster_id) VALUES (1, :found) "
    "ON CONFLICT (id) DO UPDATE SET cluster_id = :found, since = now()"
)
