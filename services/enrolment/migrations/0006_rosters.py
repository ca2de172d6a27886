"""What rosters are paged and searched by."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Whoever corrects an agent, the last release too, need not know of it.
_FORGET = """
CREATE FUNCTION enrolment_forget_sought() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.sought := NULL;
    RETURN NEW;
END $$"""
_WHEN_CORRECTED = """
CREATE TRIGGER enrolment_agent BEFORE UPDATE OF agent ON enrolment
FOR EACH ROW EXECUTE FUNCTION enrolment_forget_sought()"""


def upgrade() -> None:
    op.add_column("enrolment", sa.Column("sought", sa.String(), nullable=True))
    op.create_index(
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
        unique=False,
    )
    op.create_index(
        "ix_enrolment_address",
        "enrolment",
        ["session_id", sa.literal_column("lower(agent ->> 'email')")],
        unique=False,
    )
    op.create_index(
        "ix_enrolment_names",
        "enrolment",
        [
            "session_id",
            sa.literal_column("lower(agent ->> 'family_name')"),
            sa.literal_column("lower(agent ->> 'given_name')"),
        ],
        unique=False,
    )
    op.execute(_FORGET)
    op.execute(_WHEN_CORRECTED)


def downgrade() -> None:
    op.execute("DROP TRIGGER enrolment_agent ON enrolment")
    op.execute("DROP FUNCTION enrolment_forget_sought")
    op.drop_index("ix_enrolment_names", table_name="enrolment")
    op.drop_index("ix_enrolment_address", table_name="enrolment")
    op.drop_index("ix_enrolment_roster", table_name="enrolment")
    op.drop_column("enrolment", "sought")
