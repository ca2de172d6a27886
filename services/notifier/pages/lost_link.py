"""The page on which an agent asks for the lost link to their enrolments.

The answer is always the same, so that nobody learns which addresses are known.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notifier.service import lost_links
from services.notifier.service.failures import NoLetterSent
from shared.database import Database
from shared.events.fields import is_address
from shared.guard import Guard, LimitMet
from shared.permissions import Permission
from shared.rates import Rate
from shared.web.form_errors import FormError, sentences
from shared.web.forms import read_form
from shared.web.links import LOST_LINK
from shared.web.networks import network_of
from shared.web.notices import Closed
from shared.web.rendering import Rendering


class LostLinkMessage(StrEnum):
    SENT = "link_sent"
    TOO_MANY = "too_many"
    CLOSED = "links_closed"


def add_to(
    api: FastAPI,
    database: Database,
    guard: Guard,
    rendering: Rendering,
    *,
    rate: Rate,
    signs: bool,
    issuers: Sequence[tuple[str, str]] = (),
) -> None:
    """``issuers`` are the addresses where a log-in begins, and their labels."""
    page = _LostLinkPage(database, guard, rendering, rate, signs, issuers)
    api.router.routes.append(
        Route(LOST_LINK, rendering.guarded(page.form, Permission.ASK_FOR_LETTER), methods=["GET", "POST"])
    )


@dataclass(frozen=True, slots=True)
class _LostLinkPage:
    database: Database
    guard: Guard
    rendering: Rendering
    rate: Rate
    signs: bool
    issuers: Sequence[tuple[str, str]]

    async def form(self, request: Request) -> Response:
        if not self.signs:
            raise Closed(LostLinkMessage.CLOSED)
        if request.method != "POST":
            return self.rendering.page("lost-link.html", address="", errors={}, issuers=self.issuers)
        address = (await read_form(request, most=10)).typed("adresse")
        if not is_address(address):
            errors = sentences(self.rendering, {"adresse": FormError("address")})
            return self.rendering.page(
                "lost-link.html", status=422, address=address, errors=errors, issuers=self.issuers
            )
        try:
            await self.guard.take(request, "lost_link", self.rate, network_of(request))
        except LimitMet as error:
            raise Closed(LostLinkMessage.TOO_MANY) from error
        with suppress(NoLetterSent):  # the page does not reveal it
            async with self.database.transaction() as tx:
                await lost_links.send(tx, address, self.guard.digest)
        return self.rendering.notice(LostLinkMessage.SENT)
