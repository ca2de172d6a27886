"""The dead letters that name a person: for who wants to read what is kept of them, or to be forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import col, select

from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.messaging.dead_letters import READ_AT_ONCE, DeadLetter, dead_letter_of
from shared.messaging.mentions import (
    ANYBODY,
    agents_with,
    as_read_by,
    mentions,
    names_of_addresses,
    names_of_agent,
)
from shared.messaging.portals.registry import SOURCES
from shared.messaging.tables import DeadLetterRow
from shared.personal_data import Subject

_BYTES_AT_ONCE = 4 * 1024 * 1024
"""Bytes of dead letters that are in memory together, unless a single one is larger."""
MOST_READABLE = 16 * 1024 * 1024
"""Characters of dead letters that a person is given at once; of those behind, place, time and reason."""


async def about(
    tx: Transaction, subject: Subject, issuer_of: Callable[[str], str | None]
) -> AsyncIterator[DeadLetter]:
    """Yield the dead letters that name a person, whatever became of them, whole: keep few at a time.

    ``issuer_of`` gives the issuer of a portal's agents. Those whose names say that they may are read.
    """
    parameters = {
        "by_agent": names_of_agent(subject.agent),
        "by_address": [ANYBODY, *names_of_addresses(subject.addresses)],
        "others": [source.removeprefix(SOURCES) for source in subject.sources_of_others],
    }
    for ids in list(_slices(await tx.execute(_MAY_NAME, parameters))):
        for letter in await _naming_among(tx, ids, subject, issuer_of):
            yield letter


async def with_address(
    tx: Transaction, address: str, issuer_of: Callable[[str], str | None]
) -> dict[int, list[AgentKey]]:
    """Return the dead letters that have an address, by id, each with the agents whose it is there.

    The issuer is empty where nobody says who that is. There is no agent where the address is no agent's, or
    nobody can read whose.
    """
    named = [ANYBODY, *names_of_addresses([address.lower()])]
    sizes = await tx.execute(_MAY_NAME, {"by_agent": [], "by_address": named, "others": []})
    found: dict[int, list[AgentKey]] = {}
    for ids in list(_slices(sizes)):
        rows = list(await tx.execute(_COLUMNS.where(col(DeadLetterRow.id).in_(ids))))
        found |= await asyncio.to_thread(_with_address, rows, address.lower(), issuer_of)
    return found


def _with_address(
    rows: Sequence[Row[Any]], address: str, issuer_of: Callable[[str], str | None]
) -> dict[int, list[AgentKey]]:
    agents = {
        letter.id: agents_with(letter.record, address, letter.portal and issuer_of(letter.portal))
        for letter in map(dead_letter_of, rows)
    }
    return {letter_id: named for letter_id, named in agents.items() if named is not None}


async def _naming_among(
    tx: Transaction, ids: Sequence[int], subject: Subject, issuer_of: Callable[[str], str | None]
) -> list[DeadLetter]:
    slice_ = col(DeadLetterRow.id).in_(ids)
    rows = list(await tx.execute(_COLUMNS.where(slice_).order_by(col(DeadLetterRow.id))))
    issuers = {row.portal: row.portal and issuer_of(row.portal) for row in rows}
    return await asyncio.to_thread(_naming, rows, subject, issuers)


def _slices(sizes: Iterable[Row[Any]]) -> Iterator[list[int]]:
    """Yield the ids of dead letters that may be in memory together."""
    ids: list[int] = []
    held = 0
    for row in sizes:
        if ids and (len(ids) == READ_AT_ONCE or held + row.size > _BYTES_AT_ONCE):
            yield ids
            ids, held = [], 0
        ids.append(row.id)
        held += row.size
    if ids:
        yield ids


def _naming(
    rows: Sequence[Row[Any]], subject: Subject, issuers: Mapping[str | None, str | None]
) -> list[DeadLetter]:
    """Return those of the dead letters that name a person; ``issuers`` are by portal."""
    return [
        letter
        for letter in map(dead_letter_of, rows)
        if mentions(letter.record, subject.agent, subject.addresses, issuers[letter.portal])
    ]


async def readable(
    tx: Transaction, subject: Subject, issuer_of: Callable[[str], str | None]
) -> list[dict[str, Any]]:
    """Return the dead letters about a person as they may read them: others are left out of their JSON."""
    rows: list[dict[str, Any]] = []
    left = MOST_READABLE
    async for letter in about(tx, subject, issuer_of):
        row = _readable(letter, subject, issuer_of)
        size = len(row["key"] or "") + len(row["value"] or "")
        if size > left:
            row |= {"key": None, "value": "…"}
        else:
            left -= size
        rows.append(row)
    return rows


def _readable(letter: DeadLetter, subject: Subject, issuer_of: Callable[[str], str | None]) -> dict[str, Any]:
    record = letter.record
    issuer = None if letter.portal is None else issuer_of(letter.portal)
    return {
        "topic": record.topic,
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "value": as_read_by(record.value, subject.agent, subject.addresses, issuer),
        "received_at": record.received_at.isoformat(),
        "state": letter.state,
        "error": letter.error,
    }


_COLUMNS = select(*DeadLetterRow.metadata.tables["dead_letter"].columns)
_MAY_NAME = text(
    "SELECT id, octet_length(headers::text) + coalesce(octet_length(key), 0) "
    "+ coalesce(octet_length(value), 0) AS size FROM dead_letter WHERE names ?| CAST(:by_address AS text[]) "
    "OR names ?| CAST(:by_agent AS text[]) AND (portal IS NULL OR portal <> ALL(CAST(:others AS text[]))) "
    "ORDER BY id"
)
"""Where a portal speaks for others, its identifiers are theirs."""
