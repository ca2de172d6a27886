"""The queue's way out: claim, render, hand to the relay, write down what became of it (DESIGN.md, 4).

The promises: a mail is never sent twice without an operator's word, never dropped, and whatever happens
between two lines of this file leaves it in a state that says the truth. Marks and outcomes of many mails go
to the database in one statement; the mark of each is durable before its DATA.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import UUID, uuid4

from prometheus_client import Counter

from services.notifier import letters, store
from services.notifier.domains import Domains, Entry, Later
from services.notifier.mailer import Mailer, Outcome, Verdict
from services.notifier.mime import UnsendableAddress
from services.notifier.render import Outgoing, Renderer
from services.notifier.store import Claim, Claimed, Settlement, turns
from services.notifier.tables import MailState
from shared import clock
from shared.database import Database, is_temporary

log = logging.getLogger(__name__)

CLAIM = 100
"""Mails claimed in one statement."""
CLAIM_LEASE = timedelta(minutes=1)
"""Short, so that what a killed process had claimed is not held up; running out of it costs a second claim."""
DATA_LEASE = timedelta(minutes=15)
"""Longer than the relay may take to answer DATA and the final dot together."""
POLL_SECONDS = 0.1
STOP_SECONDS = 8.0
"""How long a stop waits for mails that the relay has in hand."""
END_LINGER_SECONDS = 0.005
"""Outcomes wait this long for company, since a commit is dear. What a kill catches here is ambiguous."""
RETRY_FIRST: dict[int | None, timedelta] = {
    None: timedelta(seconds=30),  # no answer: the relay is tried by itself meanwhile
    421: timedelta(minutes=1),  # closing, or too many at once
    450: timedelta(minutes=5),  # mailbox busy, or a host that wants to see us come back (greylisting)
    451: timedelta(minutes=5),
    452: timedelta(minutes=15),  # mailbox or disk full: only people can mend that
}
"""How long to wait after the first attempt, by what the relay said (RFC 5321, 4.2.3)."""
RETRY_MOST = timedelta(hours=4)

RETURNED = "mails to this address came back: it is written to no more"

OUTCOMES = Counter("parcours_mails_total", "Attempts to send a mail, by what they came to.", ["outcome"])
SUPERSEDED = Counter(
    "parcours_mails_superseded_total", "Letters not sent because they are not so any more.", ["template"]
)
RENDER_FAILURES = Counter(
    "parcours_mail_render_failures_total", "Mails that could not be written.", ["template"]
)

T = TypeVar("T")
R = TypeVar("R")


def retry_delay(attempts: int, code: int | None) -> timedelta:
    """How long to wait after the ``attempts``-th attempt: by code, doubled each time, at most 4 hours."""
    first = RETRY_FIRST.get(code, RETRY_FIRST[421])
    return min(first * int(2 ** min(attempts - 1, 20)), RETRY_MOST)


class Batcher(Generic[T, R]):
    """Many small writes as few statements: what comes while one is under way goes together in the next.

    ``linger`` is how many seconds to wait for company before each.
    """

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[R]], *, linger: float = 0) -> None:
        self._write = write
        self._linger = linger
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None

    def put(self, item: T) -> "asyncio.Future[R]":
        """Have ``item`` written. The future is done after the commit and holds what its batch returned."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return future

    async def flush(self) -> None:
        """Wait until everything put so far is written."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                if self._linger:
                    await asyncio.sleep(self._linger)
                batch, self._waiting = self._waiting, []
                try:
                    result = await self._write([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001 whoever waits for it is told
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                            future.exception()  # a future that nobody awaits is no fault
                else:
                    for _, future in batch:
                        if not future.done():
                            future.set_result(result)
        finally:
            self._writing = None


@dataclass(frozen=True, slots=True)
class _Job:
    claimed: Claimed
    about: store.About


def _domain(job: _Job) -> str:
    return job.claimed.mail.address.rpartition("@")[2].lower()


def _not_yet(job: _Job, why: str, delay: timedelta) -> Settlement:
    """Back into the queue, without having been an attempt."""
    return Settlement(job.claimed.claim, MailState.PENDING, None, why, delay)


class Deliverer:
    """Sends what is due. Any number may share a queue; each has an ``owner`` of its own."""

    def __init__(
        self,
        database: Database,
        mailer: Mailer,
        renderer: Renderer,
        *,
        lanes: int,
        message_domain: str,
        stop_seconds: float = STOP_SECONDS,
        per_domain: int = 0,
        domain_rate: float = 0,
    ) -> None:
        self.owner: UUID = uuid4()
        self._database = database
        self._mailer = mailer
        self._renderer = renderer
        self._lanes = lanes
        self._message_domain = message_domain
        self._stop_seconds = stop_seconds
        self._domains: Domains[_Job] = Domains(most=per_domain)
        self._domain_rate = domain_rate
        self._woken = asyncio.Event()
        self._sessions: dict[UUID, letters.Session] = {}
        self._marks: Batcher[Claim, set[Claim]] = Batcher(self._write_marks)
        self._ends: Batcher[Settlement, None] = Batcher(self._write_ends, linger=END_LINGER_SECONDS)

    def wake(self) -> None:
        """Something was committed that may be due."""
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until told to stop; then finish what the relay has in hand and give back the rest."""
        before = self._database.after_commit

        def after_commit() -> None:
            before()
            self.wake()

        self._database.after_commit = after_commit
        jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        lanes = [asyncio.create_task(self._work(jobs)) for _ in range(self._lanes)]
        try:
            await self._fill(jobs, stopping, lanes)
        finally:
            await self._stop(jobs, lanes)

    async def deliver_due(self) -> int:
        """Send all that is due now, then return how many mails were tried."""
        jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        tried = 0
        while not self._mailer.pause() and (claimed := await self._claim(CLAIM)):
            tried += len(claimed)
            for job in claimed:
                jobs.put_nowait(job)
            lanes = [self._work(jobs) for _ in range(min(self._lanes, len(claimed)))]
            for _ in lanes:
                jobs.put_nowait(None)
            await asyncio.gather(*lanes)
            await self._ends.flush()
        return tried

    # ------------------------------------------------------------------------------------- claiming

    async def _fill(
        self,
        jobs: "asyncio.Queue[_Job | None]",
        stopping: asyncio.Event,
        lanes: Sequence["asyncio.Task[None]"],
    ) -> None:
        """Keep the lanes busy: claim while less than half a claim is in hand. Ends early if a lane dies."""
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set() and not any(lane.done() for lane in lanes):
                self._woken.clear()
                if pause := self._mailer.pause():
                    await asyncio.wait([stop], timeout=pause)
                    continue
                if not await self._relay_answers(stop):
                    continue
                if jobs.qsize() + self._domains.waiting() > CLAIM // 2:
                    await asyncio.wait([stop], timeout=0.005)
                    continue
                try:
                    claimed = await self._claim(CLAIM)
                except Exception as error:
                    if not is_temporary(error):
                        raise
                    log.warning("The queue cannot be read (%s): tried again", type(error).__name__)
                    await asyncio.wait([stop], timeout=random.uniform(0.5, 1.5))  # noqa: S311 jitter
                    continue
                for job in claimed:
                    jobs.put_nowait(job)
                if not claimed:
                    await self._wait_for_work(stop)
        finally:
            stop.cancel()

    async def _relay_answers(self, stop: "asyncio.Task[bool]") -> bool:
        """Whether to claim: after an outage one connection is tried first, which costs no mail an attempt."""
        if not self._mailer.has_failed():
            return True
        trial = asyncio.create_task(self._mailer.try_relay())
        await asyncio.wait([stop, trial], return_when=asyncio.FIRST_COMPLETED)
        if not trial.done():
            trial.cancel()
            await asyncio.wait([trial])
            return False
        return trial.result()

    async def _wait_for_work(self, stop: "asyncio.Task[bool]") -> None:
        woken = asyncio.create_task(self._woken.wait())
        await asyncio.wait([stop, woken], timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()

    async def _claim(self, most: int) -> list[_Job]:
        """Mails to send now; none when none is due, or none may be sent yet."""
        while True:
            async with self._database.quiet_transaction() as tx:
                claimed = await store.claim(
                    tx, self.owner, most=most, lease=CLAIM_LEASE, message_domain=self._message_domain
                )
                if not claimed:
                    return []
                if self._domain_rate:
                    claimed = await turns.take(tx, claimed, rate=self._domain_rate)
                about = await store.what_is_known(tx, [one.mail for one in claimed], self._sessions)
            if claimed:
                return [_Job(one, what) for one, what in zip(claimed, about, strict=True)]

    # ------------------------------------------------------------------------------------- one lane

    async def _work(self, jobs: "asyncio.Queue[_Job | None]") -> None:
        """Send one mail after the other; the outcome of one is written while the next is sent.

        So a kill leaves at most two mails of a lane ambiguous.
        """
        written: asyncio.Future[None] | None = None
        while (job := await jobs.get()) is not None:
            mine: _Job | None = job
            domain = _domain(job)
            match self._domains.enter(domain, job):
                case Entry.HELD:
                    continue
                case Later(seconds):
                    self._ends.put(_not_yet(job, "its domain is slow", timedelta(seconds=seconds)))
                    continue
            while mine is not None:
                if self._mailer.pause():
                    await self._give_back(mine)
                else:
                    settlement = await self._attempt(mine)
                    if written is not None:
                        await written
                    written = self._ends.put(settlement) if settlement is not None else None
                mine = self._domains.leave(domain)
        if written is not None:
            await written

    async def _attempt(self, job: _Job) -> Settlement | None:
        """Try one mail. None where nothing is to be written: somebody else has it, or its lease will tell."""
        mail = job.claimed.mail
        now = clock.now()
        try:
            match letters.look_again(mail, job.about.session, job.about.known, now, job.about.news):
                case letters.Superseded(why):
                    SUPERSEDED.labels(mail.template).inc()
                    return Settlement(job.claimed.claim, MailState.SUPERSEDED, None, why)
                case letters.Postponed(until):
                    return _not_yet(job, "its time has not come", until - now)
            if job.about.suppressed:
                return Settlement(job.claimed.claim, MailState.FAILED, None, RETURNED)
            outgoing = self._renderer.render(mail, job.about.session, job.about.others, job.about.news)
        except UnsendableAddress as error:
            return self._settlement(job, Outcome(Verdict.FAILED, None, str(error)))
        except Exception:
            # A fault of ours in one letter: the others go on, and it is tried again once it is mended.
            RENDER_FAILURES.labels(mail.template).inc()
            log.exception("The mail %s (%s) cannot be written", mail.mail_id, mail.template)
            return self._settlement(job, Outcome(Verdict.RETRY, None, "the letter could not be written"))
        outcome = await self._send(job.claimed.claim, outgoing)
        return self._settlement(job, outcome) if outcome is not None else None

    async def _send(self, claim: Claim, outgoing: Outgoing) -> Outcome | None:
        async def begin() -> bool:
            return claim in await self._marks.put(claim)

        try:
            return await self._mailer.send(outgoing, begin)
        except Exception as error:
            if not is_temporary(error):
                raise
            # The mark may or may not be stored; nothing was sent. When the lease runs out, it is told apart.
            log.warning("The mark of mail %s cannot be stored (%s)", claim.mail_id, type(error).__name__)
            return None

    def _settlement(self, job: _Job, outcome: Outcome) -> Settlement | None:
        OUTCOMES.labels(outcome.verdict).inc()
        claimed = job.claimed
        match outcome.verdict:
            case Verdict.NOT_OURS:
                return None
            case Verdict.RETRY:
                delay = retry_delay(claimed.attempts, outcome.code)
                if delay > claimed.patience:
                    answer = f"given up after {claimed.attempts} attempts: {outcome.answer}"
                    return Settlement(claimed.claim, MailState.FAILED, outcome.code, answer)
                return Settlement(
                    claimed.claim,
                    MailState.RETRY,
                    outcome.code,
                    outcome.answer,
                    delay * random.uniform(0.9, 1.1),  # noqa: S311 jitter
                )
            case verdict:
                return Settlement(claimed.claim, MailState(verdict.value), outcome.code, outcome.answer)

    # ------------------------------------------------------------------------------------- writing down

    async def _write_marks(self, claims: Sequence[Claim]) -> set[Claim]:
        async with self._database.quiet_transaction() as tx:
            return await store.start_data(tx, self.owner, claims, lease=DATA_LEASE)

    async def _write_ends(self, settlements: Sequence[Settlement]) -> None:
        """Write outcomes, however long the database is away: only this process knows them."""
        failures = 0
        while True:
            try:
                async with self._database.transaction() as tx:
                    await store.settle(tx, self.owner, settlements)
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

    async def _give_back(self, job: _Job) -> None:
        with contextlib.suppress(Exception):  # its lease gives it back as well
            async with self._database.quiet_transaction() as tx:
                await store.release(tx, self.owner, [job.claimed.claim])

    # ------------------------------------------------------------------------------------- stopping

    async def _stop(self, jobs: "asyncio.Queue[_Job | None]", lanes: Sequence["asyncio.Task[None]"]) -> None:
        self._domains.let_go()
        while not jobs.empty():
            jobs.get_nowait()  # given back below, with all else that was not begun
        for _ in lanes:
            jobs.put_nowait(None)
        done, pending = await asyncio.wait(lanes, timeout=self._stop_seconds)
        for lane in pending:
            lane.cancel()
        if pending:
            await asyncio.wait(pending)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(self._marks.flush(), self._ends.flush()), 5)
        try:
            async with self._database.quiet_transaction() as tx:
                # In this order: what is left of the claims goes back, what had begun is nobody's to send.
                await store.release(tx, self.owner)
                await store.expire_leases(tx, self.owner)
        except Exception as error:
            if not is_temporary(error):
                raise
            log.warning("Claims stay until their leases run out (%s)", type(error).__name__)
        await self._mailer.close()
        for lane in done:
            lane.result()  # a lane that died takes the process with it
