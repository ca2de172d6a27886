"""Resources that were withdrawn: nothing more is written about them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "withdrawn_resource",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_withdrawn_resource")),
    )
    op.create_index("ix_withdrawn_resource_event_id", "withdrawn_resource", ["event_id"])


def downgrade() -> None:
    op.drop_table("withdrawn_resource")
