"""Who is in a session, found by name or by state; and who waits.

What is searched for travels in the body of a POST, so that no name ends in the log of a proxy.
"""

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.rules.roster_lines import LineKey
from services.enrolment.rules.states import State
from services.enrolment.service import people, roster
from shared.http import Problem
from shared.web.logins import StaffVisit
from shared.web.paging import page_of, position

PAGE = 50
HISTORY = 100
"""Changes that the history shows."""
FOUND = 200
"""Most lines that a search shows."""
_KEY: TypeAdapter[LineKey] = TypeAdapter(LineKey)

GROUPS: Mapping[str, Sequence[State]] = {
    "place": [state for state in State if state.has_seat],
    "proposee": [State.OFFERED],
    "attente": [State.WAITLISTED],
    "accord": [State.PENDING_APPROVAL],
    "candidature": [State.PENDING_SELECTION],
    "fin": [state for state in State if not state.is_live],
}
"""The states that a roster is filtered by, as its address has them."""


async def participants(visit: StaffVisit) -> Response:
    """The roster, a page at a time, or all that is found by what was searched."""
    query = visit.request.query_params
    group = query.get("etat", "")
    search = visit.form.typed("recherche")[:200]
    limit = FOUND if search else PAGE
    async with visit.database.quiet_transaction() as tx:
        glance = await frame.own_session(tx, visit)
        found = await roster.page(
            tx,
            frame.session_id_of(visit),
            visit.who,
            reading=frame.reading(visit),
            after=None if search else _after(query.get("apres")),
            limit=limit + 1,
            states=GROUPS.get(group, ()),
            sought=search.split(),
        )
        if found is None:
            raise HTTPException(404)
        part = page_of(
            found[1], limit, show=lambda line: line, key=lambda line: _KEY.dump_python(line.key, mode="json")
        )
        notes = await people.noted(tx, [line.enrolment.enrolment_id for line in part.items])
    return frame.page(
        visit,
        "participants.html",
        glance,
        "participants",
        lines=part.items,
        notes=notes,
        following=part.next,
        is_first="apres" not in query,
        group=group if group in GROUPS else "",
        search=search,
    )


async def line(visit: StaffVisit) -> Response:
    """Who is offered a seat, and who waits, in their order."""
    async with visit.database.quiet_transaction() as tx:
        glance = await frame.own_session(tx, visit)
        found = await roster.page(
            tx,
            frame.session_id_of(visit),
            visit.who,
            reading=frame.reading(visit),
            after=_after(visit.request.query_params.get("apres")),
            limit=PAGE + 1,
            states=[State.OFFERED, State.WAITLISTED],
        )
        if found is None:
            raise HTTPException(404)
        part = page_of(
            found[1], PAGE, show=lambda line: line, key=lambda line: _KEY.dump_python(line.key, mode="json")
        )
    return frame.page(
        visit,
        "line.html",
        glance,
        "attente",
        offers=[line for line in part.items if line.enrolment.state is State.OFFERED],
        waiting=[line for line in part.items if line.enrolment.state is State.WAITLISTED],
        following=part.next,
    )


async def history(visit: StaffVisit) -> Response:
    """The last changes in the session, whoever made them."""
    async with visit.database.quiet_transaction() as tx:
        glance = await frame.own_session(tx, visit)
        past = await people.history(tx, frame.session_id_of(visit), visit.who, frame.reading(visit), HISTORY)
    if past is None:
        raise HTTPException(404)
    return frame.page(visit, "history.html", glance, "historique", past=past)


def _after(cursor: str | None) -> LineKey | None:
    """Where a page begins; the first page, for what was not given out."""
    try:
        return position(cursor, _KEY)
    except Problem:
        return None
