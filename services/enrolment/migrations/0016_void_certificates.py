"""The codes of certificates that a correction of attendance made void."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "certificate",
        sa.Column("void_codes", postgresql.ARRAY(sa.String()), server_default="{}", nullable=False),
    )
    op.create_index("ix_certificate_void_codes", "certificate", ["void_codes"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_column("certificate", "void_codes")
