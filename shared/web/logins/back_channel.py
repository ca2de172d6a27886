"""The issuer ends log-ins (OpenID Connect Back-Channel Logout 1.0)."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared import clock
from shared.database import Database
from shared.guard import Guard
from shared.oidc.identities import EndedAtIssuer, LogInRejected, ProviderAway
from shared.permissions import Permission
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.forms import read_form
from shared.web.links import A_LOG_IN_OPENS_FOR
from shared.web.logins import store
from shared.web.logins.store import digest_of
from shared.web.rendering import Rendering
from shared.web.responses import PRIVATE

if TYPE_CHECKING:
    from shared.oidc.provider import Provider

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackChannel:
    """Ends log-ins of staff in this service, and all links that log-ins of an agent led to.

    An agent is known by the subject alone, so a logout token with a session and no subject leaves the links
    until their hour ends.
    """

    provider: "Provider"
    guard: Guard
    database: Database

    def route(self, path: str, rendering: Rendering) -> Route:
        return Route(path, rendering.guarded(self.end, Permission.LOG_IN), methods=["POST"])

    async def end(self, request: Request) -> Response:
        form = await read_form(request, None)
        try:
            ended = await self.provider.signed.read_logout_token(form.get("logout_token", ""))
        except ProviderAway as error:
            log.warning("A log-out of the issuer could not be checked: %s", error)
            return JSONResponse({"error": "temporarily_unavailable"}, 503, headers=PRIVATE)
        except LogInRejected as error:
            return await self._refuse(request, str(error))
        if not await self._end(ended):
            return await self._refuse(request, "the logout token was used before")
        self.guard.record(request, SecurityEvent.LOG_OUT, SecurityOutcome.OK, "issuer")
        return Response(headers=PRIVATE)

    async def _end(self, ended: EndedAtIssuer) -> bool:
        """Return False if the token was used before."""
        issuer = self.provider.issuer.address
        person = None if ended.subject is None else digest_of(issuer, ended.subject)
        session = None if ended.session is None else digest_of(issuer, ended.session)
        async with self.database.quiet_transaction() as tx:
            token = digest_of(issuer, ended.token_id)
            if not await store.use_logout_token(tx, token, ended.expires_at):
                return False
            await store.forget_at_issuer(tx, person, session)
            if person is not None:
                until = clock.now() + A_LOG_IN_OPENS_FOR
                await store.note_end_of_agent(tx, store.log_in_of_agent(person).int, until)
        return True

    async def _refuse(self, request: Request, reason: str) -> Response:
        log.warning("A log-out of the issuer was rejected: %s", reason)
        await self.guard.refuse(request, SecurityEvent.LOG_OUT)
        return JSONResponse({"error": "invalid_request"}, 400, headers=PRIVATE)
