"""The browser must bring back from the issuer the values that it began with."""

import logging
import secrets
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared import clock
from shared.database import Database
from shared.guard import Guard
from shared.http import is_from_here
from shared.oidc.identities import Identity, LogInRejected, NoRole, ProviderAway
from shared.permissions import Permission
from shared.rates import Rate
from shared.security_log import SecurityEvent
from shared.web.logins.attempts import Attempts
from shared.web.logins.back_channel import BackChannel
from shared.web.logins.keeping import KeptLogins
from shared.web.logins.staff_area import StaffArea
from shared.web.logins.store import ATTEMPT_LASTS, LoginAttemptRow
from shared.web.networks import visitor_of
from shared.web.rendering import Rendering
from shared.web.responses import see_other

if TYPE_CHECKING:
    from shared.oidc.provider import Provider

log = logging.getLogger(__name__)

_BEGINNINGS = Rate(300, 60)
"""Each attempt is a row for ten minutes. Visitors of one network must not lock each other out."""


class LoginFault(StrEnum):
    AWAY = "away"
    REJECTED = "rejected"
    STALE = "stale"


def of_issuer(path: str, provider: "Provider") -> str:
    """Each issuer has its own addresses, so that none answers for another (RFC 9700, section 4.4.2)."""
    return f"{path}/{provider.client.name}".rstrip("/")


class WayByIssuer(ABC):
    """A page that leads the browser to an issuer, and one for its return."""

    def __init__(
        self,
        provider: "Provider",
        attempts: Attempts,
        guard: Guard,
        *,
        address: str,
        first_page: str,
        begin: str,
        come_back: str,
    ) -> None:
        self._provider = provider
        self._attempts = attempts
        self._guard = guard
        self._address = address
        self._first_page = first_page
        self._begin = of_issuer(begin, provider)
        self._come_back = of_issuer(come_back, provider)
        self._return_to = f"{address}{self._come_back}"

    async def begin(self, request: Request) -> Response:
        """``vers`` is the next page; ``autre`` asks for another account.

        ``recente`` and ``facteur`` ask for a new proof, and for a second factor.

        A visitor from another site sees the page with the button first: nobody is logged in without a click.
        """
        if not is_from_here(request.headers, self._address):
            return see_other(self._first_page)
        await self._guard.take(request, "begin", _BEGINNINGS, visitor_of(request))
        state = secrets.token_urlsafe(32)
        asked = request.query_params
        attempt = LoginAttemptRow(
            state="",
            browser="",
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            towards=self._leads_to(asked.get("vers", "")),
            expires_at=clock.now() + ATTEMPT_LASTS,
        )
        try:
            address = await self._provider.authorization_address(
                attempt,
                state=state,
                return_to=self._return_to,
                as_somebody_else="autre" in asked,
                recent="recente" in asked,
                second_factor="facteur" in asked or self._asks_second_factor,
            )
        except ProviderAway as error:
            return self._away(error)
        response = see_other(address)
        await self._attempts.begin(request, response, self._provider, state, attempt)
        return response

    async def come_back(self, request: Request) -> Response:
        attempt = await self._attempts.take(request, self._provider)
        if attempt is None:
            await self._guard.refuse(request, SecurityEvent.LOG_IN)
            return self._failed(LoginFault.STALE, 400)
        try:
            identity = await self._provider.identify(attempt, request.query_params, return_to=self._return_to)
        except ProviderAway as error:
            return self._away(error)
        except LogInRejected as error:
            log.warning("A log-in at the issuer was rejected: %s", error)
            await self._guard.refuse(request, SecurityEvent.LOG_IN)
            return self._failed(LoginFault.REJECTED, 403)
        return await self._log_in(request, identity, attempt)

    def _away(self, error: ProviderAway) -> Response:
        log.warning("Nobody can log in at the issuer: %s", error)
        return self._failed(LoginFault.AWAY, 503)

    @property
    def _asks_second_factor(self) -> bool:
        return False

    def _leads_to(self, _address: str) -> str:
        return self._first_page

    @abstractmethod
    async def _log_in(self, request: Request, identity: Identity, attempt: LoginAttemptRow) -> Response: ...

    @abstractmethod
    def _failed(self, fault: LoginFault | NoRole, status: int) -> Response: ...


class IssuerPages(WayByIssuer):
    def __init__(
        self,
        area: StaffArea,
        kept: KeptLogins,
        provider: "Provider",
        guard: Guard,
        database: Database,
        *,
        address: str,
        rendering: Rendering,
    ) -> None:
        super().__init__(
            provider,
            Attempts(database, address, f"{area.cookie}-avant"),
            guard,
            address=address,
            first_page=area.log_in,
            begin=area.begin,
            come_back=area.come_back,
        )
        self._area = area
        self._kept = kept
        self._back_channel = BackChannel(provider, guard, database)
        self._rendering = rendering

    def routes(self) -> list[Route]:
        return [
            Route(self._begin, self._rendering.guarded(self.begin, Permission.LOG_IN)),
            Route(self._come_back, self._rendering.guarded(self.come_back, Permission.LOG_IN)),
            self._back_channel.route(of_issuer(self._area.end_by_issuer, self._provider), self._rendering),
        ]

    @property
    def _asks_second_factor(self) -> bool:
        permission = self._area.permission
        return all(map(permission.needs_second_factor, permission.roles))

    def _leads_to(self, address: str) -> str:
        return self._area.leads_to(address)

    async def _log_in(self, request: Request, identity: Identity, attempt: LoginAttemptRow) -> Response:
        """A page leads on: browsers send no same-site cookie on a redirect from another site."""
        grant = self._provider.grant(identity, self._area.permission.roles)
        if isinstance(grant, NoRole):
            log.warning("A log-in at the issuer gave no role for %s: %s", self._area.home, grant)
            await self._guard.refuse(request, SecurityEvent.LOG_IN)
            return self._failed(grant, 403, name=identity.name)
        secret = await self._kept.open_by_issuer(request, self._provider, identity, grant)
        response = self._rendering.page(
            "log-in-onward.html", path="", area=self._area, onward=attempt.towards
        )
        self._kept.give_cookie(response, secret)
        return response

    def _failed(self, fault: LoginFault | NoRole, status: int, name: str = "") -> Response:
        return self._rendering.page(
            "log-in-fault.html",
            status=status,
            path="",
            area=self._area,
            begin=self._begin,
            fault=fault,
            name=name,
        )
