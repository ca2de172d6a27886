"""Idempotency keys of requests that came by HTTP."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "intake_key",
        sa.Column("portal", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("portal", "key", name=op.f("pk_intake_key")),
    )
    op.create_index("ix_intake_key_request_id", "intake_key", ["request_id"], unique=True)
    op.create_index(op.f("ix_intake_key_created_at"), "intake_key", ["created_at"], postgresql_using="brin")


def downgrade() -> None:
    op.drop_table("intake_key")
