"""The three tables that the mechanisms own in every service's database."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import NAMES

_metadata = MetaData(naming_convention=NAMES)
_moment = DateTime(timezone=True)

inbox = Table(
    "inbox",
    _metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("topic", String, nullable=False),
    Column("seen_at", _moment, nullable=False, server_default=func.now()),
    # Rows arrive in the order of time: a BRIN index finds the old ones at almost no cost.
    Index(None, "seen_at", postgresql_using="brin"),
)
"""Events that have had their effect. Kept 90 days."""

outbox = Table(
    "outbox",
    _metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("bucket", SmallInteger, nullable=False),
    Column("topic", String, nullable=False),
    Column("key", String, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("type", String, nullable=False),
    Column("source", String, nullable=False),
    Column("traceparent", String),
    Column("data", String, nullable=False),
    Column("created_at", _moment, nullable=False, server_default=func.now()),
    Column("sent_at", _moment),
    Index("ix_outbox_unsent", "bucket", "id", postgresql_where=text("sent_at IS NULL")),
    Index(None, "created_at", postgresql_using="brin"),
)
"""Events to publish, and those published in the last 7 days."""

dead_letter = Table(
    "dead_letter",
    _metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    # Tells two records apart that had the same offset on two lives of a broker that lost its disk.
    Column("digest", LargeBinary, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", JSONB, nullable=False, comment="[[name, base64 or null], …] in order"),
    Column("received_at", _moment, nullable=False, comment="What a deadline is judged by."),
    Column("event_type", String),
    Column("error", String, nullable=False),
    Column("traceback", String),
    Column("parked_at", _moment, nullable=False, server_default=func.now()),
    Column("state", String, nullable=False, server_default="parked", comment="parked, redriven, discarded"),
    UniqueConstraint("topic", "partition", "offset", "digest"),
    Index("ix_dead_letter_parked", "id", postgresql_where=text("state = 'parked'")),
)
"""Records that could not be handled, whole, until somebody decides."""

dead_letter_audit = Table(
    "dead_letter_audit",
    _metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("dead_letter_id", BigInteger, nullable=False, index=True),
    Column("at", _moment, nullable=False, server_default=func.now()),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False, comment="redriven, redrive failed, discarded"),
    Column("note", String),
)
"""Who decided what about a dead letter."""


def add_to(metadata: MetaData) -> None:
    """Put the mechanisms' tables among a service's own, so that its migrations make them."""
    for table in _metadata.tables.values():
        table.to_metadata(metadata)
