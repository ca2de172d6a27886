"""Sessions are found by their format and themes too, offers and resources by words; IA by its full name."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What is called by another name in the text is found by this one as well.
_SEARCH_WORDS = r"""
CREATE FUNCTION search_words(text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT to_tsvector('french', said || coalesce((
        SELECT string_agg(' ' || other, '')
        FROM (VALUES
            ('ia', 'intelligence artificielle'),
            ('intelligence artificielle', 'ia'),
            ('usage responsable', 'ethique')) AS also (word, other)
        WHERE said ~ ('\m' || word || '\M')), ''))
    FROM french_words($1) AS said
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
_THEME_WORDS = """
CREATE FUNCTION theme_words(jsonb) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE STRICT AS $$
    SELECT string_agg(title, ' ') FROM theme WHERE $1 @> to_jsonb(theme)
$$
"""
_OFFER_WORDS = """
CREATE FUNCTION offer_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := search_words(concat_ws(' ',
        NEW.title, NEW.summary, kind_words(NEW.format), theme_words(NEW.themes)));
    RETURN NEW;
END $$
"""
_RESOURCE_WORDS = """
CREATE FUNCTION resource_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := search_words(concat_ws(' ',
        NEW.title, NEW.summary, kind_words(NEW.kind), theme_words(NEW.themes),
        replace(NEW.organiser, '-', ' ')));
    RETURN NEW;
END $$
"""
_SESSION_WORDS = """
CREATE OR REPLACE FUNCTION session_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := search_words(concat_ws(' ',
        NEW.title, NEW.summary, NEW.venue, CAST(NEW.experts AS text), replace(NEW.organiser, '-', ' ')))
        || coalesce((SELECT words FROM offer WHERE offer_id = NEW.offer_id), '');
    RETURN NEW;
END $$
"""
_TELL_SESSIONS = """
CREATE FUNCTION tell_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE session SET title = title WHERE offer_id = NEW.offer_id;
    RETURN NULL;
END $$
"""
_TELL_THEMED = """
CREATE FUNCTION tell_themed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE offer SET themes = themes WHERE themes @> to_jsonb(NEW.theme);
    UPDATE resource SET themes = themes WHERE themes @> to_jsonb(NEW.theme);
    RETURN NULL;
END $$
"""
_BEFORE_0008 = (
    """
CREATE OR REPLACE FUNCTION session_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := to_tsvector('french', french_words(concat_ws(' ',
        NEW.title, NEW.summary, NEW.venue, CAST(NEW.experts AS text), replace(NEW.organiser, '-', ' '),
        (SELECT o.title || ' ' || o.summary FROM offer o WHERE o.offer_id = NEW.offer_id))));
    RETURN NEW;
END $$
""",
    """
CREATE FUNCTION offer_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE session SET title = title WHERE offer_id = NEW.offer_id;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER words AFTER UPDATE ON offer FOR EACH ROW
    WHEN ((OLD.title, OLD.summary) IS DISTINCT FROM (NEW.title, NEW.summary)) EXECUTE FUNCTION offer_words()
""",
)
# Only what is written anew was changed: the words of a resource are not what its readers are told of.
_TOUCH_CHANGED = """
CREATE TRIGGER touch BEFORE UPDATE ON resource FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch()
"""
_TOUCH_ALWAYS = (
    "CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON resource FOR EACH ROW EXECUTE FUNCTION touch()"
)


def upgrade() -> None:
    op.create_index("ix_resource_url", "resource", ["url"], unique=False, postgresql_using="hash")
    op.execute("DROP TRIGGER words ON offer")
    op.execute("DROP FUNCTION offer_words()")
    for table in ("offer", "resource"):
        op.add_column(
            table, sa.Column("words", postgresql.TSVECTOR(), server_default=sa.text("''"), nullable=False)
        )
        op.create_index(f"ix_{table}_words", table, ["words"], unique=False, postgresql_using="gin")
    for function in (
        _SEARCH_WORDS,
        _KIND_WORDS,
        _THEME_WORDS,
        _OFFER_WORDS,
        _RESOURCE_WORDS,
        _SESSION_WORDS,
        _TELL_SESSIONS,
        _TELL_THEMED,
    ):
        op.execute(function)
    op.execute(
        "CREATE TRIGGER words BEFORE INSERT OR UPDATE OF title, summary, format, themes ON offer "
        "FOR EACH ROW EXECUTE FUNCTION offer_words()"
    )
    op.execute(
        "CREATE TRIGGER words BEFORE INSERT OR UPDATE OF title, summary, kind, themes, organiser ON resource "
        "FOR EACH ROW EXECUTE FUNCTION resource_words()"
    )
    op.execute("DROP TRIGGER touch ON resource")
    op.execute(_TOUCH_CHANGED)
    _find_words_anew("offer", "resource", "session")
    op.execute(
        "CREATE TRIGGER told AFTER UPDATE ON offer FOR EACH ROW "
        "WHEN (OLD.words IS DISTINCT FROM NEW.words) EXECUTE FUNCTION tell_sessions()"
    )
    op.execute("CREATE TRIGGER told AFTER INSERT ON theme FOR EACH ROW EXECUTE FUNCTION tell_themed()")
    op.execute(
        "CREATE TRIGGER renamed AFTER UPDATE ON theme FOR EACH ROW "
        "WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION tell_themed()"
    )


def downgrade() -> None:
    for trigger in (
        "renamed ON theme",
        "told ON theme",
        "told ON offer",
        "words ON resource",
        "words ON offer",
    ):
        op.execute(f"DROP TRIGGER {trigger}")
    for function in ("tell_themed", "tell_sessions", "resource_words", "offer_words"):
        op.execute(f"DROP FUNCTION {function}()")
    for statement in _BEFORE_0008:
        op.execute(statement)
    _find_words_anew("session")
    op.execute("DROP TRIGGER touch ON resource")
    op.execute(_TOUCH_ALWAYS)
    op.execute("DROP FUNCTION theme_words(jsonb)")
    op.execute("DROP FUNCTION kind_words(text)")
    op.execute("DROP FUNCTION search_words(text)")
    op.drop_index("ix_resource_url", table_name="resource", postgresql_using="hash")
    for table in ("offer", "resource"):
        op.drop_index(f"ix_{table}_words", table_name=table, postgresql_using="gin")
        op.drop_column(table, "words")


def _find_words_anew(*filled: str) -> None:
    """Of all rows, which their readers are not to take for changed."""
    for table in filled:
        rows = sa.table(table, sa.column("title", sa.String()))
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER touch")
        op.execute(rows.update().values(title=rows.c.title))
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER touch")
