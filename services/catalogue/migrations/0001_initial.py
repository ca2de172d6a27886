"""Every table of the catalogue, its search vectors and the triggers that keep them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# lower() alone would leave accents as they are in a database whose locale is C.
_FRENCH_WORDS = """
CREATE FUNCTION french_words(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT lower(replace(replace(replace(replace(translate($1,
        'ÀÂÄÁÃÅÇÉÈÊËÎÏÍÌÔÖÓÒÕÙÛÜÚŸÑàâäáãåçéèêëîïíìôöóòõùûüúÿñ’',
        'AAAAAACEEEEIIIIOOOOOUUUUYNaaaaaaceeeeiiiiooooouuuuyn'''),
        'Œ', 'OE'), 'œ', 'oe'), 'Æ', 'AE'), 'æ', 'ae'))
$$
"""
# What is called by another name in the text is found by this one as well.
_SEARCH_VECTOR = r"""
CREATE FUNCTION search_vector(text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT to_tsvector('french', words || coalesce((
        SELECT string_agg(' ' || synonym, '')
        FROM (VALUES
            ('ia', 'intelligence artificielle'),
            ('intelligence artificielle', 'ia'),
            ('usage responsable', 'ethique')) AS also (word, synonym)
        WHERE words ~ ('\m' || word || '\M')), ''))
    FROM french_words($1) AS words
$$
"""
_KIND_WORDS = """
CREATE FUNCTION kind_words(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT CASE $1
        WHEN 'mooc' THEN 'mooc cours formation en ligne'
        WHEN 'webinar' THEN 'webinaire webinar conférence formation en ligne'
        WHEN 'local_event' THEN 'rendez-vous local rencontre événement formation'
        WHEN 'bespoke' THEN 'formation sur mesure intra'
        WHEN 'inet' THEN 'offre de l’Inet formation'
        WHEN 'replay' THEN 'replay enregistrement vidéo'
        WHEN 'dossier' THEN 'dossier documentaire'
        WHEN 'community' THEN 'e-communauté communauté'
    END
$$
"""
_THEME_TITLES = """
CREATE FUNCTION theme_titles(jsonb) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE STRICT AS $$
    SELECT string_agg(title, ' ') FROM theme WHERE $1 @> to_jsonb(theme)
$$
"""
_INDEX_OFFER = """
CREATE FUNCTION index_offer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_vector := search_vector(concat_ws(' ',
        NEW.title, NEW.summary, kind_words(NEW.format), theme_titles(NEW.themes)));
    RETURN NEW;
END $$
"""
_INDEX_RESOURCE = """
CREATE FUNCTION index_resource() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_vector := search_vector(concat_ws(' ',
        NEW.title, NEW.summary, kind_words(NEW.kind), theme_titles(NEW.themes),
        replace(NEW.organiser, '-', ' ')));
    RETURN NEW;
END $$
"""
_INDEX_SESSION = """
CREATE FUNCTION index_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_vector := search_vector(concat_ws(' ',
        NEW.title, NEW.summary, NEW.venue, CAST(NEW.experts AS text), replace(NEW.organiser, '-', ' ')))
        || coalesce((SELECT offer.search_vector FROM offer WHERE offer_id = NEW.offer_id), '');
    RETURN NEW;
END $$
"""
_INDEX_SESSIONS_OF_OFFER = """
CREATE FUNCTION index_sessions_of_offer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE session SET title = title WHERE offer_id = NEW.offer_id;
    RETURN NULL;
END $$
"""
_INDEX_THEMED = """
CREATE FUNCTION index_themed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE offer SET themes = themes WHERE themes @> to_jsonb(NEW.theme);
    UPDATE resource SET themes = themes WHERE themes @> to_jsonb(NEW.theme);
    RETURN NULL;
END $$
"""
_TOUCH = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$
"""
# Whoever may write to the table can neither hide a change nor rewrite it: a line goes after half a year.
_KEEP_AUDIT_LOG = """
CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < clock_timestamp() - interval '180 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only';
END $$
"""
_FUNCTIONS = (
    _FRENCH_WORDS,
    _SEARCH_VECTOR,
    _KIND_WORDS,
    _THEME_TITLES,
    _INDEX_OFFER,
    _INDEX_RESOURCE,
    _INDEX_SESSION,
    _INDEX_SESSIONS_OF_OFFER,
    _INDEX_THEMED,
    _TOUCH,
    _KEEP_AUDIT_LOG,
)
# A theme that is renamed changes the search vector of a resource, and nothing that its readers see: triggers
# fire in the order of their names, so "touch" compares before "update_search_vector" has written.
_TRIGGERS = (
    "keep_audit_log BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION keep_audit_log()",
    "touch BEFORE INSERT OR UPDATE ON offer FOR EACH ROW EXECUTE FUNCTION touch()",
    "touch BEFORE INSERT OR UPDATE ON session FOR EACH ROW EXECUTE FUNCTION touch()",
    "touch BEFORE INSERT OR UPDATE ON occupancy FOR EACH ROW EXECUTE FUNCTION touch()",
    """touch BEFORE UPDATE ON resource
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch()""",
    """update_search_vector BEFORE INSERT OR UPDATE OF title, summary, format, themes ON offer
    FOR EACH ROW EXECUTE FUNCTION index_offer()""",
    """update_search_vector BEFORE INSERT OR UPDATE OF title, summary, kind, themes, organiser ON resource
    FOR EACH ROW EXECUTE FUNCTION index_resource()""",
    """update_search_vector
    BEFORE INSERT OR UPDATE OF title, summary, venue, experts, organiser, offer_id ON session
    FOR EACH ROW EXECUTE FUNCTION index_session()""",
    """update_sessions AFTER UPDATE ON offer
    FOR EACH ROW WHEN (OLD.search_vector IS DISTINCT FROM NEW.search_vector)
    EXECUTE FUNCTION index_sessions_of_offer()""",
    "update_themed AFTER INSERT ON theme FOR EACH ROW EXECUTE FUNCTION index_themed()",
    """update_themed_once_renamed AFTER UPDATE ON theme
    FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION index_themed()""",
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
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_subject"), "audit_log", ["subject"], unique=False)
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
        "occupancy",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("enrolled", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("offered", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_occupancy")),
    )
    op.create_table(
        "offer",
        sa.Column("offer_id", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("themes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("choices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("search_vector", postgresql.TSVECTOR(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("offer_id", name=op.f("pk_offer")),
    )
    op.create_index(
        "ix_offer_search_vector", "offer", ["search_vector"], unique=False, postgresql_using="gin"
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
        sa.Column("transactional_id", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("transactional_id", name=op.f("pk_outbox_producer")),
    )
    op.create_table(
        "resource",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("themes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organiser", sa.String(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("search_vector", postgresql.TSVECTOR(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_resource")),
    )
    op.create_index(
        "ix_resource_published_at",
        "resource",
        [sa.literal_column("published_at DESC"), "resource_id"],
        unique=False,
    )
    op.create_index(
        "ix_resource_search_vector", "resource", ["search_vector"], unique=False, postgresql_using="gin"
    )
    op.create_index(
        "ix_resource_session_id",
        "resource",
        ["session_id"],
        unique=False,
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_index("ix_resource_url", "resource", ["url"], unique=False, postgresql_using="hash")
    op.create_table(
        "theme",
        sa.Column("theme", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("theme", name=op.f("pk_theme")),
    )
    op.create_table(
        "session",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("offer_id", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("organiser", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("announced", sa.Integer(), nullable=False),
        sa.Column("next_announcement_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("enrolment_opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("enrolment_closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("modules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("minimum", sa.Integer(), nullable=True),
        sa.Column("waiting_list", sa.String(), nullable=False),
        sa.Column("offer_hold_hours", sa.Integer(), nullable=False),
        sa.Column("approval", sa.String(), nullable=False),
        sa.Column("audience", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reserved_seats", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("quota_per_authority", sa.Integer(), nullable=True),
        sa.Column("venue", sa.String(), nullable=True),
        sa.Column("join_url", sa.String(), nullable=True),
        sa.Column("questions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prerequisite", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("evaluation_url", sa.String(), nullable=True),
        sa.Column("summary", sa.String(), nullable=True),
        sa.Column("experts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("choices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("loaded", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("search_vector", postgresql.TSVECTOR(), server_default=sa.text("''"), nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'published', 'cancelled')", name=op.f("ck_session_known_status")
        ),
        sa.CheckConstraint("capacity >= 0", name=op.f("ck_session_capacity_not_negative")),
        sa.CheckConstraint(
            "enrolment_opens_at < enrolment_closes_at", name=op.f("ck_session_opens_before_close")
        ),
        sa.CheckConstraint("minimum > 0", name=op.f("ck_session_minimum_positive")),
        sa.CheckConstraint("quota_per_authority > 0", name=op.f("ck_session_quota_positive")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_session_starts_before_end")),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.offer_id"], name=op.f("fk_session_offer_id_offer")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session")),
    )
    op.create_table(
        "trainer",
        sa.Column("trainer_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_trainer_session_id_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("trainer_id", name=op.f("pk_trainer")),
    )
    op.create_index("ix_trainer_session_id", "trainer", ["session_id"], unique=False)
    op.create_index(
        "ix_trainer_email",
        "trainer",
        [sa.literal_column("lower(email)")],
        unique=False,
        postgresql_where=sa.text("email IS NOT NULL"),
    )
    op.create_index("ix_session_format", "session", ["format", "starts_at", "session_id"], unique=False)
    op.create_index(
        "ix_session_length", "session", [sa.literal_column("(ends_at - starts_at)")], unique=False
    )
    op.create_index(
        "ix_session_next_announcement_at",
        "session",
        ["next_announcement_at"],
        unique=False,
        postgresql_where=sa.text("next_announcement_at IS NOT NULL"),
    )
    op.create_index("ix_session_offer_id", "session", ["offer_id", "starts_at", "session_id"], unique=False)
    op.create_index("ix_session_organiser", "session", ["organiser", "starts_at", "session_id"], unique=False)
    op.create_index(
        "ix_session_reference",
        "session",
        ["organiser", "reference"],
        unique=True,
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_index(
        "ix_session_search_vector", "session", ["search_vector"], unique=False, postgresql_using="gin"
    )
    op.create_index("ix_session_starts_at", "session", ["starts_at", "session_id"], unique=False)
    op.create_table(
        "bespoke_request",
        sa.Column("bespoke_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("portal", sa.String(), nullable=True),
        sa.Column("siret", sa.String(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("delegation", sa.String(), nullable=False),
        sa.Column("theme", sa.String(), nullable=False),
        sa.Column("trainees", sa.Integer(), nullable=False),
        sa.Column("wished_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wished_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requester_name", sa.String(), nullable=True),
        sa.Column("requester_email", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("advisor_name", sa.String(), nullable=True),
        sa.Column("advisor_email", sa.String(), nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(state = 'agreed') = (session_id IS NOT NULL)",
            name=op.f("ck_bespoke_request_agreed_with_a_session"),
        ),
        sa.CheckConstraint(
            "state IN ('received', 'qualified', 'proposed', 'agreed', 'declined')",
            name=op.f("ck_bespoke_request_known_state"),
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.session_id"], name=op.f("fk_bespoke_request_session_id_session")
        ),
        sa.PrimaryKeyConstraint("bespoke_id", name=op.f("pk_bespoke_request")),
        sa.UniqueConstraint("request_id", "source", name=op.f("uq_bespoke_request_request_id_source")),
    )
    op.create_index(
        "ix_bespoke_request_delegation",
        "bespoke_request",
        ["delegation", sa.literal_column("received_at DESC"), "bespoke_id"],
        unique=False,
    )
    op.create_index(
        "ix_bespoke_request_last_moved_at",
        "bespoke_request",
        [sa.literal_column("coalesce(answered_at, received_at)")],
        unique=False,
        postgresql_where=sa.text("requester_email IS NOT NULL"),
    )
    op.create_index(
        "ix_bespoke_request_received_at",
        "bespoke_request",
        [sa.literal_column("received_at DESC"), "bespoke_id"],
        unique=False,
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
    for function in _FUNCTIONS:
        op.execute(function)
    for trigger in _TRIGGERS:
        op.execute(f"CREATE TRIGGER {trigger}")
