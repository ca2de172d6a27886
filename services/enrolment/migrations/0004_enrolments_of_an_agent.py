"""The enrolments of one agent, found without looking through all."""

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_enrolment_agent", "enrolment", ["agent_id"])


def downgrade() -> None:
    op.drop_index("ix_enrolment_agent", table_name="enrolment")
