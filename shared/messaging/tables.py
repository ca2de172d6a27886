"""The tables of messaging, in every service's database."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from shared.database import Timestamp, new_registry


class MessagingTable(SQLModel, registry=new_registry()):
    """The base of these tables."""


def _generated_id() -> Any:
    return Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))


def _written_at() -> Any:
    return Field(
        default=None, sa_type=Timestamp, nullable=False, sa_column_kwargs={"server_default": func.now()}
    )


class InboxRow(MessagingTable, table=True):
    """An event that has had its effect. Kept 90 days."""

    __tablename__ = "inbox"
    # Rows arrive in the order of time: a BRIN index finds old rows at almost no cost.
    __table_args__ = (Index(None, "seen_at", postgresql_using="brin"),)

    event_id: UUID = Field(primary_key=True)
    source: str = Field(primary_key=True)
    topic: str
    seen_at: datetime = _written_at()


class OutboxRow(MessagingTable, table=True):
    """An event for one destination, sent or not. Kept 7 days after (30 if a portal reads it).

    ``topic`` is null if a portal only reads by HTTP: the row is numbered and never sent.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_unsent", "bucket", "id", postgresql_where=text("sent_at IS NULL AND held IS NULL")),
        Index("ix_outbox_held", "topic", "key", postgresql_where=text("held IN ('refused', 'waiting')")),
        Index("uq_outbox_feed", "portal", "cursor", unique=True, postgresql_where=text("portal IS NOT NULL")),
        # Two indexes, because portals' answers stay longer: each index begins with the next rows to delete.
        Index(
            "ix_outbox_sent", "created_at", postgresql_where=text("sent_at IS NOT NULL AND portal IS NULL")
        ),
        Index(
            "ix_outbox_answered",
            "created_at",
            postgresql_where=text("sent_at IS NOT NULL AND portal IS NOT NULL"),
        ),
    )

    id: int = _generated_id()
    bucket: int = Field(sa_type=SmallInteger)
    topic: str | None = None
    key: str
    event_id: UUID
    type: str
    source: str
    traceparent: str | None = None
    data: str
    created_at: datetime = _written_at()
    sent_at: datetime | None = Field(default=None, sa_type=Timestamp)
    misrouted: bool = Field(
        default=False,
        sa_column_kwargs={
            "server_default": text("false"),
            "comment": "It answers a request that lay in a wrong partition, on a trial.",
        },
    )
    portal: str | None = Field(default=None, sa_column_kwargs={"comment": "Whose answer it is."})
    cursor: int | None = Field(
        default=None,
        sa_type=BigInteger,
        sa_column_kwargs={"comment": "Its number in that portal's feed, once it is sent."},
    )
    held: str | None = Field(
        default=None, sa_column_kwargs={"comment": "refused, waiting, discarded; null: the relay sends it"}
    )
    error: str | None = Field(default=None, sa_column_kwargs={"comment": "Why it is held."})


class PortalFeedRow(MessagingTable, table=True):
    """The last number of a portal's feed. Locking the row orders the numbering."""

    __tablename__ = "portal_feed"

    portal: str = Field(primary_key=True)
    last: int = Field(sa_type=BigInteger)


class OutboxBucketRow(MessagingTable, table=True):
    """The producers that may have records of a bucket on their way. Lost when Postgres crashes (ADR 0023)."""

    __tablename__ = "outbox_bucket"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    bucket: int = Field(sa_type=SmallInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    claimed_by: list[str] = Field(
        sa_type=ARRAY(String), sa_column_kwargs={"comment": "Transactional ids; empty between passes."}
    )


class OutboxProducerRow(MessagingTable, table=True):
    """A producer that was started, and neither closed nor fenced."""

    __tablename__ = "outbox_producer"

    transactional_id: str = Field(primary_key=True)
    started_at: datetime = _written_at()


class ClusterRow(MessagingTable, table=True):
    """The Kafka cluster that outbox and offsets belong to: one row."""

    __tablename__ = "cluster"

    id: int = Field(sa_type=SmallInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    cluster_id: str
    since: datetime = _written_at()


REJECTED_WITH_CONTENT = (
    "state = 'rejected' AND (key IS NOT NULL OR value IS NOT NULL OR headers <> '[]'::jsonb)"
)


class DeadLetterRow(MessagingTable, table=True):
    """A record that could not be handled, whole, until an operator decides."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        UniqueConstraint("topic", "partition", "offset", "digest"),
        Index("ix_dead_letter_parked", "id", postgresql_where=text("state = 'parked'")),
        Index("ix_dead_letter_event_id", "event_id", postgresql_where=text("event_id IS NOT NULL")),
        Index("ix_dead_letter_rejected", "portal", "id", postgresql_where=text(REJECTED_WITH_CONTENT)),
    )

    id: int = _generated_id()
    topic: str
    partition: int
    offset: int = Field(sa_type=BigInteger)
    # Two records can have the same offset: one before and one after a broker lost its disk.
    digest: bytes
    key: bytes | None = None
    value: bytes | None = None
    headers: list[tuple[str, str | None]] = Field(
        sa_type=JSONB, sa_column_kwargs={"comment": "[[name, base64 or null], …] in order"}
    )
    received_at: datetime = Field(
        sa_type=Timestamp, sa_column_kwargs={"comment": "What a deadline is judged by."}
    )
    event_type: str | None = None
    error: str
    traceback: str | None = None
    parked_at: datetime = _written_at()
    state: str = Field(
        default="parked",
        sa_column_kwargs={"server_default": "parked", "comment": "parked, redriven, discarded, rejected"},
    )
    event_id: UUID | None = Field(default=None, sa_column_kwargs={"comment": "ce_id, where it was read"})
    code: str | None = Field(
        default=None, sa_column_kwargs={"comment": "shared.events.outcomes.RejectionCode, of a rejected one"}
    )
    problems: list[dict[str, str]] | None = Field(
        default=None,
        sa_type=JSONB,
        sa_column_kwargs={"comment": "[{pointer, message}, …], of a rejected one"},
    )
    source: str | None = Field(default=None, sa_column_kwargs={"comment": "ce_source, where it was read"})
    portal: str | None = Field(
        default=None, sa_column_kwargs={"comment": "Who hears what became of it; null: no portal we know."}
    )


class DeadLetterAuditRow(MessagingTable, table=True):
    """A decision on a dead letter."""

    __tablename__ = "dead_letter_audit"

    id: int = _generated_id()
    dead_letter_id: int = Field(sa_type=BigInteger, index=True)
    at: datetime = _written_at()
    actor: str
    action: str = Field(sa_column_kwargs={"comment": "redriven, redrive failed, discarded"})
    note: str | None = None


class ErasureRow(MessagingTable, table=True):
    """An agent's request to be forgotten. Once done, it names nobody; the row stays as proof."""

    __tablename__ = "erasure"
    __table_args__ = (
        Index(
            "ix_erasure_open",
            "request_source",
            "received_at",
            "request_id",
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    request_id: UUID = Field(primary_key=True)
    request_source: str = Field(primary_key=True)
    issuer: str | None = None
    agent_id: str | None = None
    received_at: datetime = Field(sa_type=Timestamp)
    done_at: datetime | None = Field(default=None, sa_type=Timestamp)


class ReadProgressRow(MessagingTable, table=True):
    """Until when any process has read a partition of a topic."""

    __tablename__ = "read_progress"

    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    read_until: datetime = Field(sa_type=Timestamp)


def add_to(metadata: MetaData) -> None:
    """Add these tables to a service's own, so that its migrations create them."""
    for table in MessagingTable.metadata.tables.values():
        table.to_metadata(metadata)
