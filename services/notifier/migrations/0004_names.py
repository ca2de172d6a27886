"""How who is sought by name is found."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from shared.migrations import build_index

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    build_index("ix_enrolment_name", "enrolment", [sa.text(f"{_FOLDED} text_pattern_ops")])


def downgrade() -> None:
    op.drop_index("ix_enrolment_name", table_name="enrolment")


_FOLDED = (
    "lower(translate(replace(replace(replace(replace(family_name, 'œ', 'oe'), 'Œ', 'OE'), 'æ', 'ae'), "
    "'Æ', 'AE'), 'ÀÂÄÁÃÇÉÈÊËÎÏÍÔÖÓÕÙÛÜÚŸÑàâäáãçéèêëîïíôöóõùûüúÿñ-’''', "
    "'AAAAACEEEEIIIOOOOUUUUYNaaaaaceeeeiiioooouuuuyn   '))"
)
