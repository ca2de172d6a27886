"""Stores the reason for a session's cancellation that everybody may read."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("session", sa.Column("cancellation_reason", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("session", "cancellation_reason")
