"""``python -m tests.support.migration_drift``: whether the migrations make the tables that the code names."""

import importlib
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from local.postgres import PostgresServer
from shared import migrations

SERVICES = ("catalogue", "enrolment", "notifier")
LEFT_BEHIND = frozenset(
    f"{service}.{column}" for service in SERVICES for column in ("dead_letter.names", "login.id_token")
)
"""Tables and columns (``enrolment.seat.colour``) that no code uses any more: the next release drops them."""


def main() -> int:
    """Upgrade an empty database of each service and compare; returns the exit code."""
    owed = 0
    with PostgresServer.temporary() as postgres:
        for service in SERVICES:
            url = postgres.fresh_database()
            metadata = importlib.import_module(f"services.{service}.tables").metadata
            migrations.upgrade(url, Path("services") / service / "migrations")
            for difference in migrations.drift(url, metadata):
                if is_left_behind(service, difference, LEFT_BEHIND):
                    continue
                sys.stderr.write(f"{service}: a migration is owed for {difference}\n")
                owed += 1
    return 1 if owed else 0


def is_left_behind(service: str, difference: tuple[Any, ...], left_behind: Collection[str]) -> bool:
    """Whether a difference, as `migrations.drift` has it, is a table or column that waits to be dropped."""
    match difference:
        case ("remove_table", table):
            return f"{service}.{table.name}" in left_behind
        case ("remove_column", _, table, column):
            return f"{service}.{table}.{column.name}" in left_behind
    return False


if __name__ == "__main__":
    sys.exit(main())
