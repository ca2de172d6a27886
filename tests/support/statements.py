"""Statements in text: those of a test, and those that it makes the services run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from sqlalchemy import TextClause, text

from shared import database
from shared.database import Database, Row, Rows, Transaction


async def execute(database: Database, statement: str, **values: Any) -> list[Row]:
    """Run a statement in a transaction of its own. Return its rows, which are equal to tuples."""
    async with database.quiet_transaction() as tx:
        return list(await tx.execute(text(statement), values))


async def plan_of(
    database: Database,
    statement: TextClause,
    parameters: Mapping[str, Any],
    *,
    without: Sequence[str] = ("seqscan",),
) -> str:
    """Return the plan of a statement where these ways are switched off, as they may suit a small table."""
    async with database.quiet_transaction() as tx:
        for way in without:
            await tx.execute(text(f"SET LOCAL enable_{way} = off"))
        return "\n".join(await tx.scalars(text(f"EXPLAIN {statement.text}"), parameters))


async def kept_plans(tx: Transaction, about: str) -> list[str]:
    """Return the plans that the connection keeps for the statements with this text, which it planned once."""
    prepared = await tx.driver.fetch("SELECT name, statement, custom_plans FROM pg_prepared_statements")
    plans = []
    for name, statement, custom_plans in prepared:
        if about in statement:
            assert custom_plans == 0, f"planned for its parameters: {statement}"
            number = max(map(int, re.findall(r"\$(\d+)", statement)))
            nothing = ", ".join(["NULL"] * number)
            plan = await tx.driver.fetch(f"EXPLAIN EXECUTE {name} ({nothing})")
            plans.append("\n".join(line for [line] in plan))
    return plans


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
