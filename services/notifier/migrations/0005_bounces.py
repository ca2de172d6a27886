"""Mails that came back, and addresses that are written to no more."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("mail", sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("mail", sa.Column("bounce_status", sa.String(), nullable=True))
    op.create_table(
        "bounce",
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("bounced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("report", name=op.f("pk_bounce")),
    )
    op.create_index(op.f("ix_bounce_address"), "bounce", ["address"], unique=False)
    op.create_table(
        "suppression",
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("mail_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_suppression")),
    )


def downgrade() -> None:
    op.drop_table("suppression")
    op.drop_index(op.f("ix_bounce_address"), table_name="bounce")
    op.drop_table("bounce")
    op.drop_column("mail", "bounce_status")
    op.drop_column("mail", "bounced_at")
