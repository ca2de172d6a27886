import asyncio
import hmac
import math
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request

from shared import security_log
from shared.database import Database, Transaction
from shared.limits import TAKE, parameters
from shared.permissions import Permission, has_row
from shared.rates import Rate, Rates
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.networks import network_of, visitor_of

_SHARE = 100
"""A process takes a hundredth of a limit at once, so that not each request needs a statement."""
_MOST_SHARES = 10_000
"""A process that remembers more counts forgets the ended ones."""

AT_ONCE = 2
"""One computes while the other asks the database."""

_LET_IN_SECONDS = 3600.0


class LimitMet(HTTPException):
    """Status 429, and the ``seconds`` to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(429, f"Come again in {seconds} seconds.", {"Retry-After": str(seconds)})
        self.seconds = seconds


@dataclass(slots=True)
class _Share:
    """The share of a count that a process may still take until ``ends`` (monotonic).

    ``full``: the count is used up.
    """

    ends: float
    left: int = 0
    taken: int = 0
    full: bool = False
    is_recorded: bool = False


class Guard:
    """``key`` makes the digests of networks, tokens and mailboxes.

    Processes with the same key count together.
    """

    def __init__(self, database: Database, key: bytes, rates: Rates) -> None:
        self.rates = rates
        self._database = database
        self._key = key
        self._shares: dict[bytes, _Share] = {}
        self._sweep_at = _MOST_SHARES
        self._let_in: dict[tuple[str, str], float] = {}
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def digest(self, what: str, text: str) -> bytes:
        """The digest does not reveal the text. ``what`` is the use of the text."""
        return hmac.digest(self._key, f"{what}\0{text}".encode(), "sha256")

    def address(self, visit: HTTPConnection) -> str:
        return self.digest("network", network_of(visit)).hex()[:16]

    def record(
        self, visit: HTTPConnection, event: SecurityEvent, outcome: SecurityOutcome, who: str = ""
    ) -> None:
        """``who`` is a role, token or portal."""
        visit.state.is_recorded = True
        security_log.record(event, outcome, who=who, where=route_of(visit.scope), address=self.address(visit))

    def let_in(self, visit: HTTPConnection, who: str) -> None:
        """Record a right token once an hour per address: a line costs as much as a request."""
        used, now = (who, visitor_of(visit)), time.monotonic()
        if self._let_in.get(used, now) <= now:
            if len(self._let_in) >= _MOST_SHARES:
                self._let_in.clear()
            self._let_in[used] = now + _LET_IN_SECONDS
            where, address = route_of(visit.scope), self.address(visit)
            security_log.record(
                SecurityEvent.TOKEN, SecurityOutcome.OK, who=who, where=where, address=address
            )

    async def refuse(self, visit: HTTPConnection, event: SecurityEvent, who: str = "") -> None:
        """Record and count a wrong token, log-in or link. Raises :class:`LimitMet`."""
        await self.take(visit, "refused", self.rates.refused, network_of(visit))
        self.record(visit, event, SecurityOutcome.REFUSED, who)

    def check(self, visit: HTTPConnection) -> None:
        """Raise :class:`LimitMet` if the network has sent too many wrong secrets. Counts nothing.

        This is for secrets short enough to be guessed. A right one is refused too: otherwise an attacker
        would still learn which one is right. A process knows that the limit is met only once it has refused a
        request itself.
        """
        share = self._share(self.digest("refused", network_of(visit)), self.rates.refused)
        if share.full:
            self._refuse_more(visit, share, "refused")

    async def take(
        self, visit: HTTPConnection, what: str, rate: Rate, whose: str, *, number: int = 1
    ) -> None:
        """Count an act of a network, token or portal. Raises :class:`LimitMet`.

        A ``number`` above the whole rate counts as the whole rate: otherwise it could never pass.
        """
        number = min(number, rate.most)
        counted = self.digest(what, whose)
        share = self._share(counted, rate)
        if share.left < number and not share.full:
            await self._ask(share, counted, rate, number)
        if share.left < number:
            self._refuse_more(visit, share, what)
        share.left -= number

    async def take_in(self, tx: Transaction, visit: HTTPConnection, what: str, rate: Rate) -> None:
        """Count an act for all visitors together. A rollback undoes the count. Raises :class:`LimitMet`.

        Other transactions that use the same count wait.
        """
        counted = self.digest(what, "")
        [row] = await tx.execute(TAKE, parameters(counted, rate, 1))
        if not row.is_within:
            share = self._share(counted, rate)
            share.ends = time.monotonic() + float(row.seconds)
            self._refuse_more(visit, share, what)

    def take_here(self, visit: HTTPConnection, what: str, rate: Rate, *, number: int = 1) -> None:
        """Count an act of a network only in this process, without a statement. Raises :class:`LimitMet`.

        For acts of each visit a count across processes would cost as much as the act. ``number`` is as in
        :meth:`take`.
        """
        number = min(number, rate.most)
        share = self._share(self.digest(what, network_of(visit)), rate)
        if share.taken + number > rate.most:
            self._refuse_more(visit, share, what)
        share.taken += number

    @asynccontextmanager
    async def turn(self, visit: HTTPConnection) -> AsyncIterator[None]:
        """Let :data:`AT_ONCE` reads of a network go on at once; its others wait.

        Otherwise all other requests, and the health checks, would wait for what one network asks at once.
        """
        async with self._turns.setdefault(network_of(visit), asyncio.Semaphore(AT_ONCE)):
            yield

    def _share(self, counted: bytes, rate: Rate) -> _Share:
        now = time.monotonic()
        share = self._shares.get(counted)
        if share is None or share.ends <= now:
            if len(self._shares) >= self._sweep_at:
                self._shares = {key: kept for key, kept in self._shares.items() if kept.ends > now}
                self._sweep_at = max(_MOST_SHARES, 2 * len(self._shares))
            share = self._shares[counted] = _Share(ends=now + rate.seconds)
        return share

    async def _ask(self, share: _Share, counted: bytes, rate: Rate, number: int) -> None:
        """Near the end of the count, take only the needed number."""
        for wanted in dict.fromkeys((max(number, rate.most // _SHARE), number)):
            [row] = await self._database.execute_alone(TAKE, parameters(counted, rate, wanted))
            share.ends = time.monotonic() + float(row.seconds)
            if row.is_within:
                share.left += wanted
                return
        share.full = number == 1

    def _refuse_more(self, visit: HTTPConnection, share: _Share, what: str) -> NoReturn:
        """Write one line when a limit is met. Later requests are counted, not logged."""
        if share.is_recorded:
            security_log.COUNTED.labels(SecurityEvent.LIMIT, SecurityOutcome.REFUSED).inc()
        else:
            self.record(visit, SecurityEvent.LIMIT, SecurityOutcome.REFUSED, f"limit:{what}")
        share.is_recorded = True
        raise LimitMet(max(1, math.ceil(share.ends - time.monotonic())))


@has_row(Permission.READ_OFFER)
async def limit_reading(request: Request) -> None:
    """Count a list of 200 sessions as ten pages: it costs as much.

    Raises :class:`LimitMet`.
    """
    limit = request.query_params.get("limit", "")
    number = int(limit) // 20 if len(limit) < 4 and limit.isdecimal() else 1
    guard: Guard = request.app.state.guard
    guard.take_here(request, "read", guard.rates.read, number=max(1, number))


@has_row(Permission.READ_OFFER)
async def read_in_turn(request: Request) -> AsyncIterator[None]:
    """Raises :class:`LimitMet`."""
    await limit_reading(request)
    guard: Guard = request.app.state.guard
    async with guard.turn(request):
        yield


def route_of(scope: MutableMapping[str, Any]) -> str:
    """Return a path such as ``/api/v1/requests/{ce_id}``."""
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    names = {str(value).lower(): f"{{{name}}}" for name, value in scope.get("path_params", {}).items()}
    return "/".join(names.get(segment.lower(), segment) for segment in str(scope["path"]).split("/"))
