from functools import reduce
from typing import Any, cast

from sqlalchemy import ColumnElement, func, inspect
from sqlmodel import SQLModel

from services.catalogue.rules.synonyms import readings


def matches(row: type[SQLModel], query: str) -> ColumnElement[bool]:
    """Match words, "a phrase", or, -not; *metiers* finds *métiers*, and a word finds its synonyms."""
    vector = inspect(row).local_table.c.search_vector
    queries: list[ColumnElement[Any]] = [
        func.websearch_to_tsquery("french", func.french_words(reading)) for reading in readings(query)
    ]
    found = vector.bool_op("@@")(reduce(lambda first, second: first.op("||")(second), queries))
    return cast("ColumnElement[bool]", found)
