import re
from functools import reduce
from typing import Any, cast

from sqlalchemy import ColumnElement, func, inspect, select
from sqlmodel import SQLModel

from services.catalogue.rules.synonyms import readings

_DASHES = re.compile(r'-[^\w"]*-')
"""Each excludes what follows, and Postgres refuses more than 32."""


def matches(row: type[SQLModel], query: str) -> ColumnElement[bool]:
    """Match words, "a phrase", or, -not; *metiers* finds *métiers*, and a word finds its synonyms."""
    vector = inspect(row).local_table.c.search_vector
    queries: list[ColumnElement[Any]] = [
        func.websearch_to_tsquery("french", func.french_words(_DASHES.sub("-", reading)))
        for reading in readings(query)
    ]
    # A subquery, because a generic plan would parse the search again for each row.
    sought = select(reduce(lambda first, second: first.op("||")(second), queries)).scalar_subquery()
    return cast("ColumnElement[bool]", vector.bool_op("@@")(sought))
