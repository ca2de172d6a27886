"""How often what happened, by month, offer and organiser, and by what it is counted."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "figure",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("offer_id", sa.String(), nullable=False),
        sa.Column("organiser", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("month", "offer_id", "organiser", "kind", "reason", name=op.f("pk_figure")),
    )
    op.create_table(
        "figure_progress",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("counted_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_figure_progress")),
    )
    op.add_column(
        "timeline",
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
    )
    op.add_column("timeline", sa.Column("version", sa.Integer(), nullable=True))
    op.create_index("ix_timeline_recorded", "timeline", ["recorded_at"], postgresql_using="brin")
    op.create_index("ix_mail_attempt_at", "mail_attempt", ["at"], postgresql_using="brin")


def downgrade() -> None:
    op.drop_index("ix_mail_attempt_at", table_name="mail_attempt", postgresql_using="brin")
    op.drop_index("ix_timeline_recorded", table_name="timeline", postgresql_using="brin")
    op.drop_column("timeline", "version")
    op.drop_column("timeline", "recorded_at")
    op.drop_table("figure_progress")
    op.drop_table("figure")
