"""``python -m tests.support.migration_drift``: whether the migrations make the tables that the code names."""

import importlib
import sys
from pathlib import Path

from local.postgres import PostgresServer
from shared import migrations

SERVICES = ("catalogue", "enrolment", "notifier")


def main() -> int:
    """Upgrade an empty database of each service and compare; returns the exit code."""
    owed = 0
    with PostgresServer.temporary() as postgres:
        for service in SERVICES:
            url = postgres.fresh_database()
            metadata = importlib.import_module(f"services.{service}.tables").metadata
            migrations.upgrade(url, Path("services") / service / "migrations", metadata)
            for difference in migrations.drift(url, metadata):
                sys.stderr.write(f"{service}: a migration is owed for {difference}\n")
                owed += 1
    return 1 if owed else 0


if __name__ == "__main__":
    sys.exit(main())
