from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notifier.letters import digest_id
from services.notifier.service import organisers
from shared import clock
from shared.database import Database
from shared.guard import Guard
from shared.permissions import Permission
from shared.web.links import Links, Purpose
from shared.web.notices import Closed, OpenedLink, read_link
from shared.web.rendering import Rendering


class DigestMessage(StrEnum):
    EXPIRED = "digest_expired"
    NO_LONGER = "digest_no_longer"
    ENDED = "digest_ended"


def add_to(
    api: FastAPI,
    database: Database,
    guard: Guard,
    links: Links | None,
    rendering: Rendering,
    *,
    wanted: Mapping[str, Collection[str]],
) -> None:
    page = _DigestPage(database, guard, links, rendering, wanted)
    path = f"{Purpose.DIGEST.value}/{{token}}"
    api.router.routes.append(
        Route(path, rendering.guarded(page.end, Permission.FOLLOW_LINK), methods=["GET", "POST"])
    )


@dataclass(frozen=True, slots=True)
class _DigestPage:
    database: Database
    guard: Guard
    links: Links | None
    rendering: Rendering
    wanted: Mapping[str, Collection[str]]

    async def end(self, request: Request) -> Response:
        """One click (RFC 8058): a POST without login or cookie, from a mail program or the page's button."""
        link = await read_link(request, self.guard, self.links, Purpose.DIGEST, expired=DigestMessage.EXPIRED)
        organiser, address = self._addressee(link)
        if request.method != "POST":
            return self.rendering.page("end-digest.html", organiser=organiser)
        async with self.database.transaction() as tx:
            await organisers.end_digest(tx, organiser, address, clock.now())
        return self.rendering.notice(DigestMessage.ENDED)

    def _addressee(self, link: OpenedLink) -> tuple[str, str]:
        """Raises `Closed` if the settings no longer name the address."""
        for organiser, addresses in self.wanted.items():
            if digest_id(organiser) == link.subject:
                for address in addresses:
                    if self.links is not None and self.links.is_mark_of(link.mark, address):
                        return organiser, address
        raise Closed(DigestMessage.NO_LONGER)
