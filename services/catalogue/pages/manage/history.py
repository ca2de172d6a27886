"""The history of a session: who changed what, when, the newest first."""

from starlette.responses import Response

from services.catalogue.pages.manage import session_page
from services.catalogue.rules.history import field_changes
from services.catalogue.service import sessions
from shared.web.logins import StaffVisit
from shared.web.paging import Part

PAGE = 30


async def session_history(visit: StaffVisit) -> Response:
    """The changes of a session of their own, each field before and after."""
    listed = await session_page.own(visit)
    after = entry_number(visit.request.query_params.get("apres", ""))
    async with visit.database.quiet_transaction() as tx:
        entries = await sessions.history(tx, listed.session.session_id, visit.who, after, PAGE + 1)
    shown = entries[:PAGE]
    following = {"apres": str(shown[-1].id)} if len(entries) > PAGE else {}
    return visit.page(
        "gestion-historique.html",
        listed=listed,
        part=Part(shown, after is None, {}, following),
        changes=[(entry, field_changes(entry.changes)) for entry in shown],
    )


def entry_number(text: str) -> int | None:
    """The entry that an address names; none, which is the first page, for what was not given out."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
