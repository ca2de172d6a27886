"""A session may limit how many seats one authority takes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("session", sa.Column("quota_per_authority", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_session_quota_positive"), "session", "quota_per_authority > 0")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_session_quota_positive"), "session", type_="check")
    op.drop_column("session", "quota_per_authority")
