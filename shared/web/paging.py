"""Lists by HTTP, a page at a time: the cursor names the last item seen; nothing is skipped or shown twice."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field, TypeAdapter

from shared.http import Problem

Row = TypeVar("Row")
Item = TypeVar("Item")
Key = TypeVar("Key")

Limit = Annotated[int, Field(ge=1, le=200, description="Most items on a page.")]
Cursor = Annotated[str, Field(max_length=500, description="'next' of the page before.")]


class Page(BaseModel, Generic[Item]):
    """A part of a list. ``next`` is the cursor of the part after it; null on the last."""

    items: list[Item]
    next: str | None


def page_of(
    rows: Sequence[Row], limit: int, *, show: Callable[[Row], Item], key: Callable[[Row], Any]
) -> Page[Item]:
    """The first ``limit`` of ``rows``, which were asked for with one more to know whether a page follows."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(items=[show(row) for row in shown], next=_encode(key(shown[-1])) if more else None)


def _encode(key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def position(cursor: str | None, kind: TypeAdapter[Key]) -> Key | None:
    """Where a page begins. Raises a 422 for a cursor that was not given out."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return kind.validate_python(json.loads(text))
    except ValueError as error:
        errors = [{"field": "query.cursor", "message": "was not given out by this list"}]
        raise Problem(
            422, "The request is not valid", "Begin again without a cursor.", errors=errors
        ) from error
