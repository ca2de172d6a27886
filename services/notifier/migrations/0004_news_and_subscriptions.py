"""News, who wants them, and letters that are about no enrolment."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.alter_column("mail", "session_id", existing_type=sa.Uuid(), nullable=True)
    op.alter_column("mail", "enrolment_id", existing_type=sa.Uuid(), nullable=True)
    op.create_table(
        "news",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("interests", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_news")),
    )
    op.create_table(
        "subscriber",
        sa.Column("subscriber_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("given_name", sa.String(), nullable=False),
        sa.Column("family_name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("subscriber_id", name=op.f("pk_subscriber")),
        sa.UniqueConstraint("agent_id", name=op.f("uq_subscriber_agent_id")),
    )
    op.create_index("uq_subscriber_address", "subscriber", [sa.text("lower(address)")], unique=True)
    op.create_table(
        "subscription",
        sa.Column("subscriber_id", sa.Uuid(), nullable=False),
        sa.Column("interest", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscriber_id"],
            ["subscriber.subscriber_id"],
            name=op.f("fk_subscription_subscriber_id_subscriber"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscriber_id", "interest", name=op.f("pk_subscription")),
    )
    op.create_index("ix_subscription_interest", "subscription", ["interest", "subscriber_id"], unique=False)
    op.create_table(
        "subscription_request",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("interests", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_subscription_request")),
    )
    op.create_index(
        op.f("ix_subscription_request_asked_at"), "subscription_request", ["asked_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("subscription_request")
    op.drop_table("subscription")
    op.drop_table("subscriber")
    op.drop_table("news")
    op.execute("DELETE FROM mail WHERE session_id IS NULL OR enrolment_id IS NULL")
    op.alter_column("mail", "enrolment_id", existing_type=sa.Uuid(), nullable=False)
    op.alter_column("mail", "session_id", existing_type=sa.Uuid(), nullable=False)
