"""The roster of a session, its search, its waiting list, its groups, and what happened and comes next.

A search is a POST, so that no proxy logs a name.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.rules.overview import coming_dates, waiting_tasks
from services.enrolment.rules.roster_lines import (
    ChangeKey,
    LineKey,
    RosterLine,
    RosterOrder,
    SortedKey,
    TextKey,
    TimeKey,
)
from services.enrolment.rules.states import SEATED, State
from services.enrolment.service import overview, people, roster
from services.enrolment.service.people import Beginning
from services.enrolment.tables import EnrolmentChangeRow
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import LATEST, Agent
from shared.web.form_errors import FormErrors
from shared.web.logins import StaffVisit
from shared.web.paging import Part, cursor_of, part_around
from shared.web.responses import cacheable

PAGE = 50
HISTORY = 100
TOGETHER = 500
"""The most agents on the page of groups, and of replaced agents."""
FOUND = 200
_CHANGE_KEY: TypeAdapter[ChangeKey] = TypeAdapter(ChangeKey)
_SORTED_KEYS: Mapping[RosterOrder, TypeAdapter[Any]] = {
    RosterOrder.NAME: TypeAdapter(TextKey),
    RosterOrder.EMPLOYER: TypeAdapter(TextKey),
    RosterOrder.SINCE: TypeAdapter(TimeKey),
}

GROUPS: Mapping[str, Sequence[State]] = {
    "place": SEATED,
    "proposee": [State.OFFERED],
    "attente": [State.WAITLISTED],
    "accord": [State.PENDING_APPROVAL],
    "candidature": [State.PENDING_SELECTION],
    "fin": [state for state in State if not state.is_live],
}

BAD_ADDRESSES = "courriel"

ORDERS: Mapping[str, RosterOrder] = {
    "nom": RosterOrder.NAME,
    "employeur": RosterOrder.EMPLOYER,
    "depuis": RosterOrder.SINCE,
}


async def participants(visit: StaffVisit, errors: FormErrors | None = None) -> Response:
    query = visit.request.query_params
    group, order, descending = query.get("etat", ""), query.get("tri", ""), query.get("sens") == "inverse"
    search, states = visit.form.typed("recherche")[:200], GROUPS.get(group, ())
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        if group == BAD_ADDRESSES and not search:
            order, descending = "", False
            part = await _bad_addresses(tx, visit)
        elif order in ORDERS and not search:
            part = await _sorted_part(tx, visit, ORDERS[order], states, descending=descending)
        else:
            order, descending = "", False
            part = await _part(tx, visit, states, search)
        notes = await people.count_notes(tx, [line.enrolment.enrolment_id for line in part.shown])
    return frame.page(
        visit,
        "participants.html",
        numbers,
        "participants",
        status=422 if errors else 200,
        errors=errors,
        part=part,
        notes=notes,
        order=order,
        descending=descending,
        all_chosen="tous" in query or "tous" in visit.form,
        this_page={name: query.get(name, "") for name in ("apres", "avant")},
        group=group if group in (*GROUPS, BAD_ADDRESSES) else "",
        search=search,
    )


async def _part(
    tx: Transaction, visit: StaffVisit, group: Sequence[State], search: str = ""
) -> Part[RosterLine]:
    async def load(*, after: LineKey | None, before: LineKey | None, limit: int) -> list[RosterLine]:
        found = await roster.page(
            tx,
            frame.session_id_of(visit),
            visit.who,
            reading=frame.reading(visit),
            after=after,
            before=before,
            limit=limit,
            states=group,
            sought=search.split(),
        )
        return _lines(found)

    return await part_around(
        None if search else frame.after(visit, frame.LINE_KEY),
        None if search else frame.before(visit, frame.LINE_KEY),
        FOUND if search else PAGE,
        load=load,
        position=lambda line: cursor_of(frame.LINE_KEY.dump_python(line.key, mode="json")),
    )


async def _bad_addresses(tx: Transaction, visit: StaffVisit) -> Part[RosterLine]:
    """Correcting the address removes the agent from this list."""
    found = await roster.with_bad_address(
        tx, frame.session_id_of(visit), visit.who, reading=frame.reading(visit), limit=FOUND
    )
    return Part(_lines(found), first=True, previous={}, following={})


async def _sorted_part(
    tx: Transaction, visit: StaffVisit, order: RosterOrder, group: Sequence[State], *, descending: bool
) -> Part[RosterLine]:
    kind = _SORTED_KEYS[order]

    async def load(*, after: SortedKey | None, before: SortedKey | None, limit: int) -> list[RosterLine]:
        found = await roster.sorted_page(
            tx,
            frame.session_id_of(visit),
            visit.who,
            order,
            reading=frame.reading(visit),
            after=after,
            before=before,
            limit=limit,
            states=group,
            descending=descending,
        )
        return _lines(found)

    return await part_around(
        frame.after(visit, kind),
        frame.before(visit, kind),
        PAGE,
        load=load,
        position=lambda line: cursor_of(kind.dump_python(line.sorted_key, mode="json")),
    )


def _lines(found: tuple[SessionState, list[RosterLine]] | None) -> list[RosterLine]:
    if found is None:
        raise HTTPException(404)
    return found[1]


async def waiting_list(visit: StaffVisit) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        part = await _part(tx, visit, [State.OFFERED, State.WAITLISTED])
    return frame.page(
        visit,
        "waiting-list.html",
        numbers,
        "attente",
        offers=[line for line in part.shown if line.enrolment.state is State.OFFERED],
        waiting=[line for line in part.shown if line.enrolment.state is State.WAITLISTED],
        part=part,
    )


async def seats(visit: StaffVisit) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
    part = visit.page("manage/seats.html", numbers=numbers, session=numbers.session)
    return cacheable(visit.request, bytes(part.body), cache="private, no-cache")


async def groups(visit: StaffVisit) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        found = await people.groups(tx, frame.session_id_of(visit), visit.who, frame.reading(visit), TOGETHER)
    if found is None:
        raise HTTPException(404)
    return frame.page(visit, "groups.html", numbers, "participants", groups=found.groups, is_cut=found.is_cut)


async def history(visit: StaffVisit) -> Response:
    agents, moves, now = dict[UUID, Agent](), dict[UUID, SessionState](), clock.now()
    async with visit.database.quiet_transaction() as tx:
        [numbers] = await overview.with_noted(tx, [await frame.own_session(tx, visit)], now)

        async def load(
            *, after: ChangeKey | None, before: ChangeKey | None, limit: int
        ) -> Sequence[EnrolmentChangeRow | Beginning]:
            past = await people.history(
                tx,
                frame.session_id_of(visit),
                visit.who,
                frame.reading(visit),
                limit,
                after=after,
                before=before,
            )
            if past is None:
                raise HTTPException(404)
            agents.update(past.agents)
            moves.update(past.moves)
            return past.events

        part = await part_around(
            frame.after(visit, _CHANGE_KEY),
            frame.before(visit, _CHANGE_KEY),
            HISTORY,
            load=load,
            position=lambda event: cursor_of([event.at.isoformat(), event.version, str(event.enrolment_id)]),
        )
    return frame.page(
        visit,
        "history.html",
        numbers,
        "historique",
        tasks=waiting_tasks([numbers], [], now),
        dates=coming_dates([numbers], now, LATEST),
        part=part,
        agents=agents,
        moves=moves,
    )
