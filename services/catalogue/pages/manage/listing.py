"""The list of a delegation's sessions."""

from starlette.responses import Response

from services.catalogue.desk.sessions import viewer_of
from services.catalogue.pages import filters
from services.catalogue.pages.logins import Visit
from services.catalogue.pages.manage import one
from services.catalogue.store import sessions
from services.catalogue.store.sessions import Wanted
from shared import clock

PAGE = 30


async def own_sessions(visit: Visit) -> Response:
    """The delegation's sessions by start; those that are over where they are asked for."""
    query = visit.request.query_params
    past, now = bool(query.get("passees")), clock.now()
    after = filters.place(query.get("apres"))
    wanted = Wanted(
        now=now,
        viewer=viewer_of(visit.who),
        own=True,
        text=filters.searched(query.get("recherche", "")) or None,
        ends_after=None if past else now,
    )
    async with visit.database.quiet_transaction() as tx:
        total = await sessions.count(tx, wanted)
        found = await sessions.page(tx, wanted, after, PAGE + 1)
    used = {"recherche": wanted.text, "passees": "oui" if past else None}
    following = None
    if len(found) > PAGE:
        last = found[PAGE - 1].session
        following = used | {"apres": filters.place_of(last.plan.starts_at, last.session_id)}
    return visit.page(
        "gestion.html",
        sessions=found[:PAGE],
        total=total,
        used=used,
        first=after is None,
        following=following,
        past=past,
        text=wanted.text or "",
        done=one.done_before(visit),
    )
