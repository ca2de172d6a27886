"""Workers send one mail after the other, the most urgent first.

Marks and results of many mails share one statement. A mail's mark is durable before its DATA.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from prometheus_client import Counter

from services.notifier import letters
from services.notifier.delivery import results
from services.notifier.delivery.batching import Batcher
from services.notifier.delivery.domains import Admitted, Domains, Later
from services.notifier.delivery.pool import SmtpPool
from services.notifier.delivery.results import MailResult, Verdict
from services.notifier.delivery.work_queue import WorkQueue
from services.notifier.letters import Priority
from services.notifier.render import WRITTEN_BY, Outgoing, Renderer
from services.notifier.render.mime import UnsendableAddress
from services.notifier.store import claims
from services.notifier.store.attempts import WrittenLetter
from services.notifier.store.claims import Claim, Claimed, Settlement
from shared import clock, tracing
from shared.database import Database, is_temporary
from shared.events.cloudevents import trace_id_of
from shared.observability import logged_ids

log = logging.getLogger(__name__)

DATA_LEASE = timedelta(minutes=15)
"""Longer than the relay may take for DATA and the final dot together."""
SETTLE_LINGER_SECONDS = 0.05
"""Results wait this long for others, because a transaction is expensive. A kill leaves them ambiguous."""
ENOUGH = 50
"""If this many mails are claimed, the next ones stay in the queue for other processes."""

RENDER_FAILURES = Counter(
    "parcours_mail_render_failures_total", "Mails that could not be written.", ["template"]
)
for _template in letters.LetterType:
    RENDER_FAILURES.labels(_template)  # starts at 0, so that an alert sees the first failure


class Workers:
    """Sends ``number`` mails at once, at most ``per_domain`` of them to one domain (0: no limit).

    ``on_capacity`` is called when a priority that :meth:`priorities_with_capacity` left out has capacity
    again.
    """

    def __init__(
        self,
        database: Database,
        owner: UUID,
        pool: SmtpPool,
        renderer: Renderer,
        *,
        number: int,
        per_domain: int,
        on_capacity: Callable[[], None],
    ) -> None:
        self._database = database
        self._owner = owner
        self._pool = pool
        self._renderer = renderer
        self._number = number
        self._domains: Domains[Claimed] = Domains(most=per_domain)
        self._on_capacity = on_capacity
        self._refused: Priority | None = None
        self._queue = WorkQueue(number)
        self._tasks: list[asyncio.Task[None]] = []
        self._in_hand = 0
        self.idle = asyncio.Event()
        """Set while no mail is in progress and every result is stored."""
        self.idle.set()
        self._marks: Batcher[Claimed, set[Claim]] = Batcher(self._write_marks)
        self._settlements: Batcher[Settlement, None] = Batcher(self._settle, linger=SETTLE_LINGER_SECONDS)

    def open(self) -> None:
        self._queue = WorkQueue(self._number)  # an earlier run's queue is closed
        self._in_hand = 0
        self.idle.set()
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._number)]

    def submit(self, mails: Sequence[Claimed]) -> None:
        for mail in mails:
            self._in_hand += 1
            self.idle.clear()
            self._queue.put(mail)

    def priorities_with_capacity(self) -> list[Priority]:
        """Return the priorities whose next mail would soon be sent. ``on_capacity`` reports later changes."""
        refused = [priority for priority in Priority if not self._has_capacity_for(priority)]
        self._refused = refused[0] if refused else None
        return [priority for priority in Priority if priority not in refused]

    def _has_capacity_for(self, priority: Priority) -> bool:
        return self._queue.waiting(priority) + self._domains.waiting() <= ENOUGH

    def have_died(self) -> bool:
        """Return whether a worker has ended by an error. :meth:`close` raises it."""
        return any(task.done() for task in self._tasks)

    def begin_no_more(self) -> None:
        """Drop the mails that have not begun, and any submitted later."""
        self._domains.drop_held()
        self._queue.close()

    async def close(self, seconds: float) -> None:
        """Begin nothing more. Finish within ``seconds`` the mails that the relay is taking."""
        self.begin_no_more()
        done, pending = await asyncio.wait(self._tasks, timeout=seconds)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(self._marks.flush(), self._settlements.flush()), 5)
        for task in done:
            task.result()

    # ------------------------------------------------------------------------------------- one worker

    async def _work(self) -> None:
        """The result of one mail is stored while the next is sent.

        So a kill leaves at most two mails of a worker ambiguous.
        """
        written: asyncio.Future[None] | None = None
        while (mail := await self._queue.get()) is not None:
            self._report_capacity()
            match self._domains.enter(mail.domain, mail):
                case Admitted.HELD:
                    self._queue.finished(mail)
                    continue
                case Later(seconds):
                    self._queue.finished(mail)
                    delay = timedelta(seconds=seconds)
                    self._finish(self._settlements.put(results.postponed(mail, "its domain is slow", delay)))
                    continue
            following: Claimed | None = mail
            while following is not None:
                async with self._pool.throttled():
                    is_tried = await self._pool.is_usable()
                    with logged_ids(**_ids_of(following)):
                        settlement = await self._attempt(following) if is_tried else None
                if not is_tried:
                    await self._give_back(following)
                    self._finish(None)
                else:
                    await self._stored(written)
                    written = self._settlements.put(settlement) if settlement is not None else None
                    self._finish(written)
                self._queue.finished(following)
                following = self._domains.leave(mail.domain)
                if following is not None:
                    self._queue.begun(following)
                self._report_capacity()
        await self._stored(written)

    async def _stored(self, written: "asyncio.Future[None] | None") -> None:
        if written is not None:
            self._settlements.hurry(written)
            await written

    def _finish(self, written: "asyncio.Future[None] | None") -> None:
        if written is not None:
            written.add_done_callback(lambda _: self._finish(None))
            return
        self._in_hand -= 1
        if not self._in_hand:
            self.idle.set()

    def _report_capacity(self) -> None:
        if self._refused is not None and self._has_capacity_for(self._refused):
            self._refused = None
            self._on_capacity()

    async def _attempt(self, claimed: Claimed) -> Settlement | None:
        """Return None if another process has the mail or its lease will decide."""
        mail = claimed.mail
        now = clock.now()
        try:
            match letters.revalidate(mail, claimed.context, now):
                case letters.Superseded(why):
                    return results.superseded(claimed, why)
                case letters.SessionStateMissing():
                    return results.session_state_missing(claimed)
                case letters.Postponed(until):
                    return results.postponed(claimed, "its time has not come", until - now)
            # A suppressed address may work again: only its owner can confirm that.
            if claimed.context.suppressed and mail.template is not letters.LetterType.CONFIRM_ADDRESS:
                return results.suppressed(claimed)
            written = WrittenLetter(self._renderer.now(), WRITTEN_BY, claimed.context)
            outgoing = self._renderer.render(mail, claimed.context)
        except UnsendableAddress as error:
            return results.settled(claimed, MailResult(Verdict.FAILED, None, str(error)))
        except Exception:
            # Our fault in one letter: the other letters go on, and this one is tried again after the
            # correction.
            RENDER_FAILURES.labels(mail.template).inc()
            log.exception("The mail %s (%s) cannot be written", mail.mail_id, mail.template)
            return results.settled(
                claimed, MailResult(Verdict.RETRY, None, "the letter could not be written")
            )
        result = await self._send(claimed, outgoing)
        if result is None:
            return None
        log.debug("%s, attempt %d: %s", mail.template, claimed.attempts, result.verdict)
        return results.settled(claimed, result, written)

    async def _send(self, claimed: Claimed, outgoing: Outgoing) -> MailResult | None:
        """Return None if the mail's mark could not be stored."""

        async def mark_data_started() -> bool:
            return claimed.claim in await self._marks.put(claimed)

        attributes = {f"parcours.{name}": value for name, value in _ids_of(claimed).items()}
        attributes |= {"parcours.template": claimed.mail.template, "parcours.attempt": claimed.attempts}
        span = tracing.begin(f"smtp {claimed.mail.template}", claimed.traceparent, "client", attributes)
        result: MailResult | None = None
        try:
            result = await self._pool.send(outgoing, mark_data_started)
        except Exception as error:
            if not is_temporary(error):
                raise
            # Nothing was sent. When the lease runs out, the mail is ambiguous if the mark was stored.
            log.warning(
                "The mark of mail %s cannot be stored (%s)", claimed.claim.mail_id, type(error).__name__
            )
        finally:
            if span is not None:
                verdict = None if result is None else result.verdict
                code = None if result is None else result.code
                failure = None if verdict is Verdict.SENT else verdict or "interrupted"
                span.end(failure, {"parcours.outcome": verdict, "smtp.code": code})
        return result

    # ------------------------------------------------------------------------------------- to the database

    async def _write_marks(self, marked: Sequence[Claimed]) -> set[Claim]:
        async with self._database.quiet_transaction(plan_once=True) as tx:
            valid = await claims.mark_data_started(tx, self._owner, marked, lease=DATA_LEASE)
        for mail in marked:
            if mail.claim not in valid:
                await self._give_back(mail)
        return valid

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        """Store results, however long the database is away: only this process knows them.

        This does not wake the relay: no reader waits for events about sent mails.
        """
        failures = 0
        while True:
            try:
                async with self._database.quiet_transaction(plan_once=True) as tx:
                    await claims.settle(tx, self._owner, settlements)
            except Exception as error:
                if not is_temporary(error):
                    raise
                failures += 1
                log.warning(
                    "What became of %d mails cannot be stored (%s): tried again",
                    len(settlements),
                    type(error).__name__,
                )
                await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 10)))
            else:
                return

    async def _give_back(self, mail: Claimed) -> None:
        try:
            async with self._database.quiet_transaction() as tx:
                await claims.release(tx, self._owner, [mail.claim])
        except Exception as error:
            if not is_temporary(error):
                raise
            # Its lease returns it to the queue as well.
            log.warning("The mail %s cannot be given back (%s)", mail.claim.mail_id, type(error).__name__)


def _ids_of(claimed: Claimed) -> dict[str, object]:
    mail = claimed.mail
    return {
        "mail_id": mail.mail_id,
        "enrolment_id": mail.enrolment_id,
        "session_id": mail.session_id,
        "trace_id": trace_id_of(claimed.traceparent),
    }
