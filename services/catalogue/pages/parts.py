"""A part of a list of sessions, and where the parts before and after it begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.catalogue.pages import filters
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import sessions
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class Part:
    """What a page of the list shows. ``previous`` and ``following`` are parameters of its address, if any.

    ``first``: nothing is known to come before.
    """

    shown: Sequence[ListedSession]
    first: bool
    previous: Mapping[str, str]
    following: Mapping[str, str]


async def part(tx: Transaction, wanted: SessionSearch, query: Mapping[str, str], size: int) -> Part:
    """At most ``size`` sessions: those after ``apres``, else before ``avant``, else the first ones."""
    after, before = filters.place(query.get("apres")), filters.place(query.get("avant"))
    if after is None and before is not None:
        found = await sessions.page(tx, wanted, None, size + 1, before=before)
        if found:
            shown, more = found[-size:], len(found) > size
            previous = {"avant": _place(shown[0])} if more else {}
            return Part(shown, not more, previous, {"apres": _place(shown[-1])})
    found = await sessions.page(tx, wanted, after, size + 1)
    shown = found[:size]
    previous = {"avant": _place(shown[0])} if shown and after is not None else {}
    following = {"apres": _place(shown[-1])} if len(found) > size else {}
    return Part(shown, after is None, previous, following)


def _place(listed: ListedSession) -> str:
    return filters.place_of(listed.session.plan.starts_at, listed.session.session_id)
