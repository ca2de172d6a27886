"""What the files gave to show is kept beside their plan; who asked is forgotten, answered or not."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "session",
        sa.Column("loaded_presentation", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )
    op.drop_index(
        "ix_bespoke_request_answered_at",
        table_name="bespoke_request",
        postgresql_where=sa.text("requester_email IS NOT NULL"),
    )
    op.create_index(
        "ix_bespoke_request_last_moved_at",
        "bespoke_request",
        [sa.literal_column("coalesce(answered_at, received_at)")],
        unique=False,
        postgresql_where=sa.text("requester_email IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_bespoke_request_last_moved_at",
        table_name="bespoke_request",
        postgresql_where=sa.text("requester_email IS NOT NULL"),
    )
    op.create_index(
        "ix_bespoke_request_answered_at",
        "bespoke_request",
        ["answered_at"],
        unique=False,
        postgresql_where=sa.text("requester_email IS NOT NULL"),
    )
    op.drop_column("session", "loaded_presentation")
