"""What is known of sessions and people, the queue of mails, and the tables of the mechanisms."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


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
        "bounce",
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("bounced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("report", name=op.f("pk_bounce")),
    )
    op.create_index(op.f("ix_bounce_address"), "bounce", ["address"], unique=False)
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
        "request_count",
        sa.Column("counted", sa.LargeBinary(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("counted", name=op.f("pk_request_count")),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "domain_rate",
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_domain_rate")),
    )
    op.create_table(
        "trainer",
        sa.Column("trainer_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("trainer_id", name=op.f("pk_trainer")),
    )
    op.create_index("ix_trainer_session_id", "trainer", ["session_id"], unique=False)
    op.create_index(
        "ix_trainer_address",
        "trainer",
        [sa.literal_column("lower(address)")],
        unique=False,
        postgresql_where=sa.text("address IS NOT NULL"),
    )
    op.create_table(
        "enrolment",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("given_name", sa.String(), nullable=False),
        sa.Column("family_name", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "read_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("known_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", name=op.f("pk_enrolment")),
    )
    op.create_index("ix_enrolment_address", "enrolment", [sa.literal_column("lower(address)")], unique=False)
    op.create_index("ix_enrolment_agent", "enrolment", ["agent_id", "issuer"], unique=False)
    op.create_index("ix_enrolment_known_since", "enrolment", ["known_since"], unique=False)
    op.create_index(
        "ix_enrolment_enrolled",
        "enrolment",
        ["session_id", "enrolment_id"],
        unique=False,
        postgresql_where=sa.text("standing = 'enrolled'"),
    )
    op.create_index(
        "ix_enrolment_withdrawn",
        "enrolment",
        ["since"],
        unique=False,
        postgresql_where=sa.text("standing = 'withdrawn'"),
    )
    op.create_index(
        "ix_enrolment_without_seat",
        "enrolment",
        ["session_id", "enrolment_id"],
        unique=False,
        postgresql_where=sa.text("standing IN ('waitlisted', 'offered', 'pending')"),
    )
    op.create_table(
        "fan_out",
        sa.Column("fan_out_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("called_for_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_id_done", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("fan_out_id", name=op.f("pk_fan_out")),
    )
    op.create_index(
        "ix_fan_out_due",
        "fan_out",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("begun_at IS NULL"),
    )
    op.create_index(
        "ix_fan_out_open",
        "fan_out",
        ["begun_at"],
        unique=False,
        postgresql_where=sa.text("begun_at IS NOT NULL AND done_at IS NULL"),
    )
    op.create_index(
        "uq_fan_out_not_started",
        "fan_out",
        ["subject_id", "task"],
        unique=True,
        postgresql_where=sa.text("begun_at IS NULL"),
    )
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
        "login",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("form_key", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.Column("granted_by", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("delegation", sa.String(), nullable=True),
        sa.Column("id_token", sa.String(), nullable=True),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_login")),
    )
    op.create_index(op.f("ix_login_expires_at"), "login", ["expires_at"], unique=False)
    op.create_index(op.f("ix_login_owner"), "login", ["owner"], unique=False)
    op.create_table(
        "login_attempt",
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("verifier", sa.String(), nullable=False),
        sa.Column("towards", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("state", name=op.f("pk_login_attempt")),
    )
    op.create_index(op.f("ix_login_attempt_expires_at"), "login_attempt", ["expires_at"], unique=False)
    op.create_table(
        "mail",
        sa.Column(
            "mail_id",
            sa.Uuid(),
            sa.Computed(
                "CAST(substr(encode(sha256(CAST(replace(CAST(event_id AS varchar) || ' ' || template "
                r"|| ' ' || issuer || ' ' || recipient, '\', '\\') AS bytea)), 'hex'), 1, 32) AS uuid)",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("given_name", sa.String(), nullable=False),
        sa.Column("family_name", sa.String(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("enrolment_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
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
        sa.Column("traceparent", sa.String(), nullable=True),
        sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("bounce_status", sa.String(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'claimed', 'data_started', 'sent', 'retry', 'failed', 'ambiguous', "
            "'superseded')",
            name=op.f("ck_mail_state_is_known"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('claimed', 'data_started') OR (owner IS NOT NULL AND lease_until IS NOT NULL)",
            name=op.f("ck_mail_a_claim_has_an_owner"),
        ),
        sa.PrimaryKeyConstraint("mail_id", name=op.f("pk_mail")),
        sa.UniqueConstraint(
            "event_id",
            "template",
            "issuer",
            "recipient",
            name=op.f("uq_mail_event_id_template_issuer_recipient"),
        ),
    )
    op.create_index(
        "ix_mail_bounced",
        "mail",
        ["bounced_at"],
        unique=False,
        postgresql_where=sa.text("bounced_at IS NOT NULL"),
    )
    op.create_index("ix_mail_created", "mail", ["created_at", "mail_id"], unique=False)
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
    op.create_index("ix_mail_recipient", "mail", ["recipient", "created_at", "mail_id"], unique=False)
    op.create_index(
        "ix_mail_troubled",
        "mail",
        ["state", "created_at", "mail_id"],
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
        "news",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("interests", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_news")),
    )
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
        "erasure",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_source", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("agent_id", sa.String(), nullable=True),
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
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("read_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_read_progress")),
    )
    op.create_table(
        "ended_digest",
        sa.Column("organiser", sa.String(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organiser", "address", name=op.f("pk_ended_digest")),
    )
    op.create_table(
        "erasure_answer",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_source", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "request_source", "service", name=op.f("pk_erasure_answer")),
    )
    op.create_table(
        "cluster",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cluster")),
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
        sa.Column("transactional_id", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("transactional_id", name=op.f("pk_outbox_producer")),
    )
    op.create_table(
        "organiser_day",
        sa.Column("organiser", sa.String(), nullable=False),
        sa.Column("notified_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organiser", name=op.f("pk_organiser_day")),
    )
    op.create_table(
        "replay",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
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
        sa.Index("ix_session_offer", sa.literal_column("(state ->> 'offer_id')")),
        sa.Index("ix_session_organiser", sa.literal_column("(state ->> 'organiser')")),
    )
    op.create_table(
        "subscriber",
        sa.Column("subscriber_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("given_name", sa.String(), nullable=False),
        sa.Column("family_name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(issuer IS NULL) = (agent_id IS NULL)", name=op.f("ck_subscriber_an_agent_has_an_issuer")
        ),
        sa.PrimaryKeyConstraint("subscriber_id", name=op.f("pk_subscriber")),
        sa.UniqueConstraint("issuer", "agent_id", name=op.f("uq_subscriber_issuer_agent_id")),
    )
    op.create_index(
        "ix_subscriber_address", "subscriber", [sa.literal_column("lower(address)")], unique=False
    )
    op.create_index(
        "uq_subscriber_address",
        "subscriber",
        [sa.literal_column("lower(address)")],
        unique=True,
        postgresql_where=sa.text("agent_id IS NULL"),
    )
    op.create_table(
        "subscription_request",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("interests", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column(
            "requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_subscription_request")),
    )
    op.create_index(
        op.f("ix_subscription_request_requested_at"), "subscription_request", ["requested_at"], unique=False
    )
    op.create_table(
        "suppression",
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("mail_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_suppression")),
    )
    op.create_table(
        "former_address",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "agent_id", "address", name=op.f("pk_former_address")),
    )
    op.create_table(
        "agent_detail",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("stated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "agent_id", "topic", "name", name=op.f("pk_agent_detail")),
    )
    op.create_table(
        "subscription",
        sa.Column("subscriber_id", sa.Uuid(), nullable=False),
        sa.Column("interest", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscriber_id"],
            ["subscriber.subscriber_id"],
            name=op.f("fk_subscription_subscriber_id_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscriber_id", "interest", name=op.f("pk_subscription")),
    )
    op.create_index("ix_subscription_interest", "subscription", ["interest", "subscriber_id"], unique=False)
    op.create_table(
        "ended_subscription",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("interest", sa.String(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "agent_id", "interest", name=op.f("pk_ended_subscription")),
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
