"""A guard for what is tried: with limits that no other test meets, and a key of its own."""

from shared.database import Database
from shared.guard import Guard, Rates
from shared.limits import Rate

NOWHERE = Database("postgresql://nobody@localhost/nothing", application_name="")
"""For what counts nothing."""


def a_guard(
    database: Database = NOWHERE,
    *,
    refused: str = "1000/day",
    link: str = "1000/day",
    read: str = "1000000/day",
) -> Guard:
    """Return a guard that counts in this database; two of one database are as two processes."""
    rates = Rates(
        refused=Rate.parse(refused),
        log_in=Rate.parse("1000/day"),
        link=Rate.parse(link),
        read=Rate.parse(read),
    )
    return Guard(database, b"a key for tests", rates)
