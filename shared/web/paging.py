"""Lists a page at a time: the last item shown says where the next page begins.

Nothing is skipped or shown twice, whatever is added meanwhile.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter

from shared.http import Problem

ListedRow = TypeVar("ListedRow")
Item = TypeVar("Item")
SortKey = TypeVar("SortKey")

Limit = Annotated[int, Field(ge=1, le=200, description="Most items on a page.")]
Cursor = Annotated[str, Field(max_length=500, description="'next' of the page before.")]


class Page(BaseModel, Generic[Item]):
    """A part of a list. ``next`` is the cursor of the part after it; null on the last."""

    items: list[Item]
    next: str | None


def page_of(
    rows: Sequence[ListedRow],
    limit: int,
    *,
    show: Callable[[ListedRow], Item],
    key: Callable[[ListedRow], Any],
) -> Page[Item]:
    """``rows`` has one more than the page if another page follows."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(items=[show(row) for row in shown], next=cursor_of(key(shown[-1])) if more else None)


def cursor_of(key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def position(cursor: str | None, kind: TypeAdapter[SortKey]) -> SortKey | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return kind.validate_python(json.loads(text))
    except (ValueError, RecursionError) as error:
        errors = [{"field": "query.cursor", "message": "was not given out by this list"}]
        raise Problem(
            422, "The request is not valid", "Begin again without a cursor.", errors=errors
        ) from error


# ------------------------------------------------------------------------------------------- lists as pages


@dataclass(frozen=True, slots=True)
class Part(Generic[ListedRow]):
    """``previous`` and ``following`` are parameters of addresses.

    ``first``: no earlier row is known.
    """

    shown: Sequence[ListedRow]
    first: bool
    previous: Mapping[str, str]
    following: Mapping[str, str]


async def part_around(
    after: SortKey | None,
    before: SortKey | None,
    size: int,
    *,
    load: Callable[..., Awaitable[Sequence[ListedRow]]],
    position: Callable[[ListedRow], str],
) -> Part[ListedRow]:
    """Return rows after ``after``, else before ``before``, else the first ones.

    ``load`` gives, in order, at most ``limit`` rows after ``after``, or the last before ``before``.
    """
    if after is None and before is not None:
        found = await load(after=None, before=before, limit=size + 1)
        if found:
            shown, more = found[-size:], len(found) > size
            previous = {"avant": position(shown[0])} if more else {}
            return Part(shown, not more, previous, {"apres": position(shown[-1])})
    found = await load(after=after, before=None, limit=size + 1)
    shown = found[:size]
    previous = {"avant": position(shown[0])} if shown and after is not None else {}
    following = {"apres": position(shown[-1])} if len(found) > size else {}
    return Part(shown, after is None, previous, following)


PagePosition = tuple[datetime, UUID]


def edges(query: Mapping[str, str]) -> tuple[PagePosition | None, PagePosition | None]:
    return read_position(query.get("apres")), read_position(query.get("avant"))


def written(position: PagePosition) -> str:
    moment, item_id = position
    return f"{int(moment.timestamp()) * 1_000_000 + moment.microsecond}~{item_id}"


def read_position(text: str | None) -> PagePosition | None:
    """Return None (the first page) for a position that was not given out."""
    moment, _, item_id = (text or "").partition("~")
    try:
        return datetime.fromtimestamp(int(moment) / 1_000_000, UTC), UUID(item_id)
    except (ValueError, OverflowError, OSError):
        return None
