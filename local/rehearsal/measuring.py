"""What a rehearsal cost, and how long requests and letters waited."""

import contextlib
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psutil

from local.children import cpu_seconds
from local.observing import reading

_CONNECTIONS = {
    "parcours_enrolment": "postgres, enrolment",
    "parcours_notifier": "postgres, notifier",
}
_ANSWERS = """
    SELECT received_at, sent_at FROM request
      JOIN outbox ON request_id::text = CAST(outbox.data AS jsonb) ->> 'request_id'
     WHERE topic = 'enrolment.decisions' AND received_at >= $1"""
_LETTERS = "SELECT called_for_at, settled_at FROM mail WHERE state = 'sent' AND called_for_at >= $1"


class CpuMeter:
    """CPU seconds by part since the first reading.

    `postgres` includes its connections, which are also counted by database. Of a process that has ended, what
    it spent after the last reading is missing.
    """

    def __init__(self, pids: Callable[[], Mapping[str, Sequence[int]]]) -> None:
        self._pids = pids
        self._seen: dict[int, float] = {}
        self._used: defaultdict[str, float] = defaultdict(float)
        self.read()
        self._used.clear()

    def read(self) -> dict[str, float]:
        for part, pid, spent in self._spent():
            self._used[part] += spent - self._seen.get(pid, 0.0)
            self._seen[pid] = spent
        return dict(self._used)

    def _spent(self) -> Iterator[tuple[str, int, float]]:
        yield "rehearsal", 0, time.process_time()
        for part, pids in self._pids().items():
            for pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess):
                    yield part, pid, cpu_seconds(pid)
                    yield from _connections(pid) if part == "postgres" else ()


def _connections(postmaster: int) -> Iterator[tuple[str, int, float]]:
    for child in psutil.Process(postmaster).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            title = " ".join(child.cmdline()).split()  # postgres: role database address state
            if title[1:2] and title[1] in _CONNECTIONS:
                yield _CONNECTIONS[title[1]], child.pid, cpu_seconds(child.pid)


@dataclass(frozen=True)
class Minute:
    """Seconds waited by the requests or letters that came in a minute, and how many waited at its end."""

    came: int
    median: float
    slowest: float
    waiting: int


async def minutes_of_answers(enrolment_url: str, opened_at: datetime, minute: timedelta) -> list[Minute]:
    """Count from the portal's record to the published decision."""
    return await _minutes(enrolment_url, _ANSWERS, opened_at, minute)


async def minutes_of_letters(notifier_url: str, opened_at: datetime, minute: timedelta) -> list[Minute]:
    """Count from the decision to the relay's acceptance."""
    return await _minutes(notifier_url, _LETTERS, opened_at, minute)


async def _minutes(url: str, query: str, opened_at: datetime, minute: timedelta) -> list[Minute]:
    async with reading(url) as database:
        rows = await database.fetch(query, opened_at)
    return by_minute([(came, done) for came, done in rows], opened_at, minute)


def by_minute(
    times: Sequence[tuple[datetime, datetime]], opened_at: datetime, minute: timedelta
) -> list[Minute]:
    waits: defaultdict[int, list[float]] = defaultdict(list)
    for came, done in times:
        waits[(came - opened_at) // minute].append((done - came).total_seconds())
    begun, ended = (sorted(moments) for moments in zip(*times, strict=True))
    minutes = []
    for number in range((ended[-1] - opened_at) // minute + 1):
        end, waited = opened_at + (number + 1) * minute, sorted(waits[number]) or [0.0]
        minutes.append(
            Minute(
                came=len(waits[number]),
                median=waited[len(waited) // 2],
                slowest=waited[int(len(waited) * 0.99)],
                waiting=bisect_left(begun, end) - bisect_left(ended, end),
            )
        )
    return minutes


async def bytes_stored(urls: Sequence[str]) -> tuple[int, int]:
    """Return the size of these databases, and the bytes of WAL written since the server was made."""
    size = logged = 0
    for url in urls:
        async with reading(url) as database:
            size += await database.fetchval("SELECT pg_database_size(current_database())")
            logged = await database.fetchval("SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
    return size, logged
