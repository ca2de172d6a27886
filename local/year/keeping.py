from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import asyncpg
import yaml

from local.observing import reading
from local.people import Agent
from local.year.situations import MARK


@dataclass(frozen=True)
class Retention:
    """Tables that must contain no person of the year at a moment, and tables that must still contain some.

    `retention.yaml` explains them.
    """

    at: str
    why: str
    gone: Collection[str]
    there: Collection[str] = ()


RETENTION = [
    Retention(**period) for period in yaml.safe_load(Path(__file__).with_name("retention.yaml").read_text())
]


@dataclass(frozen=True)
class Finding:
    at: str
    why: str
    rows: Mapping[str, int]
    wrong: Collection[str]

    def __str__(self) -> str:
        found = ", ".join(f"{table} {count}" for table, count in self.rows.items()) or "nobody anywhere"
        return f"{self.at[:10]}  {self.why}: {found}" + "".join(f"   <-- {fault}" for fault in self.wrong)


async def look_for_everybody(urls: Mapping[str, str], retention: Retention) -> Finding:
    return await _look(urls, retention, [MARK])


async def look_for(urls: Mapping[str, str], agent: Agent, at: str) -> Finding:
    retention = Retention(at, f"{agent.name} is forgotten within a day", ["*"])
    return await _look(urls, retention, [agent.agent_id, agent.email, agent.family_name])


async def _look(urls: Mapping[str, str], retention: Retention, sought: Collection[str]) -> Finding:
    rows: dict[str, int] = {}
    for service, url in urls.items():
        async with reading(url) as database:
            counts = await _tables_with(database, sought)
        rows |= {f"{service}.{table}": count for table, count in counts.items()}
    return Finding(retention.at, retention.why, rows, judge(retention, rows))


def judge(retention: Retention, rows: Mapping[str, int]) -> list[str]:
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
