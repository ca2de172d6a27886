"""For whom the databases still have anything: looked for by mark and name, in every table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import asyncpg

from local.demo.observed import reading
from local.demo.people import Agent
from local.year.people import MARK


@dataclass(frozen=True)
class Retention:
    """Where nobody of the year may be any more at a moment, and where somebody still must be.

    Tables as `service.table`; `*` stands for any. `why`: the periods in the register of personal data.
    """

    at: str
    why: str
    gone: Collection[str]
    there: Collection[str] = ()


@dataclass(frozen=True)
class Finding:
    """What was found at a moment; `wrong`: who should not be there, or should."""

    at: str
    why: str
    rows: Mapping[str, int]
    wrong: Collection[str]

    def __str__(self) -> str:
        """One line, to print."""
        found = ", ".join(f"{table} {count}" for table, count in self.rows.items()) or "nobody anywhere"
        return f"{self.at[:10]}  {self.why}: {found}" + "".join(f"   <-- {fault}" for fault in self.wrong)


async def look_for_everybody(urls: Mapping[str, str], retention: Retention) -> Finding:
    """Look for anybody of the year."""
    rows = await _rows_with(urls, [MARK])
    return Finding(retention.at, retention.why, rows, judge(retention, rows))


async def look_for(urls: Mapping[str, str], agent: Agent, at: str) -> Finding:
    """Look for somebody who was to be forgotten: by identifier, address and name."""
    rows = await _rows_with(urls, [agent.agent_id, agent.email, agent.family_name])
    name = f"{agent.given_name} {agent.family_name}"
    retention = Retention(at, f"{name} is forgotten within a day", ["*"])
    return Finding(at, retention.why, rows, judge(retention, rows))


def judge(retention: Retention, rows: Mapping[str, int]) -> list[str]:
    """Return what is wrong with whom these tables have."""
    kept = [
        f"{table} still knows somebody"
        for table in rows
        if any(fnmatchcase(table, pattern) for pattern in retention.gone)
    ]
    lost = [
        f"{pattern} knows nobody any more"
        for pattern in retention.there
        if not any(fnmatchcase(table, pattern) for table in rows)
    ]
    return kept + lost


async def _rows_with(urls: Mapping[str, str], sought: Collection[str]) -> dict[str, int]:
    """Return in how many rows of which tables any of these is."""
    found: dict[str, int] = {}
    for service, url in urls.items():
        async with reading(url) as database:
            counts = await _tables_with(database, sought)
        found |= {f"{service}.{table}": count for table, count in counts.items()}
    return found


async def _tables_with(database: asyncpg.Connection, sought: Collection[str]) -> dict[str, int]:
    tables = await database.fetch(
        "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables "
        "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    patterns = [f"%{word}%" for word in sought]
    counts = {
        row["name"]: await database.fetchval(
            f"SELECT count(*) FROM {row['name']} AS kept WHERE kept::text LIKE ANY ($1)",  # noqa: S608 its own
            patterns,
        )
        for row in tables
    }
    return {name.removeprefix("public."): count for name, count in sorted(counts.items()) if count}
