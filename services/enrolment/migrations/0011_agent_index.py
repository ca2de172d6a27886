"""One index finds the enrolments of an agent, in all sessions or in one."""

from collections.abc import Sequence

from alembic import op

from shared.migrations import build_index

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    build_index("ix_enrolment_agent_session", "enrolment", ["agent_id", "session_id", "issuer"])


def downgrade() -> None:
    op.drop_index("ix_enrolment_agent_session", table_name="enrolment")
