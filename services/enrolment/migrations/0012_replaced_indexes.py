"""Two indexes of agents go: 0011 has built the one that replaces them."""

from collections.abc import Sequence

from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_index("ix_enrolment_session_agent", table_name="enrolment", if_exists=True)
    op.drop_index("ix_enrolment_agent", table_name="enrolment", if_exists=True)


def downgrade() -> None:
    op.create_index("ix_enrolment_agent", "enrolment", ["agent_id", "issuer"])
    op.create_index("ix_enrolment_session_agent", "enrolment", ["session_id", "agent_id", "issuer"])
