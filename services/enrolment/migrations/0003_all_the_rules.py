"""Offers, priorities, attendance, and the story of each enrolment."""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_moment = sa.DateTime(timezone=True)
_LIVE_BEFORE = "state IN ('enrolled', 'offered', 'pending_approval', 'pending_selection', 'waitlisted')"
_LIVE = (
    "state IN ('absent', 'absent_justified', 'attended', 'certified', 'enrolled', 'offered', "
    "'pending_approval', 'pending_selection', 'waitlisted')"
)


def upgrade() -> None:
    op.add_column("session", sa.Column("enrolment_closes_at", _moment, nullable=True))
    op.add_column("session", sa.Column("next_release_at", _moment, nullable=True))
    op.add_column("session", sa.Column("taken_by", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.execute(
        "UPDATE session SET enrolment_closes_at = CAST(state->>'enrolment_closes_at' AS timestamptz), "
        "next_release_at = (SELECT min(CAST(one->>'release_at' AS timestamptz)) "
        "FROM jsonb_array_elements(state->'reserved_seats') AS one "
        "WHERE CAST(one->>'release_at' AS timestamptz) > now())"
    )
    op.create_index(
        "ix_session_next_release",
        "session",
        ["next_release_at"],
        postgresql_where=sa.text("next_release_at IS NOT NULL"),
    )

    op.add_column("enrolment", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    op.add_column("enrolment", sa.Column("hold_until", _moment, nullable=True))
    op.drop_index("uq_enrolment_live", table_name="enrolment")
    op.create_index(
        "uq_enrolment_live",
        "enrolment",
        ["session_id", "agent_id"],
        unique=True,
        postgresql_where=sa.text(_LIVE),
    )
    op.drop_index("ix_enrolment_line", table_name="enrolment")
    op.create_index(
        "ix_enrolment_line",
        "enrolment",
        ["session_id", sa.literal_column("priority DESC"), "ticket"],
        postgresql_where=sa.text("state = 'waitlisted'"),
    )
    op.create_index(
        "ix_enrolment_offered",
        "enrolment",
        ["hold_until"],
        postgresql_where=sa.text("state = 'offered'"),
    )
    op.create_index(
        "ix_enrolment_pending",
        "enrolment",
        ["session_id"],
        postgresql_where=sa.text("state IN ('pending_approval', 'pending_selection')"),
    )

    op.add_column("request", sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.add_column("request", sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.alter_column("request", "agent_id", nullable=True)

    op.create_table(
        "enrolment_change",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("cause", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "version", name=op.f("pk_enrolment_change")),
    )
    op.create_index("ix_enrolment_change_session", "enrolment_change", ["session_id", "at"])
    op.create_table(
        "attendance",
        sa.Column("enrolment_id", sa.Uuid(), nullable=False),
        sa.Column("module", sa.Integer(), nullable=False),
        sa.Column("attendance", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("recorded_at", _moment, nullable=False),
        sa.PrimaryKeyConstraint("enrolment_id", "module", name=op.f("pk_attendance")),
    )
    op.create_table(
        "reading",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("read_until", _moment, nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_reading")),
    )
    op.create_table(
        "bad_address",
        sa.Column("agent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("since", _moment, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_bad_address")),
    )


def downgrade() -> None:
    op.drop_table("bad_address")
    op.drop_table("reading")
    op.drop_table("attendance")
    op.drop_table("enrolment_change")
    op.execute("DELETE FROM request WHERE agent_id IS NULL")
    op.alter_column("request", "agent_id", nullable=False)
    op.drop_column("request", "facts")
    op.drop_column("request", "kind")
    op.drop_index("ix_enrolment_pending", table_name="enrolment")
    op.drop_index("ix_enrolment_offered", table_name="enrolment")
    op.drop_index("ix_enrolment_line", table_name="enrolment")
    op.create_index(
        "ix_enrolment_line",
        "enrolment",
        ["session_id", "ticket"],
        postgresql_where=sa.text("state = 'waitlisted'"),
    )
    op.drop_index("uq_enrolment_live", table_name="enrolment")
    op.create_index(
        "uq_enrolment_live",
        "enrolment",
        ["session_id", "agent_id"],
        unique=True,
        postgresql_where=sa.text(_LIVE_BEFORE),
    )
    op.drop_column("enrolment", "hold_until")
    op.drop_column("enrolment", "priority")
    op.drop_index("ix_session_next_release", table_name="session")
    op.drop_column("session", "taken_by")
    op.drop_column("session", "next_release_at")
    op.drop_column("session", "enrolment_closes_at")
