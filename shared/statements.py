"""Parts of SQL that every store needs: writes of many rows, and pages of a sorted list."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, SQLColumnExpression, TextClause, inspect, text, tuple_
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from shared.database import Rows, Statement, Transaction

Listing = TypeVar("Listing", bound=Select[Any])
FoundItem = TypeVar("FoundItem")


def next_to(
    query: Listing,
    place: Sequence[SQLColumnExpression[Any]],
    after: tuple[Any, ...] | None,
    before: tuple[Any, ...] | None = None,
    *,
    descending: bool = False,
) -> Listing:
    """Return the query for the rows of a sorted list after the row ``after``.

    ``place`` are the sort columns. With ``before`` the query returns the rows before that row, nearest first,
    so that a limit keeps the nearest.
    """
    edge = after if before is None else before
    falls = descending if before is None else not descending
    if edge is not None:
        row = tuple_(*place)
        query = query.where(row < edge if falls else row > edge)
    return query.order_by(*(column.desc() if falls else column for column in place))


def in_order(found: Iterable[FoundItem], before: object) -> list[FoundItem]:
    """A page ``before`` a row was read backwards."""
    page = list(found)
    return page if before is None else page[::-1]


async def insert_many(
    tx: Transaction, table: type[SQLModel], rows: Sequence[dict[str, Any]], *, then: str = ""
) -> Rows:
    """Insert ``rows`` in one statement, by ``unnest``: about forty times as fast as one by one.

    Every row has the same keys, which are column names. JSON columns take text. ``then`` follows the
    statement: ``ON CONFLICT …``, ``RETURNING …``.
    """
    return await insert_columns(tx, table, _columns(rows), then=then)


async def insert_columns(
    tx: Transaction, table: type[SQLModel], columns: Mapping[str, Any], *, then: str = ""
) -> Rows:
    """Insert whole columns, for hot paths. See :func:`insert_many`.

    A column is a list with a value for each row. Any other value is the same in every row and is sent once.
    """
    return await tx.execute(*insertion(table, columns, then=then))


def insertion(table: type[SQLModel], columns: Mapping[str, Any], *, then: str = "") -> Statement:
    """Return the statement of :func:`insert_columns`."""
    lists = tuple(name for name, values in columns.items() if isinstance(values, list))
    constants = tuple(name for name in columns if name not in lists)
    return Statement(_insert_statement(table, lists, then, constants), columns)


def once(values: list[Any]) -> Any:
    """A value that is the same in every row is sent once."""
    first = values[0]
    return first if all(value is first for value in values) else values


async def update_many(
    tx: Transaction, table: type[SQLModel], rows: Sequence[dict[str, Any]], *, by: str
) -> Rows:
    columns = _columns(rows)
    return await tx.execute(_update_statement(table, tuple(columns), by), columns)


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


@functools.cache
def _insert_statement(
    table: type[SQLModel], columns: tuple[str, ...], then: str, constants: tuple[str, ...] = ()
) -> TextClause:
    values = ", ".join(("rows.*", *(_cast(table, name) for name in constants)))
    return text(
        f"INSERT INTO {table.__tablename__} ({_quoted((*columns, *constants))}) "  # noqa: S608 names of our own columns
        f"SELECT {values} FROM unnest({_arrays(table, columns)}) AS rows {then}"
    )


@functools.cache
def _update_statement(table: type[SQLModel], columns: tuple[str, ...], by: str) -> TextClause:
    changes = ", ".join(f'"{name}" = change."{name}"' for name in columns if name != by)
    return text(
        f"UPDATE {table.__tablename__} SET {changes} "  # noqa: S608 names of our own columns
        f"FROM unnest({_arrays(table, columns)}) AS change ({_quoted(columns)}) "
        f'WHERE {table.__tablename__}."{by}" = change."{by}"'
    )


def _quoted(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _arrays(table: type[SQLModel], columns: Iterable[str]) -> str:
    return ", ".join(_cast(table, name, "[]") for name in columns)


def _cast(table: type[SQLModel], name: str, array: str = "") -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
    return f"CAST(:{name} AS {inspect(table).columns[name].type.compile(dialect)}{array})"
