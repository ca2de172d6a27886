"""The statements in text that a test makes the services run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from sqlalchemy import TextClause

from shared import database
from shared.database import Rows, Transaction


class Asked(NamedTuple):
    sql: str
    arguments: list[Any]


@contextmanager
def statements() -> Iterator[list[Asked]]:
    """Return what the database is asked meanwhile, in order."""
    asked: list[Asked] = []
    fetch = Transaction._fetch

    async def keep(tx: Transaction, statement: TextClause, params: Mapping[str, Any]) -> Rows:
        asked.append(Asked(*database._positional(statement, params)))
        return await fetch(tx, statement, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "_fetch", keep)
        yield asked
