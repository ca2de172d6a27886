"""The page that verifies a certificate by its code.

It confirms a name only if the reader types it. An unknown code counts towards the limit of wrong links.
"""

from dataclasses import dataclass
from enum import StrEnum

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.enrolment.pages.links import rendering_for
from services.enrolment.rules.certificates import read_code, written
from services.enrolment.service import certificates
from shared.database import Database
from shared.guard import Guard
from shared.permissions import Permission
from shared.security_log import SecurityEvent
from shared.web.forms import read_form
from shared.web.rendering import Rendering, Sites
from shared.web.responses import see_other

PATH = "/attestations"
LONGEST_NAME = 601


class VerificationMessage(StrEnum):
    NO_CERTIFICATE = "no_certificate"


def add_to(api: FastAPI, database: Database, guard: Guard, *, sites: Sites) -> None:
    rendering = rendering_for(sites)
    pages = _VerificationPages(database, guard, rendering)
    for path, endpoint in ((PATH, pages.ask), (f"{PATH}/{{code}}", pages.show)):
        api.router.routes.append(
            Route(path, rendering.guarded(endpoint, Permission.VERIFY_CERTIFICATE), methods=["GET", "POST"])
        )


@dataclass(frozen=True, slots=True)
class _VerificationPages:
    database: Database
    guard: Guard
    rendering: Rendering

    async def ask(self, request: Request) -> Response:
        typed = (await read_form(request, most=5)).typed("code") if request.method == "POST" else ""
        code = read_code(typed)
        if code is not None:
            return see_other(f"{PATH}/{written(code)}")
        wrong = request.method == "POST"
        return self.rendering.page("verify.html", status=422 if wrong else 200, typed=typed, wrong=wrong)

    async def show(self, request: Request) -> Response:
        name = (await read_form(request, most=5)).typed("nom") if request.method == "POST" else ""
        code = read_code(request.path_params["code"])
        self.guard.check(request)
        found = None
        if code is not None:
            async with self.database.quiet_transaction() as tx:
                found = await certificates.verify(tx, code, name if 0 < len(name) <= LONGEST_NAME else None)
        if code is None or found is None:
            await self.guard.refuse(request, SecurityEvent.LINK)
            return self.rendering.notice(VerificationMessage.NO_CERTIFICATE, ask=PATH)
        await self.guard.take(request, "certificate", self.guard.rates.link, code)
        return self.rendering.page(
            "verified.html", code=written(code), found=found, session=found.session, typed=name, ask=PATH
        )
