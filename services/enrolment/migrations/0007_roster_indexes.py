"""What rosters are paged and sorted by, and how who may be one person is found."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from shared.migrations import build_index

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_FAMILY, _GIVEN = "(agent ->> 'family_name')", "(agent ->> 'given_name')"
_PLAIN = "regexp_replace(normalize(lower({}), NFD) COLLATE \"C\", '[\u0300-\u036f]', '', 'g')"
_BY_NAME = _PLAIN.format(f"({_FAMILY} || ' ') || {_GIVEN}")


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
        "ix_enrolment_name",
        "enrolment",
        ["session_id", "state", sa.literal_column(_BY_NAME), "enrolment_id"],
    )


def downgrade() -> None:
    op.drop_index("ix_enrolment_name", table_name="enrolment")
    op.drop_index("ix_enrolment_address", table_name="enrolment")
    op.drop_index("ix_enrolment_roster", table_name="enrolment")
