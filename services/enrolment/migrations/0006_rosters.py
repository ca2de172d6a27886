"""What rosters are searched by."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The last release corrects an agent and knows nothing of what is searched.
_FORGET = """
CREATE FUNCTION enrolment_forget_sought() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sought IS NOT DISTINCT FROM OLD.sought THEN
        NEW.sought := NULL;
    END IF;
    RETURN NEW;
END $$"""
_WHEN_CORRECTED = """
CREATE TRIGGER enrolment_agent BEFORE UPDATE OF agent ON enrolment
FOR EACH ROW EXECUTE FUNCTION enrolment_forget_sought()"""


def upgrade() -> None:
    op.add_column("enrolment", sa.Column("sought", sa.String(), nullable=True))
    op.execute(_FORGET)
    op.execute(_WHEN_CORRECTED)


def downgrade() -> None:
    op.execute("DROP TRIGGER enrolment_agent ON enrolment")
    op.execute("DROP FUNCTION enrolment_forget_sought")
    op.drop_column("enrolment", "sought")
