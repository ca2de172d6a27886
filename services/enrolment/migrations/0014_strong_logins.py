"""What the issuer says of a log-in: sealed tokens, its session there, and how strong it is."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("login", sa.Column("sealed_tokens", sa.String(), nullable=True))
    op.add_column("login", sa.Column("issuer_session", sa.String(), nullable=True))
    op.add_column("login", sa.Column("renew_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("login", sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "login", sa.Column("has_second_factor", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "logout_token",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_logout_token")),
    )
    op.create_index("ix_logout_token_expires_at", "logout_token", ["expires_at"])
    op.execute("UPDATE login SET id_token = NULL WHERE id_token IS NOT NULL")


def downgrade() -> None:
    op.drop_table("logout_token")
    for name in ("has_second_factor", "proved_at", "renew_at", "issuer_session", "sealed_tokens"):
        op.drop_column("login", name)
