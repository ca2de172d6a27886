"""Dead letters are no longer found by digests of the names in them: the column is left empty."""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.alter_column("dead_letter", "names", server_default="[]")
    op.drop_index("ix_dead_letter_names", "dead_letter", if_exists=True)


def downgrade() -> None:
    op.create_index("ix_dead_letter_names", "dead_letter", ["names"], postgresql_using="gin")
    op.alter_column("dead_letter", "names", server_default=None)
