"""Letters that are not sent because they are not so any more; lists of mails without sorting them all."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_mail_state_is_known"), "mail", type_="check")
    op.create_check_constraint(
        op.f("ck_mail_state_is_known"),
        "mail",
        "state IN ('pending', 'claimed', 'data_started', 'sent', 'retry', 'failed', 'ambiguous', "
        "'superseded')",
    )
    op.create_index("ix_mail_created", "mail", ["created_at", "mail_id"], unique=False)
    op.drop_index(op.f("ix_mail_recipient"), table_name="mail")
    op.create_index("ix_mail_recipient", "mail", ["recipient", "created_at", "mail_id"], unique=False)
    _index_troubled("state", "created_at", "mail_id")


def downgrade() -> None:
    _index_troubled("state", "created_at")
    op.drop_index("ix_mail_recipient", table_name="mail")
    op.create_index(op.f("ix_mail_recipient"), "mail", ["recipient"], unique=False)
    op.drop_index("ix_mail_created", table_name="mail")
    op.execute("DELETE FROM mail WHERE state = 'superseded'")
    op.drop_constraint(op.f("ck_mail_state_is_known"), "mail", type_="check")
    op.create_check_constraint(
        op.f("ck_mail_state_is_known"),
        "mail",
        "state IN ('pending', 'claimed', 'data_started', 'sent', 'retry', 'failed', 'ambiguous')",
    )


def _index_troubled(*columns: str) -> None:
    where = sa.text("state IN ('failed', 'ambiguous')")
    op.drop_index("ix_mail_troubled", table_name="mail", postgresql_where=where)
    op.create_index("ix_mail_troubled", "mail", list(columns), unique=False, postgresql_where=where)
