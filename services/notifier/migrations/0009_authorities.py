"""Which authorities had agents with a seat, and present, in each session."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("timeline", sa.Column("siret", sa.String(), nullable=True))
    op.create_table(
        "authority_reached",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("siret", sa.String(), nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("session_id", "siret", name=op.f("pk_authority_reached")),
    )


def downgrade() -> None:
    op.drop_table("authority_reached")
    op.drop_column("timeline", "siret")
