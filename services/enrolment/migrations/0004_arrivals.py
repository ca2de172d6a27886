"""Arrivals, as they are noted at the door."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "arrival",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("module", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "module", name=op.f("pk_arrival")),
    )


def downgrade() -> None:
    op.drop_table("arrival")
