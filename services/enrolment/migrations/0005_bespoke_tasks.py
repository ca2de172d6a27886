"""Bespoke requests that wait for their delegation."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "bespoke_task",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("delegation", sa.String(), nullable=True),
        sa.Column("authority", sa.String(), nullable=True),
        sa.Column("trainees", sa.Integer(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "source", name=op.f("pk_bespoke_task")),
    )
    op.create_index(
        "ix_bespoke_task_waiting",
        "bespoke_task",
        ["delegation", "since"],
        unique=False,
        postgresql_where=sa.text("step < 2"),
    )


def downgrade() -> None:
    op.drop_index("ix_bespoke_task_waiting", "bespoke_task", postgresql_where=sa.text("step < 2"))
    op.drop_table("bespoke_task")
