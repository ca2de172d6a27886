"""Log-ins of agents at an issuer, once the mailbox of the address has confirmed them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "agent_log_in",
        sa.Column("person", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.Column("is_confirmed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("sealed_tokens", sa.String(), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person", "address", name=op.f("pk_agent_log_in")),
        sa.UniqueConstraint("request_id", name=op.f("uq_agent_log_in_request_id")),
    )


def downgrade() -> None:
    op.drop_table("agent_log_in")
