"""Turns of domains that may get so many mails a second, from all processes together."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "domain_turn",
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_domain_turn")),
    )
    op.add_column("mail", sa.Column("turn_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("mail", "turn_at")
    op.drop_table("domain_turn")
