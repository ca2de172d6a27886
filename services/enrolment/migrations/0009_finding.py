"""What a person is found by in all sessions of a delegation."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from shared.migrations import build_index

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_EMPLOYER = "(agent -> 'employer' ->> 'name')"
_PLAIN = "regexp_replace(normalize(lower({}), NFD) COLLATE \"C\", '[\u0300-\u036f]', '', 'g')"
_NAMED = f"{_EMPLOYER} || ' ' || (agent ->> 'family_name') || ' ' || (agent ->> 'given_name')"
_SOUGHT = _PLAIN.format(f"{_NAMED} || chr(10) || (agent ->> 'email') || ' ' || agent_id")
_WORDS = (
    "array_to_tsvector(array_remove(string_to_array("
    f"translate(coalesce(sought, {_SOUGHT}), '@.,;:/_’''-' || chr(10), '{' ' * 11}'), ' '), ''))"
)


def upgrade() -> None:
    build_index("ix_enrolment_words", "enrolment", [sa.literal_column(_WORDS)], using="gin")


def downgrade() -> None:
    op.drop_index("ix_enrolment_words", table_name="enrolment")
