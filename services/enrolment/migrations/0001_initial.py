"""Sessions, enrolments, requests and the messaging tables."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_LIVE = (
    "state IN ('absent', 'absent_justified', 'attended', 'certified', 'enrolled', 'offered', "
    "'pending_approval', 'pending_selection', 'waitlisted')"
)


# Whoever may write to the table can neither hide a read nor change it: a line goes once it is half a year
# old, and loses whom it is about, and why, when that person is forgotten.
_KEEP_READ_LOG = """
CREATE FUNCTION keep_read_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.at = clock_timestamp();
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' THEN
        IF OLD.at < clock_timestamp() - interval '180 days' THEN
            RETURN OLD;
        END IF;
    ELSIF NEW IS NOT DISTINCT FROM OLD
        OR (NEW.issuer IS NULL AND NEW.agent_id IS NULL AND NEW.purpose IS NULL
            AND (NEW.id, NEW.at, NEW.actor, NEW.role, NEW.kind, NEW.session_id, NEW.about,
                NEW.may_name_others)
            IS NOT DISTINCT FROM
            (OLD.id, OLD.at, OLD.actor, OLD.role, OLD.kind, OLD.session_id, OLD.about,
                OLD.may_name_others)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'read_log is append-only';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "accepted_event",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("portal", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "portal", name=op.f("pk_accepted_event")),
    )
    op.create_index(
        op.f("ix_accepted_event_accepted_at"),
        "accepted_event",
        ["accepted_at"],
        unique=False,
        postgresql_using="brin",
    )
    op.create_table(
        "attendance",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("module", sa.Integer(), nullable=False),
        sa.Column("attendance", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "module", name=op.f("pk_attendance")),
    )
    op.create_table(
        "bad_address",
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "agent_id", name=op.f("pk_bad_address")),
    )
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column(
            "headers",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="[[name, base64 or null], …] in order",
        ),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=False, comment="What a deadline is judged by."
        ),
        sa.Column("event_type", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("traceback", sa.String(), nullable=True),
        sa.Column("parked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "state",
            sa.String(),
            server_default="parked",
            nullable=False,
            comment="parked, redriven, discarded, rejected",
        ),
        sa.Column("event_id", sa.Uuid(), nullable=True, comment="ce_id, where it was read"),
        sa.Column(
            "code",
            sa.String(),
            nullable=True,
            comment="shared.events.outcomes.RejectionCode, of a rejected one",
        ),
        sa.Column(
            "problems",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="[{pointer, message}, …], of a rejected one",
        ),
        sa.Column("source", sa.String(), nullable=True, comment="ce_source, where it was read"),
        sa.Column(
            "portal",
            sa.String(),
            nullable=True,
            comment="Who hears what became of it; null: no portal we know.",
        ),
        sa.Column(
            "names",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Whom it may name: digests (mentions.names_in)",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
        sa.UniqueConstraint(
            "topic",
            "partition",
            "offset",
            "digest",
            name=op.f("uq_dead_letter_topic_partition_offset_digest"),
        ),
    )
    op.create_index(
        "ix_dead_letter_event_id",
        "dead_letter",
        ["event_id"],
        unique=False,
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )
    op.create_index("ix_dead_letter_names", "dead_letter", ["names"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_dead_letter_rejected",
        "dead_letter",
        ["portal", "id"],
        unique=False,
        postgresql_where=sa.text(
            "state = 'rejected' AND (key IS NOT NULL OR value IS NOT NULL OR headers <> '[]'::jsonb)"
        ),
    )
    op.create_index(
        "ix_dead_letter_parked",
        "dead_letter",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'parked'"),
    )
    op.create_table(
        "dead_letter_audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("dead_letter_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False, comment="redriven, redrive failed, discarded"),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter_audit")),
    )
    op.create_index(
        op.f("ix_dead_letter_audit_dead_letter_id"), "dead_letter_audit", ["dead_letter_id"], unique=False
    )
    op.create_table(
        "enrolment",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("agent", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("ticket", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waits_together", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", name=op.f("pk_enrolment")),
    )
    op.create_index("ix_enrolment_agent", "enrolment", ["agent_id", "issuer"], unique=False)
    op.create_index(
        "ix_enrolment_by_hand",
        "enrolment",
        [sa.literal_column("lower(agent ->> 'email')")],
        unique=False,
        postgresql_where=sa.text("issuer = 'cnfpt'"),
    )
    op.create_index(
        "ix_enrolment_offered",
        "enrolment",
        ["hold_until"],
        unique=False,
        postgresql_where=sa.text("state = 'offered'"),
    )
    op.create_index(
        "ix_enrolment_pending",
        "enrolment",
        ["session_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending_approval', 'pending_selection')"),
    )
    op.create_index(
        "ix_enrolment_session_agent", "enrolment", ["session_id", "agent_id", "issuer"], unique=False
    )
    op.create_index(
        "ix_enrolment_together",
        "enrolment",
        ["session_id", sa.literal_column("priority DESC"), "ticket"],
        unique=False,
        postgresql_where=sa.text("state = 'waitlisted' AND waits_together"),
    )
    op.create_index(
        "ix_enrolment_waiting",
        "enrolment",
        ["session_id", sa.literal_column("priority DESC"), "ticket"],
        unique=False,
        postgresql_where=sa.text("state = 'waitlisted'"),
    )
    op.create_index(
        "uq_enrolment_live",
        "enrolment",
        ["session_id", "issuer", "agent_id"],
        unique=True,
        postgresql_where=sa.text(_LIVE),
    )
    op.create_table(
        "enrolment_change",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("cause", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("request_source", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "version", name=op.f("pk_enrolment_change")),
    )
    op.create_index("ix_enrolment_change_session", "enrolment_change", ["session_id", "at"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "source", name=op.f("pk_inbox")),
    )
    op.create_index(op.f("ix_inbox_seen_at"), "inbox", ["seen_at"], unique=False, postgresql_using="brin")
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("topic", sa.String(), nullable=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("traceparent", sa.String(), nullable=True),
        sa.Column("data", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "misrouted",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="It answers a request that lay in a wrong partition, on a trial.",
        ),
        sa.Column("portal", sa.String(), nullable=True, comment="Whose answer it is."),
        sa.Column(
            "cursor",
            sa.BigInteger(),
            nullable=True,
            comment="Its number in that portal's feed, once it is sent.",
        ),
        sa.Column(
            "held",
            sa.String(),
            nullable=True,
            comment="refused, waiting, discarded; null: the relay sends it",
        ),
        sa.Column("error", sa.String(), nullable=True, comment="Why it is held."),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_sent",
        "outbox",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NOT NULL AND portal IS NULL"),
    )
    op.create_index(
        "ix_outbox_answered",
        "outbox",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NOT NULL AND portal IS NOT NULL"),
    )
    op.create_index(
        "ix_outbox_unsent",
        "outbox",
        ["bucket", "id"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL AND held IS NULL"),
    )
    op.create_index(
        "ix_outbox_held",
        "outbox",
        ["topic", "key"],
        unique=False,
        postgresql_where=sa.text("held IN ('refused', 'waiting')"),
    )
    op.create_index(
        "uq_outbox_feed",
        "outbox",
        ["portal", "cursor"],
        unique=True,
        postgresql_where=sa.text("portal IS NOT NULL"),
    )
    op.create_table(
        "portal_feed",
        sa.Column("portal", sa.String(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("portal", name=op.f("pk_portal_feed")),
    )
    op.create_table(
        "partition_number",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_partition_number")),
    )
    op.create_table(
        "erasure",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "request_source", name=op.f("pk_erasure")),
    )
    op.create_index(
        "ix_erasure_open",
        "erasure",
        ["request_source", "received_at", "request_id"],
        unique=False,
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "read_progress",
        sa.Column("topic", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("read_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_read_progress")),
    )
    op.create_table(
        "correction",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "request_source", name=op.f("pk_correction")),
    )
    op.create_table(
        "new_address",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("present", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("address", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_new_address")),
    )
    op.create_index("ix_correction_agent", "correction", ["issuer", "agent_id", "received_at"])
    op.create_index("ix_correction_received_at", "correction", ["received_at"], unique=False)
    op.create_table(
        "certificate",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", name=op.f("pk_certificate")),
        sa.UniqueConstraint("code", name=op.f("uq_certificate_code")),
    )
    op.create_table(
        "last_nomination",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("siret", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "siret", "issuer", name=op.f("pk_last_nomination")),
    )
    op.create_table(
        "message",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("author", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("text", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("link", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("audience", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("enrolment_ids", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("send_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message")),
    )
    op.create_index("ix_message_session", "message", ["session_id", "send_at"], unique=False)
    op.create_index(
        "ix_message_due",
        "message",
        ["send_at"],
        unique=False,
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.create_table(
        "question_answer",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("question_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("question", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("kept_days", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "question_id", name=op.f("pk_question_answer")),
    )
    op.create_table(
        "erased_attendance",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("module", sa.Integer(), nullable=False),
        sa.Column("attendance", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "module", "attendance", name=op.f("pk_erased_attendance")),
    )
    op.create_table(
        "cluster",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cluster")),
    )
    op.create_table(
        "request_count",
        sa.Column("counted", sa.LargeBinary(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("counted", name=op.f("pk_request_count")),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "outbox_bucket",
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "claimed_by",
            postgresql.ARRAY(sa.String()),
            nullable=False,
            comment="Transactional ids; empty between passes.",
        ),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_outbox_bucket")),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "outbox_producer",
        sa.Column("transactional_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("transactional_id", name=op.f("pk_outbox_producer")),
    )
    op.create_table(
        "request",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("portal", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "source", name=op.f("pk_request")),
    )
    op.create_index(
        "ix_request_undecided",
        "request",
        ["session_id", "number"],
        unique=False,
        postgresql_where=sa.text("decided_at IS NULL"),
    )
    op.create_table(
        "request_outcome",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("problems", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_request_outcome")),
    )
    op.create_index(
        op.f("ix_request_outcome_at"), "request_outcome", ["at"], unique=False, postgresql_using="brin"
    )
    op.create_index(op.f("ix_request_outcome_request_id"), "request_outcome", ["request_id"], unique=False)
    op.create_table(
        "session",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("enrolled", sa.Integer(), nullable=False),
        sa.Column("offered", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("seat_ceiling", sa.Integer(), nullable=True),
        sa.Column("next_ticket", sa.BigInteger(), nullable=False),
        sa.Column("newest_receipt", sa.DateTime(timezone=True), nullable=True),
        sa.Column("occupancy_version", sa.Integer(), nullable=False),
        sa.Column("seats_by_employer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("enrolment_closes_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("line_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_release_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waiting_groups", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("groups_kept_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_judged_for", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "enrolled + offered <= seat_ceiling", name=op.f("ck_session_seats_are_never_exceeded")
        ),
        sa.CheckConstraint(
            "enrolled >= 0 AND offered >= 0 AND waiting >= 0", name=op.f("ck_session_counts_are_not_negative")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session")),
    )
    op.create_table(
        "session_change",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("changed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_change")),
    )
    op.create_index(
        "ix_session_line_ends",
        "session",
        ["line_ends_at"],
        unique=False,
        postgresql_where=sa.text("waiting > 0"),
    )
    op.create_index(
        "ix_session_groups_kept_until",
        "session",
        ["groups_kept_until"],
        unique=False,
        postgresql_where=sa.text("groups_kept_until IS NOT NULL"),
    )
    op.create_index(
        "ix_session_close_due",
        "session",
        ["close_due_at"],
        unique=False,
        postgresql_where=sa.text("close_due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_session_next_release",
        "session",
        ["next_release_at"],
        unique=False,
        postgresql_where=sa.text("next_release_at IS NOT NULL"),
    )
    op.create_table(
        "read_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("about", sa.String(), nullable=True),
        sa.Column("may_name_others", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_read_log")),
    )
    op.create_index(
        "ix_read_log_agent",
        "read_log",
        ["agent_id", "issuer"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NOT NULL"),
    )
    op.create_index("ix_read_log_at", "read_log", ["at"], unique=False, postgresql_using="brin")
    op.create_index(
        "ix_read_log_session",
        "read_log",
        ["session_id"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NULL"),
    )
    op.execute(_KEEP_READ_LOG)
    op.execute(
        "CREATE TRIGGER keep_read_log BEFORE INSERT OR UPDATE OR DELETE ON read_log "
        "FOR EACH ROW EXECUTE FUNCTION keep_read_log()"
    )


def downgrade() -> None:
    op.drop_table("read_log")
    op.execute("DROP FUNCTION keep_read_log")
    op.drop_index("ix_session_line_ends", table_name="session", postgresql_where=sa.text("waiting > 0"))
    op.drop_index(
        "ix_session_groups_kept_until",
        table_name="session",
        postgresql_where=sa.text("groups_kept_until IS NOT NULL"),
    )
    op.drop_index(
        "ix_session_close_due",
        table_name="session",
        postgresql_where=sa.text("close_due_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_session_next_release",
        table_name="session",
        postgresql_where=sa.text("next_release_at IS NOT NULL"),
    )
    op.drop_table("session_change")
    op.drop_table("session")
    op.drop_index(op.f("ix_request_outcome_request_id"), table_name="request_outcome")
    op.drop_index(op.f("ix_request_outcome_at"), table_name="request_outcome", postgresql_using="brin")
    op.drop_table("request_outcome")
    op.drop_index(
        "ix_request_undecided", table_name="request", postgresql_where=sa.text("decided_at IS NULL")
    )
    op.drop_table("request")
    op.drop_table("cluster")
    op.drop_table("erased_attendance")
    op.drop_table("question_answer")
    op.drop_index("ix_message_due", table_name="message", postgresql_where=sa.text("published_at IS NULL"))
    op.drop_index("ix_message_session", table_name="message")
    op.drop_table("message")
    op.drop_table("certificate")
    op.drop_table("correction")
    op.drop_table("new_address")
    op.drop_table("read_progress")
    op.drop_index("ix_erasure_open", table_name="erasure", postgresql_where=sa.text("done_at IS NULL"))
    op.drop_table("erasure")
    op.drop_table("outbox_producer")
    op.drop_table("request_count")
    op.drop_table("outbox_bucket")
    op.drop_table("partition_number")
    op.drop_table("portal_feed")
    op.drop_index("uq_outbox_feed", table_name="outbox", postgresql_where=sa.text("portal IS NOT NULL"))
    op.drop_index(
        "ix_outbox_held", table_name="outbox", postgresql_where=sa.text("held IN ('refused', 'waiting')")
    )
    op.drop_index(
        "ix_outbox_unsent", table_name="outbox", postgresql_where=sa.text("sent_at IS NULL AND held IS NULL")
    )
    op.drop_index("ix_outbox_sent", table_name="outbox")
    op.drop_index("ix_outbox_answered", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_inbox_seen_at"), table_name="inbox", postgresql_using="brin")
    op.drop_table("inbox")
    op.drop_index("ix_enrolment_change_session", table_name="enrolment_change")
    op.drop_table("enrolment_change")
    op.drop_index(
        "uq_enrolment_live",
        table_name="enrolment",
        postgresql_where=sa.text(_LIVE),
    )
    op.drop_index(
        "ix_enrolment_waiting", table_name="enrolment", postgresql_where=sa.text("state = 'waitlisted'")
    )
    op.drop_index(
        "ix_enrolment_together",
        table_name="enrolment",
        postgresql_where=sa.text("state = 'waitlisted' AND waits_together"),
    )
    op.drop_index("ix_enrolment_session_agent", table_name="enrolment")
    op.drop_index(
        "ix_enrolment_pending",
        table_name="enrolment",
        postgresql_where=sa.text("state IN ('pending_approval', 'pending_selection')"),
    )
    op.drop_index(
        "ix_enrolment_offered", table_name="enrolment", postgresql_where=sa.text("state = 'offered'")
    )
    op.drop_index("ix_enrolment_agent", table_name="enrolment")
    op.drop_table("enrolment")
    op.drop_index(op.f("ix_dead_letter_audit_dead_letter_id"), table_name="dead_letter_audit")
    op.drop_table("dead_letter_audit")
    op.drop_index(
        "ix_dead_letter_rejected",
        table_name="dead_letter",
        postgresql_where=sa.text(
            "state = 'rejected' AND (key IS NOT NULL OR value IS NOT NULL OR headers <> '[]'::jsonb)"
        ),
    )
    op.drop_index("ix_dead_letter_names", table_name="dead_letter", postgresql_using="gin")
    op.drop_index(
        "ix_dead_letter_parked", table_name="dead_letter", postgresql_where=sa.text("state = 'parked'")
    )
    op.drop_table("dead_letter")
    op.drop_table("bad_address")
    op.drop_table("attendance")
    op.drop_index(op.f("ix_accepted_event_accepted_at"), table_name="accepted_event", postgresql_using="brin")
    op.drop_table("accepted_event")
