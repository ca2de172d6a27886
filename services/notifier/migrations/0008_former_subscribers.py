"""Agents may share an address; who was known by address and became an agent is found again by old links."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "former_subscriber",
        sa.Column("subscriber_id", sa.Uuid(), nullable=False),
        sa.Column("became", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["became"],
            ["subscriber.subscriber_id"],
            name=op.f("fk_former_subscriber_became_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscriber_id", name=op.f("pk_former_subscriber")),
    )
    op.create_index(op.f("ix_former_subscriber_became"), "former_subscriber", ["became"], unique=False)
    op.drop_index("uq_subscriber_address", table_name="subscriber")
    op.create_index("ix_subscriber_address", "subscriber", [sa.text("lower(address)")], unique=False)
    op.create_index(
        "uq_subscriber_address",
        "subscriber",
        [sa.text("lower(address)")],
        unique=True,
        postgresql_where=sa.text("agent_id IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "uq_subscriber_address", table_name="subscriber", postgresql_where=sa.text("agent_id IS NULL")
    )
    op.drop_index("ix_subscriber_address", table_name="subscriber")
    op.create_index("uq_subscriber_address", "subscriber", [sa.text("lower(address)")], unique=True)
    op.drop_index(op.f("ix_former_subscriber_became"), table_name="former_subscriber")
    op.drop_table("former_subscriber")
