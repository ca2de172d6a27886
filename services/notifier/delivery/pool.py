import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Counter, Histogram

from services.notifier.delivery.connection import MarkDataStarted, SmtpConnection, StaleConnection
from services.notifier.delivery.providers import provider_of
from services.notifier.delivery.results import MailResult, RelayUnreachable, Timeouts, Verdict
from services.notifier.render import Outgoing
from services.notifier.settings import SmtpServer

CONNECT_FAILURES = Counter(
    "parcours_smtp_connect_failures_total", "Times the relay could not be reached, or took no mail of ours."
)
SECONDS = Histogram(
    "parcours_smtp_seconds",
    "From MAIL to what an attempt came to.",
    ["provider"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
ANSWERS = Counter(
    "parcours_smtp_answers_total", "What the relay answered in the end to an attempt.", ["provider", "code"]
)
_CODES = frozenset((250, 251, 421, 450, 451, 452, 455, 500, 501, 503, 550, 551, 552, 553, 554, 555, 556))
"""Codes of RFC 5321, 4.2.3, and RFC 7504. A relay could invent hundreds of metric labels."""


class SmtpPool:
    def __init__(self, relay: SmtpServer, *, size: int, timeouts: Timeouts | None = None) -> None:
        self._relay = relay
        self._timeouts = timeouts or Timeouts()
        self._slots = asyncio.Semaphore(size)
        self._idle: list[SmtpConnection] = []
        self._outage = Outage()
        self._refusing = False
        """The relay accepts connections and takes no mail. Only a reply to a whole mail ends this state."""
        self._trial = asyncio.Lock()

    def pause(self) -> float:
        return self._outage.pause()

    def has_failed(self) -> bool:
        """Return whether the last connection failed, or the relay still takes no mail."""
        return self._outage.failures > 0

    async def try_relay(self) -> bool:
        """Open one connection and keep it for the next mail. Returns whether it worked."""
        try:
            connection, _ = await self._connection()
        except RelayUnreachable:
            return False
        self._take_back(connection)
        return True

    async def is_usable(self) -> bool:
        """Return whether to try a mail now. After a failure, open a connection first."""
        return not self.pause() and (not self.has_failed() or await self.try_relay())

    @asynccontextmanager
    async def throttled(self) -> AsyncIterator[None]:
        """Hold this around :meth:`send`. While the relay takes no mail, one mail at a time is tried.

        Ask :meth:`is_usable` inside, because the mail before may have failed.
        """
        if self._refusing:
            async with self._trial:
                if self._refusing:
                    yield
                    return
        yield

    async def send(self, mail: Outgoing, mark_data_started: MarkDataStarted) -> MailResult:
        """Try once. Raises nothing but ``CancelledError`` and the error of ``mark_data_started``.

        If ``mark_data_started`` raises, nothing was sent.
        """
        async with self._slots:
            while True:
                begun = time.monotonic()
                try:
                    connection, reused = await self._connection()
                except RelayUnreachable as error:
                    return MailResult(Verdict.RETRY, error.code, str(error))
                refusing = self._refusing
                sent_at = time.monotonic()
                try:
                    result = await connection.send(mail, mark_data_started)
                    _count(mail, result, time.monotonic() - sent_at)
                    if refusing and result.code not in (None, 421):
                        self._refusing = False
                        self._outage.over()
                    return result
                except RelayUnreachable as error:
                    self._refusing = True
                    self._drop_idle()
                    self._failed(begun)
                    return MailResult(Verdict.RETRY, error.code, str(error))
                except StaleConnection as error:
                    # A relay that closed an idle connection has judged no mail.
                    if not reused:
                        return MailResult(Verdict.RETRY, error.code, str(error))
                finally:
                    self._take_back(connection)

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def _connection(self) -> tuple[SmtpConnection, bool]:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh():
                return connection, True
            connection.drop()
        connection = SmtpConnection(self._relay, self._timeouts)
        begun = time.monotonic()
        try:
            await connection.open()
            if self._refusing:
                await connection.probe()
        except RelayUnreachable:
            self._failed(begun)
            raise
        if not self._refusing:
            self._outage.over()
        return connection, False

    def _failed(self, begun: float) -> None:
        CONNECT_FAILURES.inc()
        self._outage.failed(begun)

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().drop()

    def _take_back(self, connection: SmtpConnection) -> None:
        if connection.is_fresh():
            self._idle.append(connection)
        else:
            connection.drop()


def _count(mail: Outgoing, result: MailResult, seconds: float) -> None:
    if result.code is None and result.verdict not in (Verdict.RETRY, Verdict.AMBIGUOUS):
        return
    provider = provider_of(mail.recipient)
    SECONDS.labels(provider).observe(seconds)
    ANSWERS.labels(provider, _code(result.code)).inc()


def _code(code: int | None) -> str:
    if code is None:
        return "none"
    return str(code) if code in _CODES else f"{code // 100}xx"


class Outage:
    """The pause before a relay is tried again: half a second, doubled each time, at most 30.

    Connections that began before the failure was known belong to the same outage. Otherwise many workers
    would turn a short outage into a long pause.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._known_at = 0.0
        self._not_before = 0.0

    def pause(self) -> float:
        return max(0.0, self._not_before - time.monotonic())

    def failed(self, begun: float) -> None:
        if self.failures and begun <= self._known_at:
            return
        self.failures += 1
        self._known_at = time.monotonic()
        self._not_before = self._known_at + min(30.0, 0.25 * 2 ** min(self.failures, 10))

    def over(self) -> None:
        self.failures = 0
        self._not_before = 0.0
