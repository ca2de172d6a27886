"""What happened to agents, as support reads it, and their names, by which support looks for them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "timeline",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("enrolment_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline")),
    )
    op.create_index("ix_timeline_agent", "timeline", ["agent_id", "issuer", "at"], unique=False)
    op.create_index("ix_enrolment_name", "enrolment", [sa.text(f"{_FOLDED} text_pattern_ops")], unique=False)


def downgrade() -> None:
    op.drop_index("ix_enrolment_name", table_name="enrolment")
    op.drop_table("timeline")


_FOLDED = (
    "lower(translate(family_name, 'ÀÂÄÁÃÇÉÈÊËÎÏÍÔÖÓÕÙÛÜÚŸÑàâäáãçéèêëîïíôöóõùûüúÿñ-’', "
    "'AAAAACEEEEIIIOOOOUUUUYNaaaaaceeeeiiioooouuuuyn  '))"
)
