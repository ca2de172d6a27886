"""Sessions are found by their words and their offer's; rows say when they were written; themes are titled."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
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
_TOUCH = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$
"""
_TOUCHED = ("offer", "session", "occupancy", "resource")
_SESSION_WORDS = """
CREATE FUNCTION session_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := to_tsvector('french', french_words(concat_ws(' ',
        NEW.title, NEW.summary, NEW.venue, CAST(NEW.experts AS text), replace(NEW.organiser, '-', ' '),
        (SELECT o.title || ' ' || o.summary FROM offer o WHERE o.offer_id = NEW.offer_id))));
    RETURN NEW;
END $$
"""
_OFFER_WORDS = """
CREATE FUNCTION offer_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE session SET title = title WHERE offer_id = NEW.offer_id;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(_FRENCH_WORDS)
    op.execute(_TOUCH)
    op.create_table(
        "theme",
        sa.Column("theme", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("theme", name=op.f("pk_theme")),
    )
    for table in _TOUCHED:
        op.add_column(
            table,
            sa.Column(
                "changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
            ),
        )
        op.execute(
            f"CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION touch()"
        )
    op.add_column(
        "session",
        sa.Column("words", postgresql.TSVECTOR(), server_default=sa.text("''"), nullable=False),
    )
    op.create_index("ix_session_words", "session", ["words"], unique=False, postgresql_using="gin")
    op.execute(_SESSION_WORDS)
    op.execute(_OFFER_WORDS)
    op.execute(
        "CREATE TRIGGER words BEFORE INSERT OR UPDATE OF title, summary, venue, experts, organiser, offer_id "
        "ON session FOR EACH ROW EXECUTE FUNCTION session_words()"
    )
    op.execute(
        "CREATE TRIGGER words AFTER UPDATE ON offer FOR EACH ROW "
        "WHEN ((OLD.title, OLD.summary) IS DISTINCT FROM (NEW.title, NEW.summary)) "
        "EXECUTE FUNCTION offer_words()"
    )
    op.execute("UPDATE session SET title = title")
    op.create_index(
        "ix_resource_session_id",
        "resource",
        ["session_id"],
        unique=False,
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_resource_session_id",
        table_name="resource",
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.execute("DROP TRIGGER words ON offer")
    op.execute("DROP TRIGGER words ON session")
    op.execute("DROP FUNCTION offer_words()")
    op.execute("DROP FUNCTION session_words()")
    op.drop_index("ix_session_words", table_name="session", postgresql_using="gin")
    op.drop_column("session", "words")
    for table in _TOUCHED:
        op.execute(f"DROP TRIGGER touch ON {table}")
        op.drop_column(table, "changed_at")
    op.drop_table("theme")
    op.execute("DROP FUNCTION touch()")
    op.execute("DROP FUNCTION french_words(text)")
