"""A guard for what is tried: with limits that no other test meets, and a key of its own."""

from shared.database import Database
from shared.guard import Guard
from shared.rates import Rate, Rates

NOWHERE = Database("postgresql://nobody@localhost/nothing", application_name="")
"""For what counts nothing."""


def a_guard(database: Database = NOWHERE, *, read: str = "1000000/day") -> Guard:
    """Return a guard that counts in this database; two of one database are as two processes."""
    often = Rate.parse("1000/day")
    rates = Rates(refused=often, log_in=often, link=often, read=Rate.parse(read))
    return Guard(database, b"a key for tests", rates)
