"""Letters that are due later, and letters to many that go into the queue slice by slice."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ENROLLED = sa.text("standing = 'enrolled'")
TO_COME = sa.text(
    "state IN ('pending', 'retry', 'claimed', 'data_started') "
    "AND template IN ('joining-instructions', 'reminder-day', 'reminder-week')"
)


def upgrade() -> None:
    op.add_column(
        "enrolment",
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.drop_index("ix_enrolment_enrolled", table_name="enrolment", postgresql_where=ENROLLED)
    op.create_index(
        "ix_enrolment_enrolled",
        "enrolment",
        ["session_id", "enrolment_id"],
        unique=False,
        postgresql_where=ENROLLED,
    )
    op.create_index(
        "ix_mail_to_come", "mail", ["enrolment_id", "template"], unique=False, postgresql_where=TO_COME
    )
    op.create_table(
        "fan_out",
        sa.Column("fan_out_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("called_for_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("after", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("fan_out_id", name=op.f("pk_fan_out")),
    )
    op.create_index(
        "ix_fan_out_open",
        "fan_out",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("done_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_fan_out_open", table_name="fan_out", postgresql_where=sa.text("done_at IS NULL"))
    op.drop_table("fan_out")
    op.drop_index("ix_mail_to_come", table_name="mail", postgresql_where=TO_COME)
    op.drop_index("ix_enrolment_enrolled", table_name="enrolment", postgresql_where=ENROLLED)
    op.create_index(
        "ix_enrolment_enrolled", "enrolment", ["session_id"], unique=False, postgresql_where=ENROLLED
    )
    op.drop_column("enrolment", "since")
