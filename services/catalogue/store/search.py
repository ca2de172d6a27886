"""French full text search."""

from typing import cast

from sqlalchemy import ColumnElement, func, inspect
from sqlmodel import SQLModel


def matches(row: type[SQLModel], query: str) -> ColumnElement[bool]:
    """Whether a row matches what somebody typed: words, "a phrase", or, -not; *metiers* finds *métiers*."""
    vector = inspect(row).local_table.c.search_vector
    found = vector.bool_op("@@")(func.websearch_to_tsquery("french", func.french_words(query)))
    return cast("ColumnElement[bool]", found)
