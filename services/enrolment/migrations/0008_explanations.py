"""What an operator finds the requests of somebody by, and what was published about them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from shared.migrations import build_index

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    build_index("ix_request_agent", "request", ["agent_id"], where=sa.text("agent_id IS NOT NULL"))
    build_index("ix_outbox_key", "outbox", ["key"], where=sa.text("portal IS NULL"))


def downgrade() -> None:
    op.drop_index("ix_outbox_key", table_name="outbox")
    op.drop_index("ix_request_agent", table_name="request")
