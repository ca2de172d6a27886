from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from starlette.responses import Response

from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.frame import looking
from services.catalogue.rules.history import FieldChange, field_changes
from services.catalogue.service import session_lists
from services.catalogue.tables import AuditLogRow
from shared.web.logins import StaffVisit
from shared.web.paging import Part, part_around

PAGE = 30
ChangedFields = tuple[AuditLogRow, list[FieldChange]]


async def session_history(visit: StaffVisit) -> Response:
    listed = await session_page.own(visit)
    async with looking(visit) as organiser:
        load = partial(session_lists.history, organiser, listed.session.session_id)
        part = await history_part(visit, load)
    return visit.page("gestion-historique.html", listed=listed, part=part)


async def history_part(
    visit: StaffVisit, load: Callable[..., Awaitable[Sequence[AuditLogRow]]]
) -> Part[ChangedFields]:
    query = visit.request.query_params

    async def changes(*, after: int | None, before: int | None, limit: int) -> list[ChangedFields]:
        entries = await load(after=after, before=before, limit=limit)
        return [(entry, field_changes(entry.changes)) for entry in entries]

    return await part_around(
        _entry_number(query.get("apres", "")),
        _entry_number(query.get("avant", "")),
        PAGE,
        load=changes,
        position=lambda change: str(change[0].id),
    )


def _entry_number(text: str) -> int | None:
    """Return None (the first page) for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
