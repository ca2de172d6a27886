import re
from collections.abc import Mapping
from functools import partial

from services.catalogue.rules.resources import Resource
from services.catalogue.rules.searching import FAR, NearPosition, SessionOrder, SessionSearch
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import session_lists
from shared.database import Transaction
from shared.places import Place
from shared.web.paging import Part, edges, part_around, read_position, written


async def session_part(
    tx: Transaction, search: SessionSearch, query: Mapping[str, str], size: int
) -> Part[ListedSession]:
    def position(listed: ListedSession) -> str:
        by_change = search.order is SessionOrder.CHANGED
        moment = listed.changed_at if by_change else listed.session.plan.starts_at
        return written((moment, listed.session.session_id))

    load = partial(session_lists.page, tx, search)
    return await part_around(*edges(query), size, load=load, position=position)


async def near_part(
    tx: Transaction, search: SessionSearch, place: Place, query: Mapping[str, str], size: int
) -> Part[ListedSession]:
    def position(listed: ListedSession) -> str:
        kilometres = FAR if listed.kilometres is None else listed.kilometres
        return f"{kilometres}~{written((listed.session.plan.starts_at, listed.session.session_id))}"

    load = partial(session_lists.nearest, tx, search, place)
    after, before = (_near_position(query.get(name)) for name in ("apres", "avant"))
    return await part_around(after, before, size, load=load, position=position)


def _near_position(text: str | None) -> NearPosition | None:
    kilometres, _, rest = (text or "").partition("~")
    position = read_position(rest)
    return (
        (int(kilometres), *position)
        if position is not None and re.fullmatch("[0-9]{1,6}", kilometres)
        else None
    )


def resource_position(resource: Resource) -> str:
    return written((resource.published_at, resource.resource_id))
