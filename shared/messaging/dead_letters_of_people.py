"""Finds, exports and erases the dead letters that mention a person."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select

from shared.database import Row, Transaction
from shared.events.vocabulary import AgentKey
from shared.messaging.dead_letters import READ_AT_ONCE, DeadLetter, dead_letter_of
from shared.messaging.mentions import agents_in, as_read_by, has_address, mentions
from shared.messaging.tables import DeadLetterRow
from shared.personal_data import Subject

_BYTES_AT_ONCE = 4 * 1024 * 1024
"""Bytes of dead letters in memory together. A single letter may be larger."""
MOST_READABLE = 16 * 1024 * 1024
"""Characters of dead letters in one export. Letters beyond it have place, time and reason."""

IssuerOf = Callable[[str], str | None]
"""Returns None for an unknown portal."""


async def about(tx: Transaction, subject: Subject, issuer_of: IssuerOf) -> AsyncIterator[DeadLetter]:
    """Yield the dead letters that mention a person, in any state. Keep few: they have their content."""

    def mentioning(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        return [letter for letter in letters if mentions(letter.record, subject, _issuer(letter, issuer_of))]

    async for letters in _slices(tx):
        for letter in await asyncio.to_thread(mentioning, letters):
            yield letter


async def newest(tx: Transaction, subject: Subject, issuer_of: IssuerOf, most: int) -> list[DeadLetter]:
    """Return the newest dead letters that mention a person, newest first, without their content."""
    found: deque[DeadLetter] = deque(maxlen=most)
    async for letter in about(tx, subject, issuer_of):
        place = replace(letter.record, key=None, value=None, headers=())
        found.appendleft(replace(letter, record=place, traceback=None))
    return list(found)


async def with_address(tx: Transaction, address: str, issuer_of: IssuerOf) -> dict[int, list[AgentKey]]:
    """Return the ids of dead letters with an address (in lower case), each with its agents.

    The list is empty if the address belongs to no agent. The issuer is empty if the record names none.
    """

    def having(letters: Iterable[DeadLetter]) -> dict[int, list[AgentKey]]:
        return {
            letter.id: agents_in(letter.record.value, _issuer(letter, issuer_of), address)
            for letter in letters
            if has_address(letter.record, address)
        }

    found: dict[int, list[AgentKey]] = {}
    async for letters in _slices(tx):
        found |= await asyncio.to_thread(having, letters)
    return found


def _issuer(letter: DeadLetter, issuer_of: IssuerOf) -> str | None:
    return None if letter.portal is None else issuer_of(letter.portal)


async def _slices(tx: Transaction) -> AsyncIterator[Iterator[DeadLetter]]:
    for ids in list(_ids_in_slices(await tx.execute(_SIZES))):
        slice_ = _COLUMNS.where(col(DeadLetterRow.id).in_(ids)).order_by(col(DeadLetterRow.id))
        rows = list(await tx.execute(slice_))
        yield map(dead_letter_of, rows)


def _ids_in_slices(sizes: Iterable[Row]) -> Iterator[list[int]]:
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


async def readable(tx: Transaction, subject: Subject, issuer_of: IssuerOf) -> list[dict[str, Any]]:
    """Return the dead letters about a person, without the data of other persons."""
    rows: list[dict[str, Any]] = []
    left = MOST_READABLE
    async for letter in about(tx, subject, issuer_of):
        row = _readable(letter, subject, issuer_of)
        size = len(row["key"] or "") + len(row["value"])
        if size > left:
            row |= {"key": None, "value": "…"}
        else:
            left -= size
        rows.append(row)
    return rows


def _readable(letter: DeadLetter, subject: Subject, issuer_of: IssuerOf) -> dict[str, Any]:
    record = letter.record
    return {
        "topic": record.topic,
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "value": as_read_by(record.value, subject, _issuer(letter, issuer_of)),
        "received_at": record.received_at.isoformat(),
        "state": letter.state,
        "error": letter.error,
    }


_COLUMNS = select(*DeadLetterRow.metadata.tables["dead_letter"].columns)
_SIZES = text(
    "SELECT id, octet_length(headers::text) + coalesce(octet_length(key), 0) "
    "+ coalesce(octet_length(value), 0) AS size FROM dead_letter "
    "WHERE key IS NOT NULL OR value IS NOT NULL OR headers <> '[]'::jsonb ORDER BY id"
)
