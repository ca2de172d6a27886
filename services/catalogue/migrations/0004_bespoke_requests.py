"""What authorities ask for, and where it stands."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "bespoke_request",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("siret", sa.String(), nullable=False),
        sa.Column("authority", sa.String(), nullable=False),
        sa.Column("delegation", sa.String(), nullable=False),
        sa.Column("theme", sa.String(), nullable=False),
        sa.Column("trainees", sa.Integer(), nullable=False),
        sa.Column("wished_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wished_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requester_name", sa.String(), nullable=True),
        sa.Column("requester_email", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("advisor_name", sa.String(), nullable=True),
        sa.Column("advisor_email", sa.String(), nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "state IN ('received', 'qualified', 'proposed', 'agreed', 'declined')",
            name=op.f("ck_bespoke_request_known_state"),
        ),
        sa.CheckConstraint(
            "(state = 'agreed') = (session_id IS NOT NULL)",
            name=op.f("ck_bespoke_request_agreed_with_a_session"),
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.session_id"], name=op.f("fk_bespoke_request_session_id_session")
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_bespoke_request")),
    )
    op.create_index(
        "ix_bespoke_request_delegation",
        "bespoke_request",
        ["delegation", sa.literal_column("received_at DESC"), "request_id"],
        unique=False,
    )
    op.create_index(
        "ix_bespoke_request_received_at",
        "bespoke_request",
        [sa.literal_column("received_at DESC"), "request_id"],
        unique=False,
    )
    op.create_index(
        "ix_bespoke_request_answered_at",
        "bespoke_request",
        ["answered_at"],
        unique=False,
        postgresql_where=sa.text("requester_email IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_bespoke_request_answered_at",
        table_name="bespoke_request",
        postgresql_where=sa.text("requester_email IS NOT NULL"),
    )
    op.drop_index("ix_bespoke_request_received_at", table_name="bespoke_request")
    op.drop_index("ix_bespoke_request_delegation", table_name="bespoke_request")
    op.drop_table("bespoke_request")
