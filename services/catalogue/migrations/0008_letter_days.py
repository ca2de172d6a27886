"""The days before the start on which the letters of a session are sent."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COLUMNS = {"joining_days_before": "15", "reminder_days_before": "7", "last_reminder_days_before": "1"}


def upgrade() -> None:
    for name, default in _COLUMNS.items():
        op.add_column("session", sa.Column(name, sa.Integer(), server_default=default, nullable=False))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("session", name)
