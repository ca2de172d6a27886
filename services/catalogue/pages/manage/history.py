"""The history of a session or an offer: who changed what, when, the newest first."""

from collections.abc import Sequence

from starlette.responses import Response

from services.catalogue.pages.manage import session_page
from services.catalogue.rules.history import FieldChange, field_changes
from services.catalogue.service import sessions
from services.catalogue.tables import AuditLogRow
from shared.web.logins import StaffVisit
from shared.web.paging import Part

PAGE = 30


async def session_history(visit: StaffVisit) -> Response:
    """The changes of a session of their own, each field before and after."""
    listed = await session_page.own(visit)
    after = entry_number(visit.request.query_params.get("apres", ""))
    async with visit.database.quiet_transaction() as tx:
        entries = await sessions.history(tx, listed.session.session_id, visit.who, after, PAGE + 1)
    return visit.page("gestion-historique.html", listed=listed, part=history_part(entries, after))


def history_part(
    entries: Sequence[AuditLogRow], after: int | None
) -> Part[tuple[AuditLogRow, list[FieldChange]]]:
    """A page of a history with the fields of each change; ``entries`` follow ``after``, with one more."""
    shown = [(entry, field_changes(entry.changes)) for entry in entries[:PAGE]]
    following = {"apres": str(shown[-1][0].id)} if len(entries) > PAGE else {}
    return Part(shown, after is None, {}, following)


def entry_number(text: str) -> int | None:
    """The entry that an address names; none, which is the first page, for what was not given out."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
