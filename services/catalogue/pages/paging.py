from collections.abc import Mapping
from functools import partial

from services.catalogue.rules.resources import Resource
from services.catalogue.rules.searching import SessionOrder, SessionSearch
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import session_lists
from shared.database import Transaction
from shared.web.paging import Part, edges, part_around, written


async def session_part(
    tx: Transaction, search: SessionSearch, query: Mapping[str, str], size: int
) -> Part[ListedSession]:
    def position(listed: ListedSession) -> str:
        by_change = search.order is SessionOrder.CHANGED
        moment = listed.changed_at if by_change else listed.session.plan.starts_at
        return written((moment, listed.session.session_id))

    load = partial(session_lists.page, tx, search)
    return await part_around(*edges(query), size, load=load, position=position)


def resource_position(resource: Resource) -> str:
    return written((resource.published_at, resource.resource_id))
