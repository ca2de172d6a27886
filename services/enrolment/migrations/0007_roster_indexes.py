"""What rosters are paged by, and how who may be one person is found."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from shared.migrations import build_index

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    build_index(
        "ix_enrolment_roster",
        "enrolment",
        [
            "session_id",
            "state",
            sa.literal_column("(\nCASE\nWHEN state = 'waitlisted' THEN -priority\nELSE 0\nEND)"),
            sa.literal_column("coalesce(ticket, 0)"),
            "received_at",
            "enrolment_id",
        ],
    )
    build_index(
        "ix_enrolment_address", "enrolment", ["session_id", sa.literal_column("lower(agent ->> 'email')")]
    )
    build_index(
        "ix_enrolment_names",
        "enrolment",
        [
            "session_id",
            sa.literal_column("lower(agent ->> 'family_name')"),
            sa.literal_column("lower(agent ->> 'given_name')"),
        ],
    )


def downgrade() -> None:
    op.drop_index("ix_enrolment_names", table_name="enrolment")
    op.drop_index("ix_enrolment_address", table_name="enrolment")
    op.drop_index("ix_enrolment_roster", table_name="enrolment")
