"""What is known of sessions and people, the queue of mails, and the messaging tables."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
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
            comment="parked, redriven, discarded",
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
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("given_name", sa.String(), nullable=False),
        sa.Column("family_name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", name=op.f("pk_enrolment")),
    )
    op.create_index(op.f("ix_enrolment_agent_id"), "enrolment", ["agent_id"], unique=False)
    op.create_index(
        "ix_enrolment_enrolled",
        "enrolment",
        ["session_id"],
        unique=False,
        postgresql_where=sa.text("standing = 'enrolled'"),
    )
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
    )
    op.create_index(op.f("ix_inbox_seen_at"), "inbox", ["seen_at"], unique=False, postgresql_using="brin")
    op.create_table(
        "mail",
        sa.Column("mail_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("given_name", sa.String(), nullable=False),
        sa.Column("family_name", sa.String(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("needs_session", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("called_for_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "give_up_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now() + interval '4 days'"),
            nullable=False,
        ),
        sa.Column("state", sa.String(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("smtp_code", sa.Integer(), nullable=True),
        sa.Column("smtp_answer", sa.String(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'claimed', 'data_started', 'sent', 'retry', 'failed', 'ambiguous')",
            name=op.f("ck_mail_state_is_known"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('claimed', 'data_started') OR (owner IS NOT NULL AND lease_until IS NOT NULL)",
            name=op.f("ck_mail_a_claim_has_an_owner"),
        ),
        sa.PrimaryKeyConstraint("mail_id", name=op.f("pk_mail")),
        sa.UniqueConstraint(
            "event_id", "template", "recipient", name=op.f("uq_mail_event_id_template_recipient")
        ),
    )
    op.create_index(
        "ix_mail_due",
        "mail",
        ["priority", "due_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'retry')"),
    )
    op.create_index(
        "ix_mail_leased",
        "mail",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state IN ('claimed', 'data_started')"),
    )
    op.create_index(op.f("ix_mail_recipient"), "mail", ["recipient"], unique=False)
    op.create_index(
        "ix_mail_troubled",
        "mail",
        ["state", "created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('failed', 'ambiguous')"),
    )
    op.create_table(
        "mail_audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mail_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_audit")),
    )
    op.create_index(op.f("ix_mail_audit_mail_id"), "mail_audit", ["mail_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("traceparent", sa.String(), nullable=True),
        sa.Column("data", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        op.f("ix_outbox_created_at"), "outbox", ["created_at"], unique=False, postgresql_using="brin"
    )
    op.create_index(
        "ix_outbox_unsent",
        "outbox",
        ["bucket", "id"],
        unique=False,
        postgresql_where=sa.text("sent_at IS NULL"),
    )
    op.create_table(
        "replay",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_replay")),
    )
    op.create_index(op.f("ix_replay_session_id"), "replay", ["session_id"], unique=False)
    op.create_table(
        "session",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session")),
    )


def downgrade() -> None:
    op.drop_table("session")
    op.drop_index(op.f("ix_replay_session_id"), table_name="replay")
    op.drop_table("replay")
    op.drop_index("ix_outbox_unsent", table_name="outbox", postgresql_where=sa.text("sent_at IS NULL"))
    op.drop_index(op.f("ix_outbox_created_at"), table_name="outbox", postgresql_using="brin")
    op.drop_table("outbox")
    op.drop_index(op.f("ix_mail_audit_mail_id"), table_name="mail_audit")
    op.drop_table("mail_audit")
    op.drop_index(
        "ix_mail_troubled", table_name="mail", postgresql_where=sa.text("state IN ('failed', 'ambiguous')")
    )
    op.drop_index(op.f("ix_mail_recipient"), table_name="mail")
    op.drop_index(
        "ix_mail_leased", table_name="mail", postgresql_where=sa.text("state IN ('claimed', 'data_started')")
    )
    op.drop_index("ix_mail_due", table_name="mail", postgresql_where=sa.text("state IN ('pending', 'retry')"))
    op.drop_table("mail")
    op.drop_index(op.f("ix_inbox_seen_at"), table_name="inbox", postgresql_using="brin")
    op.drop_table("inbox")
    op.drop_index(
        "ix_enrolment_enrolled", table_name="enrolment", postgresql_where=sa.text("standing = 'enrolled'")
    )
    op.drop_index(op.f("ix_enrolment_agent_id"), table_name="enrolment")
    op.drop_table("enrolment")
    op.drop_index(op.f("ix_dead_letter_audit_dead_letter_id"), table_name="dead_letter_audit")
    op.drop_table("dead_letter_audit")
    op.drop_index(
        "ix_dead_letter_parked", table_name="dead_letter", postgresql_where=sa.text("state = 'parked'")
    )
    op.drop_table("dead_letter")
