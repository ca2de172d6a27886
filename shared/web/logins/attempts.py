"""Log-ins in progress at an issuer. The browser that began one must bring its state back."""

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from shared import clock
from shared.database import Database
from shared.web.logins import store
from shared.web.logins.cookies import Cookie
from shared.web.logins.store import ATTEMPT_LASTS, LoginAttemptRow, digest_of

if TYPE_CHECKING:
    from shared.oidc.provider import Provider


class Attempts:
    """The browser is known by its cookie for ``known_for`` after it last began a log-in."""

    def __init__(
        self, database: Database, address: str, cookie: str, *, known_for: timedelta = ATTEMPT_LASTS
    ) -> None:
        self._database = database
        # Lax, because the return to this site begins at another site.
        self._cookie = Cookie.at(address, cookie, "lax")
        self._known_for = known_for

    async def begin(
        self,
        request: Request,
        response: Response,
        provider: "Provider",
        state: str,
        attempt: LoginAttemptRow,
    ) -> None:
        browser = self._cookie.read(request) or secrets.token_urlsafe(32)
        attempt.state = digest_of(provider.issuer.address, state)
        attempt.browser = digest_of(browser)
        async with self._database.quiet_transaction() as tx:
            await store.remember(tx, attempt)
        self._cookie.give(response, browser, self._known_for)

    async def take(self, request: Request, provider: "Provider") -> LoginAttemptRow | None:
        state, browser = request.query_params.get("state"), self._cookie.read(request)
        if not state or not browser:
            return None
        async with self._database.quiet_transaction() as tx:
            begun = digest_of(provider.issuer.address, state)
            return await store.take_attempt(tx, begun, digest_of(browser), clock.now())

    def secret_in(self, request: Request) -> str:
        return self._cookie.read(request)

    def browser_of(self, request: Request) -> str:
        """Return the digest that stands for the browser in its attempts."""
        return digest_of(self.secret_in(request))
