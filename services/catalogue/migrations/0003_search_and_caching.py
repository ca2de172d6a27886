"""Sessions and offers are found by their words; each row says when it was written; themes have titles."""

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
_WORDS = {
    "offer": "title || ' ' || summary",
    "session": (
        "title || ' ' || coalesce(summary, '') || ' ' || coalesce(venue, '') || ' ' "
        "|| CAST(experts AS text) || ' ' || replace(organiser, '-', ' ')"
    ),
}


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
    for table, words in _WORDS.items():
        vector = sa.Computed(f"to_tsvector('french', french_words({words}))", persisted=True)
        op.add_column(table, sa.Column("words", postgresql.TSVECTOR(), vector, nullable=False))
        op.create_index(f"ix_{table}_words", table, ["words"], unique=False, postgresql_using="gin")
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
    for table in _WORDS:
        op.drop_index(f"ix_{table}_words", table_name=table, postgresql_using="gin")
        op.drop_column(table, "words")
    for table in _TOUCHED:
        op.execute(f"DROP TRIGGER touch ON {table}")
        op.drop_column(table, "changed_at")
    op.drop_table("theme")
    op.execute("DROP FUNCTION touch()")
    op.execute("DROP FUNCTION french_words(text)")
