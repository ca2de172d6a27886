"""A part of a list of sessions, which goes forwards and backwards."""

from collections.abc import Mapping
from dataclasses import replace

from services.catalogue.rules.resources import Resource
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import sessions
from shared.database import Transaction
from shared.web.paging import Part, Place, part_after, place_in, written


async def part(
    tx: Transaction, wanted: SessionSearch, query: Mapping[str, str], size: int
) -> Part[ListedSession]:
    """At most ``size`` sessions: those after ``apres``, else before ``avant``, else the first ones."""
    after, before = place_in(query.get("apres")), place_in(query.get("avant"))
    if after is None and before is not None:
        found = await sessions.page(tx, wanted, None, size + 1, before=before)
        if found:
            shown, more = found[-size:], len(found) > size
            previous = {"avant": written(_place(shown[0]))} if more else {}
            return Part(shown, not more, previous, {"apres": written(_place(shown[-1]))})
    following = part_after(after, await sessions.page(tx, wanted, after, size + 1), size, place=_place)
    if following.shown and after is not None:
        return replace(following, previous={"avant": written(_place(following.shown[0]))})
    return following


def _place(listed: ListedSession) -> Place:
    return listed.session.plan.starts_at, listed.session.session_id


def resource_place(resource: Resource) -> Place:
    """Where a resource stands in a list of them."""
    return resource.published_at, resource.resource_id
