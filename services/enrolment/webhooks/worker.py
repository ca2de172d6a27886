import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from prometheus_client import Counter

from services.enrolment.rules.webhooks import WebhookFailure, WebhookState
from services.enrolment.service import webhooks
from services.enrolment.service.webhooks import DuePart, WebhookAttempt
from services.enrolment.webhooks.sending import WebhookSender
from shared import clock
from shared.database import Database, is_temporary
from shared.messaging.portals.registry import SOURCES, Portal, PortalsFile, Webhook
from shared.messaging.tables import OutboxRow

log = logging.getLogger(__name__)

SENT = Counter(
    "parcours_webhooks_sent_total", "Events sent to the webhook of a portal.", ["portal", "result"]
)

PART_SECONDS = 20.0
"""After this no attempt of a part begins, so that the last one ends within the lease."""
CONNECTIONS = 32
"""To each portal. One that hangs takes none of the others'."""
REST_SECONDS = 1.0
IDLE_SECONDS = 20.0
STOP_SECONDS = 5.0
"""For how long a stop waits for the answers to attempts that have begun."""

News = Callable[[str, int, float], Awaitable[bool]]


@dataclass
class _Progress:
    """The numbers above the cursor that were taken. They are forgotten if a command changes the cursor."""

    cursor: int = -1
    taken: set[int] = field(default_factory=set)

    def begin_at(self, cursor: int) -> None:
        if cursor != self.cursor:
            self.cursor = cursor
            self.taken.clear()

    def end_at(self, cursor: int) -> None:
        self.cursor = cursor
        self.taken = {number for number in self.taken if number > cursor}


class WebhookWorker:
    """Sends each portal's feed to its webhook, one task for each portal.

    The events of an agent are sent one after the other, those of different agents at the same time.
    """

    def __init__(
        self, database: Database, registry: PortalsFile, news: News, *, private_too: bool = False
    ) -> None:
        self._database = database
        self._registry = registry
        self._news = news
        self._private_too = private_too
        self._id = uuid4()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sending: set[str] = set()
        self._is_stopped = False

    async def run(self, stopping: asyncio.Event) -> None:
        try:
            while not stopping.is_set():
                for portal in self._registry.portals:
                    task = self._tasks.get(portal.portal)
                    if portal.webhook is not None and (task is None or task.done()):
                        self._tasks[portal.portal] = asyncio.create_task(self._serve(portal.portal))
                await clock.pause(stopping, REST_SECONDS)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Store what was taken, and let the next process send at once."""
        self._is_stopped = True
        if sending := [self._tasks[name] for name in self._sending]:
            await asyncio.wait(sending, timeout=STOP_SECONDS)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        try:
            async with self._database.quiet_transaction() as tx:
                await webhooks.release(tx, self._id)
        except Exception as error:
            if not is_temporary(error):
                raise
            log.warning("Webhooks stay with this process until its leases end (%s)", type(error).__name__)

    def _portal(self, name: str) -> tuple[Portal, Webhook] | None:
        found = self._registry.portals.of_source(SOURCES + name)
        return None if found is None or found.webhook is None else (found, found.webhook)

    async def _serve(self, name: str) -> None:
        """Send until the portal has no webhook any more."""
        progress = _Progress()
        sender = WebhookSender(private_too=self._private_too)
        try:
            while not self._is_stopped and (found := self._portal(name)) is not None:
                try:
                    await self._turn(*found, sender, progress)
                except Exception as error:
                    if is_temporary(error):
                        log.warning("The webhook of %s waits (%s)", name, type(error).__name__)
                    else:
                        log.exception("The webhook of %s failed", name)
                    await asyncio.sleep(REST_SECONDS)
        finally:
            sender.close()

    async def _turn(
        self, portal: Portal, webhook: Webhook, sender: WebhookSender, progress: _Progress
    ) -> None:
        async with self._database.quiet_transaction() as tx:
            await webhooks.begin(tx, portal.portal)
            due = await webhooks.claim(tx, portal.portal, self._id, clock.now())
        if due is None:
            await asyncio.sleep(REST_SECONDS)
            return
        if due.until == due.state.cursor:
            if not await self._news(portal.portal, due.until, IDLE_SECONDS):
                await asyncio.sleep(REST_SECONDS)
            return
        self._sending.add(portal.portal)
        try:
            progress.begin_at(due.state.cursor)
            failure = await self._send(due.answers, webhook, sender, progress.taken)
            attempt = WebhookAttempt(due.state, _reached(due, progress.taken), failure, portal.contact)
            async with self._database.quiet_transaction() as tx:
                after = await webhooks.settle(tx, attempt, self._id, clock.now())
            progress.end_at(attempt.cursor)
        finally:
            self._sending.discard(portal.portal)
        self._report(due.state, after)

    async def _send(
        self, answers: Mapping[int, OutboxRow], webhook: Webhook, sender: WebhookSender, taken: set[int]
    ) -> WebhookFailure | None:
        """Send what is not taken yet. Return the first failure; no attempt begins after it."""
        failures: list[WebhookFailure] = []
        ends_at = asyncio.get_running_loop().time() + PART_SECONDS
        gate = asyncio.Semaphore(CONNECTIONS)

        async def send_in_order(own: Mapping[int, OutboxRow]) -> None:
            for number, answer in own.items():
                async with gate:
                    if failures or self._is_stopped or asyncio.get_running_loop().time() > ends_at:
                        return
                    failure = await sender.send(webhook, answer.event_id, webhooks.body_of(answer))
                SENT.labels(answer.portal, "taken" if failure is None else "failed").inc()
                if failure is not None:
                    failures.append(failure)
                    return
                taken.add(number)

        by_agent: defaultdict[str, dict[int, OutboxRow]] = defaultdict(dict)
        for number, answer in answers.items():
            if number not in taken:
                by_agent[answer.key][number] = answer
        async with asyncio.TaskGroup() as group:  # after an error nobody sends on beside the next part
            for own in by_agent.values():
                group.create_task(send_in_order(own))
        return next(iter(failures), None)

    def _report(self, before: WebhookState, after: WebhookState) -> None:
        if after.disabled_at is not None:
            log.error(
                "The webhook of %s is disabled (%s). Once the portal has mended it, run "
                "'python -m services.enrolment webhooks replay %s'.",
                after.portal,
                after.reason,
                after.portal,
            )
        elif after.failures and not before.failures:
            log.warning("The webhook of %s takes no events (%s)", after.portal, after.reason)


def _reached(due: DuePart, taken: set[int]) -> int:
    """Return the number of the last event before the first one that is not taken."""
    cursor = due.state.cursor
    for number in due.answers:
        if number not in taken:
            return cursor
        cursor = number
    return due.until
