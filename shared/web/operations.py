"""Operators' pages in each service: its state, and its dead letters.

The content and the traceback of a dead letter may name people: they are shown for a purpose, and the read is
a line of ``read_log``.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from shared import clock, read_log
from shared.auth import Tokens
from shared.database import Transaction
from shared.events.index import BY_TYPE
from shared.events.outcomes import RejectionCode
from shared.events.reasons import Reason
from shared.events.vocabulary import AgentKey
from shared.guard import Guard
from shared.messaging import dead_letters, dead_letters_of_people, held, outbox
from shared.messaging.dead_letter_decisions import DeadLetterDecisions
from shared.messaging.dead_letters import NEWER, DeadLetter
from shared.messaging.lag import LATE
from shared.messaging.mentions import agents_in
from shared.permissions import Permission
from shared.process import Process
from shared.read_log import Reading, ReadKind, purpose_in
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web import labels, person_export
from shared.web.forms import number_in
from shared.web.links import OPERATIONS
from shared.web.logins import Logins, StaffArea, StaffVisit, VisitHandler
from shared.web.paging import part_around
from shared.web.rendering import Rendering
from shared.web.responses import PRIVATE, see_other

if TYPE_CHECKING:
    from shared.oidc.provider import Provider

LISTED = 100
MOST_NUMBER = 2**63 - 1
STATES = ("parked", "redriven", "discarded", "rejected")


class Why(StrEnum):
    REJECTED = "rejected"
    NEWER = "newer"
    FAILED = "failed"
    UNREADABLE = "unreadable"


def why(letter: DeadLetter) -> Why:
    if letter.state == "rejected":
        return Why.REJECTED
    if NEWER in letter.error:
        return Why.NEWER
    return Why.UNREADABLE if letter.traceback is None else Why.FAILED


class WhyParked(NamedTuple):
    """The parts of an error; either may be empty. ``faults`` are in English."""

    head: str
    faults: Sequence[tuple[str, str]]


def reason_of(error: str) -> WhyParked:
    head, _, listed = error.partition(": ")
    if head in set(RejectionCode):
        return WhyParked(head, [_pointed(fault) for fault in _NEXT_POINTER.split(listed)])
    if head in BY_TYPE:
        faults = [fault.partition(": ") for fault in _NEXT_FIELD.split(listed)]
        return WhyParked(head, [(field, what) if what else ("", field) for field, _, what in faults])
    return WhyParked("", [("", error)])


def _pointed(problem: str) -> tuple[str, str]:
    pointer, _, what = problem.partition(" ")
    return (pointer, what) if pointer.startswith("/") else ("", problem)


_NEXT_POINTER = re.compile(r"; (?=/)")
_NEXT_FIELD = re.compile(r"; (?=[\w.]+: |and \d+ more$)")


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """``what`` is a code: the templates have its sentence. ``tone`` is the style of a chip.

    ``address`` is the page where operators decide. ``seconds`` is the age of the oldest item.
    """

    what: str
    number: int
    tone: str = "open"
    address: str = ""
    seconds: float = 0
    is_late: bool = False
    since: datetime | None = None
    behind: int = 0


async def parked_line(tx: Transaction, incidents: str) -> ServiceLine:
    parked, since = await dead_letters.count_parked(tx), await dead_letters.oldest_parked(tx)
    return ServiceLine("parked", parked, "closed" if parked else "open", incidents, since=since)


OwnLines = Callable[[Transaction], Awaitable[Sequence[ServiceLine]]]


async def _no_lines(_: Transaction) -> Sequence[ServiceLine]:
    return ()


def area_of(service: str) -> StaffArea:
    home = OPERATIONS[service]
    return StaffArea(
        home=home,
        cookie=f"exploitation-{service}",
        permission=Permission.DECIDE_DEAD_LETTERS,
        title=f"{labels.AREAS['operations']}, {labels.SERVICES[service].lower()}",
        lead=labels.LOG_IN_LEADS["exploitation"],
        label=labels.SUPPORT_FIELDS.get,
        pages=((home, "status"), (f"{home}/incidents", "incidents")),
        shows_what_follows=("/incidents/",),
        same_site="strict",
    )


def add_to(
    process: Process,
    rendering: Rendering,
    *,
    tokens: Tokens,
    guard: Guard,
    address: str,
    providers: "Sequence[Provider]",
    lines: OwnLines = _no_lines,
) -> None:
    area = area_of(process.name)
    home = area.home
    logins = Logins(
        area, process.database, tokens, guard, address=address, rendering=rendering, providers=providers
    )
    problems = rendering.module("problems.html", reasons=Reason).problems
    titles = {code: problem[0] for code, problem in problems.items()}
    pages = _OperationsPages(process, home, lines, titles, guard)
    routes: tuple[tuple[str, VisitHandler, list[str]], ...] = (
        (home, pages.status, ["GET"]),
        (f"{home}/incidents", pages.listing, ["GET", "POST"]),
        (f"{home}/incidents/personne", pages.incidents_of_person, ["GET"]),
        (f"{home}/incidents/{{number}}", pages.incident, ["GET", "POST"]),
    )
    for route in (
        *logins.routes(),
        *(Route(path, logins.guarded(handler), methods=methods) for path, handler, methods in routes),
        Route(f"{home}/personne", logins.guarded(pages.person, Permission.EXPORT_PERSON)),
    ):
        process.api.router.routes.append(route)


class _OperationsPages:
    def __init__(
        self, process: Process, home: str, lines: OwnLines, titles: Mapping[str, str], guard: Guard
    ) -> None:
        self._process = process
        self._incidents = f"{home}/incidents"
        self._lines = lines
        self._titles = titles
        self._guard = guard
        self._decisions = DeadLetterDecisions(process.database, process.router, process.consumer)

    async def status(self, visit: StaffVisit) -> Response:
        if not visit.who.may(Permission.READ_STATE):
            return see_other(self._incidents)
        watchdog = self._process.watchdog
        async with visit.database.quiet_transaction() as tx:
            lines = [*await self._of_all(tx), *await self._lines(tx)]
        return visit.page(
            "operations.html",
            lines=lines,
            trouble="this process does not read yet" if watchdog is None else watchdog.trouble(),
            behind={} if watchdog is None else watchdog.behind,
            late=LATE.total_seconds(),
            service=self._process.name,
        )

    async def _of_all(self, tx: Transaction) -> list[ServiceLine]:
        """The same lines as ``parcours status``."""
        unsent, age = await outbox.unsent(tx)
        refused, waiting = await held.count(tx)
        late, stands = age > LATE.total_seconds(), "closed" if refused + waiting else "open"
        return [
            ServiceLine("unsent", unsent, "few" if late else "open", seconds=age, is_late=late),
            ServiceLine("held", refused, stands, behind=waiting),
            await parked_line(tx, self._incidents),
        ]

    async def person(self, visit: StaffVisit) -> Response:
        """Download all that this service keeps of the agent of a link."""
        agent, reading = await self._asked(visit)
        part = await person_export.kept_by(self._process, agent, reading)
        who = visit.who.in_security_log
        self._guard.record(visit.request, SecurityEvent.EXPORT, SecurityOutcome.OK, who)
        return HTMLResponse(
            person_export.page(agent, [part], clock.now()),
            headers={
                **PRIVATE,
                "Content-Disposition": f'attachment; filename="donnees-{self._process.name}.html"',
            },
        )

    async def incidents_of_person(self, visit: StaffVisit) -> Response:
        """List the dead letters that mention the agent of a link."""
        agent, reading = await self._asked(visit)
        eraser = self._process.eraser
        async with visit.database.quiet_transaction() as tx:
            subject = await eraser.subject(tx, agent, clock.now())
            found = await dead_letters_of_people.newest(tx, subject, eraser.issuer_of, LISTED + 1)
            await read_log.record(tx, reading, ReadKind.DEAD_LETTER, agents=[agent])
        return visit.page(
            "person-incidents.html",
            agent=agent,
            found=found[:LISTED],
            is_cut=len(found) > LISTED,
            why=why,
            reason_of=reason_of,
            titles=self._titles,
            incidents=self._incidents,
        )

    async def _asked(self, visit: StaffVisit) -> tuple[AgentKey, Reading]:
        from shared.web import export_links  # noqa: PLC0415 it imports a library of encryption

        asked = export_links.read(self._guard, visit.request.query_params.get("qui", ""))
        if asked is None:
            raise HTTPException(404)
        agent, purpose = asked
        return agent, await visit.read_for(purpose)

    # ------------------------------------------------------------------------------------ dead letters

    async def listing(self, visit: StaffVisit) -> Response:
        """A POST handles the chosen dead letters again."""
        state = visit.request.query_params.get("etat", "")
        state = state if state in STATES else STATES[0]
        failed: dict[int, str] = {}
        done: int | None = None
        gone = 0
        if visit.request.method == "POST":
            typed = [number_in(number, MOST_NUMBER) for number in visit.form.every("choisi")]
            chosen = [number for number in typed if number is not None]
            async with visit.database.quiet_transaction() as tx:
                parked = await dead_letters.find(tx, ids=chosen, state="parked", limit=LISTED)
            letters = parked if chosen else []
            failed = dict(await self._decisions.redrive(letters, actor=visit.who.name))
            done, gone = len(letters) - len(failed), len(set(chosen)) - len(letters)
        query = visit.request.query_params
        searched = " ".join(query.get("cherche", "").split())[:100]
        place = {name: query[name] for name in ("apres", "avant") if name in query}
        after, before = (number_in(place.get(name, ""), MOST_NUMBER) for name in ("apres", "avant"))
        async with visit.database.quiet_transaction() as tx:
            part = await part_around(
                after,
                before,
                LISTED,
                load=partial(dead_letters.listed, tx, state, searched),
                position=lambda letter: str(letter.id),
            )
        return visit.page(
            "incidents.html",
            part=part,
            used={"etat": state, "cherche": searched},
            place=place,
            is_whole_page_chosen="tous" in query,
            why=why,
            reason_of=reason_of,
            titles=self._titles,
            state=state,
            states=STATES,
            done=done,
            gone=gone,
            failed=failed,
            incidents=self._incidents,
            service=self._process.name,
        )

    async def incident(self, visit: StaffVisit) -> Response:
        """A POST shows the content, handles the dead letter again, or gives it up.

        If another operator has decided meanwhile, the page says so and nothing is done.
        """
        number = number_in(visit.request.path_params["number"], MOST_NUMBER)
        if number is None:
            raise HTTPException(404)
        if visit.request.method != "POST":
            return await self._page(visit, number)
        decision = visit.form.typed("decision")
        if decision == "lire":
            return await self._read(visit, number)
        if decision not in ("reprendre", "abandonner"):
            raise HTTPException(400)
        async with visit.database.quiet_transaction() as tx:
            parked = await dead_letters.find(tx, ids=[number], state="parked", limit=1)
        if not parked:
            return await self._page(visit, number, is_late=True, status=409)
        if decision == "reprendre":
            failed = await self._decisions.redrive(parked, actor=visit.who.name)
            if failed:
                return await self._page(visit, number, failed=failed[number])
            return self._done(number, decision)
        reason = purpose_in(visit.form.get("raison", ""))
        if reason is None:
            return await self._page(visit, number, wrong=["raison"], status=422)
        await self._decisions.discard(parked, actor=visit.who.name, reason=reason)
        return self._done(number, decision)

    def _done(self, number: int, decision: str) -> Response:
        return see_other(f"{self._incidents}/{number}?{urlencode({'fait': decision})}")

    async def _read(self, visit: StaffVisit, number: int) -> Response:
        purpose = purpose_in(visit.form.get("motif", ""))
        if purpose is None:
            return await self._page(visit, number, wrong=["motif"], status=422)
        reading = await visit.read_for(purpose)
        async with visit.database.quiet_transaction() as tx:
            for letter in await dead_letters.find(tx, ids=[number], limit=1):
                issuer = None if letter.portal is None else self._process.eraser.issuer_of(letter.portal)
                agents = agents_in(letter.record.value, issuer)
                await read_log.record(tx, reading, ReadKind.DEAD_LETTER, agents=agents, about=[number])
        return await self._page(visit, number, is_read=True)

    async def _page(
        self,
        visit: StaffVisit,
        number: int,
        *,
        status: int = 200,
        **values: Any,
    ) -> Response:
        async with visit.database.quiet_transaction() as tx:
            found = await dead_letters.find(tx, ids=[number], limit=1)
            decided = await dead_letters.audit_log(tx, number)
        if not found:
            raise HTTPException(404)
        shown = {"is_read": False, "is_late": False, "wrong": (), "failed": None, **values}
        return visit.page(
            "incident.html",
            status=status,
            letter=found[0],
            why=why(found[0]),
            reason_of=reason_of,
            titles=self._titles,
            decided=decided,
            done=visit.done,
            typed={"motif": "", "raison": visit.form.typed("raison")},
            incidents=self._incidents,
            **shown,
        )
