"""``released_tables.py SERVICE URL …``: what imported code could not do in the database of a newer one.

Run with PYTHONPATH at the folder of the last release; prints a line for each thing.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Column, MetaData

from shared import migrations


def main(databases: Sequence[str]) -> None:
    """Compare the tables that the code names with those of each service's database."""
    assert Path(migrations.__file__).is_relative_to(Path.cwd()), "this is not the code of the release"
    for service, url in zip(databases[::2], databases[1::2], strict=True):
        metadata = import_module(f"services.{service}.tables").metadata
        for change in _changes(migrations.drift(url, metadata)):
            if not is_compatible(change, metadata):
                print(f"{service}: {change}")


def _changes(differences: list[Any]) -> Iterator[tuple[Any, ...]]:
    for difference in differences:
        yield from difference if isinstance(difference, list) else [difference]


def is_compatible(change: tuple[Any, ...], metadata: MetaData) -> bool:
    """Whether code that knows ``metadata`` reads and writes all the same; ``change`` leads to that code."""
    match change:
        case ("remove_table" | "remove_table_comment" | "remove_column_comment", *_):
            return True
        case ("remove_column", _, _, column):
            return _may_be_left_out(column)
        case ("remove_index", index) if not index.unique:
            return True
        case ("remove_index" | "remove_constraint" | "remove_fk", rule):
            known = metadata.tables.get(rule.table.name)
            return known is None or not {column.name for column in rule.columns} <= set(known.columns.keys())
        case ("add_index", index):
            return not index.unique
    return False


def _may_be_left_out(column: Column[Any]) -> bool:
    return bool(column.nullable or column.server_default or column.identity or column.computed)


if __name__ == "__main__":
    main(sys.argv[1:])
