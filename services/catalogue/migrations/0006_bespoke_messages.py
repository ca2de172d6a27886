"""Stores every message to the authority of a bespoke request, not only the last."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("bespoke_request", sa.Column("messages", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("bespoke_request", "messages")
