"""The list of a delegation's sessions."""

from contextlib import suppress

from starlette.responses import Response

from services.catalogue.pages import filters, wording
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.parts import part
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.service import sessions
from services.catalogue.service.access import viewer_of
from shared import clock
from shared.events.vocabulary import Status
from shared.web.logins import Visit

PAGE = 30


async def own_sessions(visit: Visit) -> Response:
    """The delegation's sessions by start, filtered; those that are over where they are asked for."""
    query, now = visit.request.query_params, clock.now()
    asked, status = filters.read(query), _status(query.get("etat", ""))
    wanted = SessionSearch(
        now=now,
        viewer=viewer_of(visit.who),
        own=True,
        text=asked.text or None,
        format=asked.format,
        organiser=None if visit.who.delegation else asked.delegation,
        status=status,
        ends_after=None if asked.past_too else now,
    )
    async with visit.database.quiet_transaction() as tx:
        total = await sessions.count(tx, wanted)
        found = await part(tx, wanted, query, PAGE)
    used = {
        "recherche": wanted.text,
        "etat": status,
        "format": wanted.format,
        "delegation": wanted.organiser,
        "passees": "oui" if asked.past_too else None,
    }
    return visit.page(
        "gestion.html",
        filters=asked,
        state=status,
        used=used,
        filtered=wording.used_filters(used),
        total=total,
        part=found,
        done=session_page.done_before(visit),
    )


def _status(text: str) -> Status | None:
    with suppress(ValueError):
        return Status(text)
    return None
