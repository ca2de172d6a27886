"""Names of sessions from which others are begun."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "session_template",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("organiser", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_session_template_session_id_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_template")),
        sa.UniqueConstraint("organiser", "name", name=op.f("uq_session_template_organiser_name")),
    )


def downgrade() -> None:
    op.drop_table("session_template")
