"""The longest session is known at once: a list of what is not over begins no earlier than that ago."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_session_length", "session", [sa.literal_column("(ends_at - starts_at)")], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_session_length", table_name="session")
