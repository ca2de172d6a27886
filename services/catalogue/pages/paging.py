"""A page of a list of sessions, which goes forwards and backwards."""

from collections.abc import Mapping
from dataclasses import replace

from services.catalogue.rules.resources import Resource
from services.catalogue.rules.searching import SessionOrder, SessionSearch
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import sessions
from shared.database import Transaction
from shared.web.paging import PagePosition, Part, part_after, read_position, written


async def session_part(
    tx: Transaction, search: SessionSearch, query: Mapping[str, str], size: int
) -> Part[ListedSession]:
    """At most ``size`` sessions: those after ``apres``, else before ``avant``, else the first ones."""

    def position(listed: ListedSession) -> PagePosition:
        by_change = search.order is SessionOrder.CHANGED
        moment = listed.changed_at if by_change else listed.session.plan.starts_at
        return moment, listed.session.session_id

    after, before = read_position(query.get("apres")), read_position(query.get("avant"))
    if after is None and before is not None:
        found = await sessions.page(tx, search, None, size + 1, before=before)
        if found:
            shown, more = found[-size:], len(found) > size
            previous = {"avant": written(position(shown[0]))} if more else {}
            return Part(shown, not more, previous, {"apres": written(position(shown[-1]))})
    following = part_after(after, await sessions.page(tx, search, after, size + 1), size, position=position)
    if following.shown and after is not None:
        return replace(following, previous={"avant": written(position(following.shown[0]))})
    return following


def resource_position(resource: Resource) -> PagePosition:
    """The position of a resource in a list of them."""
    return resource.published_at, resource.resource_id
