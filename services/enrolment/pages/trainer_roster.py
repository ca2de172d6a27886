"""The roster behind the link of a trainer's letter.

It names people, so each read is recorded, and the link works only while the session's newest state names the
trainer. It shows no address, answer or decision.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.enrolment.pages.links import rendering_for
from services.enrolment.rules.links import ROSTER_FOR, RosterLinkState
from services.enrolment.service import trainer_rosters
from shared import clock
from shared.database import Database
from shared.guard import Guard
from shared.permissions import Permission
from shared.web.links import Links, Purpose
from shared.web.notices import read_link
from shared.web.rendering import Rendering, Sites


class RosterMessage(StrEnum):
    NOT_A_TRAINER = "not_a_trainer"
    ROSTER_CANCELLED = "roster_cancelled"
    ROSTER_EXPIRED = "roster_expired"


def add_to(api: FastAPI, database: Database, guard: Guard, links: Links | None, *, sites: Sites) -> None:
    rendering = rendering_for(sites)
    page = _RosterPage(database, guard, links, rendering)
    path = f"{Purpose.ROSTER.value}/{{token}}"
    api.router.routes.append(
        Route(path, rendering.guarded(page.show, Permission.FOLLOW_LINK), methods=["GET"])
    )


@dataclass(frozen=True, slots=True)
class _RosterPage:
    database: Database
    guard: Guard
    links: Links | None
    rendering: Rendering

    async def show(self, request: Request) -> Response:
        opened = await read_link(
            request, self.guard, self.links, Purpose.ROSTER, expired=RosterMessage.ROSTER_EXPIRED
        )
        async with self.database.transaction() as tx:
            found = await trainer_rosters.read(tx, UUID(int=opened.number), opened.subject, clock.now())
        if isinstance(found, RosterLinkState):
            return self.rendering.notice(RosterMessage(found))
        return self.rendering.page(
            "roster.html",
            session=found.session,
            agents=found.agents,
            is_cut=found.is_cut,
            until=found.session.ends_at + ROSTER_FOR,
        )
