"""A log-in by token is handed to the next area, and a log-out to all areas (ADR 0074)."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shared import clock
from shared.guard import Guard
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.logins.by_issuer import of_issuer
from shared.web.logins.keeping import KeptLogins
from shared.web.logins.staff_area import StaffArea
from shared.web.logins.store import EndedLogins
from shared.web.rendering import Rendering, query
from shared.web.responses import see_other

TICKET_LASTS = timedelta(seconds=60)
_END = "end"


class _Tickets:
    """Short texts that all services sign with one key."""

    def __init__(self, guard: Guard) -> None:
        sha256 = {"digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(guard.digest("tickets", ""), signer_kwargs=sha256)

    def sign(self, purpose: str, *values: object) -> str:
        until = int((clock.now() + TICKET_LASTS).timestamp())
        return str(self._serializer.dumps([purpose, until, *values]))

    def read(self, purpose: str, ticket: str) -> Sequence[Any] | None:
        """Return None if the ticket is forged, too old or for another purpose."""
        try:
            signed_for, until, *values = self._serializer.loads(ticket)
        except BadSignature:
            return None
        return values if signed_for == purpose and clock.now().timestamp() < until else None


class HandedLogins:
    """``rendering`` knows the addresses of all areas."""

    def __init__(self, area: StaffArea, kept: KeptLogins, guard: Guard, rendering: Rendering) -> None:
        self._area = area
        self._kept = kept
        self._guard = guard
        self._areas = rendering.sites.staff_areas
        self._services = [name for name in self._areas if name.startswith("exploitation-")]
        self._tickets = _Tickets(guard)
        self._key = guard.digest("ways out", "")

    def cookies_in(self, request: Request) -> Mapping[str, str]:
        """The digests of the browser's cookies, by area."""
        return self._kept.digests_in(request, self._areas)

    # -------------------------------------------------------------------------------------------- log-in

    def way_in(self, request: Request, towards: str) -> str:
        """Return where a visitor without a log-in goes: an area that may know the browser, or the form."""
        towards = "" if towards == self._area.home else towards
        return self._next(request, self._area.cookie, towards, list(self._areas))

    def _next(self, request: Request, to: str, towards: str, areas: Sequence[str]) -> str:
        cookies = self.cookies_in(request)
        for name in areas:
            if name in cookies and name != to:
                return self._passage(name) + query({"pour": to, "vers": towards})
        return self._log_in_of(to, towards)

    async def pass_on(self, request: Request) -> Response:
        """Lead back to the area ``pour`` with a ticket, or on to the next area that may know the browser.

        A visitor from another site gets no ticket: nobody is logged in without a click.
        """
        asked = request.query_params
        if (ticket := asked.get("fin")) is not None:
            return await self._end_on_the_way(request, ticket)
        to, towards = asked.get("pour", ""), asked.get("vers", "")
        if to not in self._areas:
            raise HTTPException(404)
        is_ours = request.headers.get("sec-fetch-site") != "cross-site"
        login = await self._kept.of(request) if is_ours else None
        if login is None:
            return see_other(self._next(request, to, towards, self._after(list(self._areas))))
        row = login.row
        if (provider := self._kept.provider_of(row)) is not None:
            begin = of_issuer(f"{self._areas[to]}/connexion/compte", provider)
            return see_other(begin + query({"vers": towards}))
        ticket = self._tickets.sign(to, row.owner, row.opened_at.isoformat(), row.digest)
        return see_other(self._log_in_of(to, towards, ticket))

    async def accept(self, request: Request) -> str | None:
        """Open the log-in of a ticket. Returns the secret of its cookie.

        Returns None if the request lacks the cookie of the area that signed the ticket, if the log-in has
        ended since, or if the token does not open this area.
        """
        values = self._tickets.read(self._area.cookie, request.query_params.get("billet", ""))
        if values is None:
            return None
        owner, opened_at, digest = values
        if digest not in self.cookies_in(request).values() or self._kept.owner_of_token(owner) is None:
            return None
        row, secret = await self._kept.open_by_token(request, owner, datetime.fromisoformat(opened_at))
        if await self._kept.has_ended(row):  # asked after the opening, as the end may come at the same time
            await self.end(request, EndedLogins(owner, row.opened_at))
            return None
        return secret

    # ------------------------------------------------------------------------------------------- log-out

    async def end(self, request: Request, ended: EndedLogins) -> None:
        """End these log-ins in this service."""
        for who in await self._kept.end_all(ended):
            self._guard.record(request, SecurityEvent.LOG_OUT, SecurityOutcome.OK, who)

    def way_out(self, ended: EndedLogins, onward: str, *, by_issuer: bool = False) -> str:
        """Return an address that ends these log-ins in each service, and then leads ``onward``.

        ``by_issuer``: ``onward`` has the ID token. Proxies log addresses, so it is encrypted.
        """
        if by_issuer:
            from shared.oidc import sealing  # noqa: PLC0415 only who has an issuer loads its libraries

            onward = sealing.encrypt(onward.encode(), self._key)
        opened_at = None if ended.opened_at is None else ended.opened_at.isoformat()
        about = (ended.owner, opened_at, ended.at_issuer, list(ended.digests))
        ticket = self._tickets.sign(_END, onward, by_issuer, *about)
        return self._passage(self._services[0]) + query({"fin": ticket})

    async def _end_on_the_way(self, request: Request, ticket: str) -> Response:
        values = self._tickets.read(_END, ticket)
        if values is None:
            return see_other(self._area.log_in)
        onward, by_issuer, owner, opened_at, at_issuer, digests = values
        moment = None if opened_at is None else datetime.fromisoformat(opened_at)
        await self.end(request, EndedLogins(owner, moment, at_issuer, digests))
        for name in self._after(self._services):
            return see_other(self._passage(name) + query({"fin": ticket}))
        if by_issuer:
            from shared.oidc import sealing  # noqa: PLC0415

            onward = (sealing.decrypt(onward, self._key) or self._area.log_in.encode()).decode()
        return see_other(onward)

    # ----------------------------------------------------------------------------------------- addresses

    def _after(self, names: Sequence[str]) -> Sequence[str]:
        return names[names.index(self._area.cookie) + 1 :]

    def _passage(self, name: str) -> str:
        return f"{self._areas[name]}/connexion/passage"

    def _log_in_of(self, name: str, towards: str, ticket: str = "") -> str:
        home = self._area.home if name == self._area.cookie else self._areas[name]
        return f"{home}/connexion" + query({"vers": towards, "billet": ticket})
