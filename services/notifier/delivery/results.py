import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import aiosmtplib
from prometheus_client import Counter, Histogram

from services.notifier.letters import Priority
from services.notifier.letters.bounces import RETURNED
from services.notifier.store.attempts import WrittenLetter
from services.notifier.store.claims import Claimed, Settlement
from services.notifier.tables import MailState
from shared import clock


class Verdict(StrEnum):
    SENT = "sent"
    RETRY = "retry"
    """The relay did not accept the mail, but may later."""
    FAILED = "failed"
    """The relay did not accept the mail and never will."""
    AMBIGUOUS = "ambiguous"
    """DATA had begun and no valid reply came: the relay may have the mail."""
    NOT_OURS = "not_ours"
    """Another process has the mail, or the address has changed. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class MailResult:
    """``reply`` is the relay's or our reason, without addresses.

    ``bad_address`` is the RFC 3463 code if the address itself is bad.
    """

    verdict: Verdict
    code: int | None
    reply: str
    bad_address: str | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each step. A short ``final`` makes duplicates (RFC 5321, 4.5.3.2.6)."""

    connect: float = 30
    command: float = 60
    data: float = 120
    final: float = 600
    idle: float = 30
    """A connection unused for longer is not trusted: a firewall may have dropped it."""


_OF_THE_CONNECTION = {530, 534, 535, 538}
"""Authentication is required or failed (RFC 4954, 6). The mail is not at fault."""


class RelayUnreachable(Exception):
    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


def check_connection(response: aiosmtplib.SMTPResponse) -> None:
    """Raise :class:`RelayUnreachable` if the relay refuses the connection instead of the mail."""
    if response.code in _OF_THE_CONNECTION:
        raise RelayUnreachable(reply_of(response), response.code)


def refusal(response: aiosmtplib.SMTPResponse) -> MailResult:
    """A code from 500 on is final (RFC 5321, 4.2.1). Others are tried again."""
    verdict = Verdict.FAILED if 500 <= response.code < 600 else Verdict.RETRY
    return MailResult(verdict, response.code, reply_of(response))


def reply_of(response: aiosmtplib.SMTPResponse) -> str:
    return _without_addresses(response.message)


def message_of(error: BaseException) -> str:
    """An error without a message gives the name of its class."""
    return _without_addresses(str(error)) or type(error).__name__


def _without_addresses(reply: str) -> str:
    """Relays like to quote the address."""
    shown = "".join(char if char.isprintable() else " " for char in reply)
    pieces = ["(address)" if "@" in piece[1:-1] else piece for piece in shown.split()]
    return " ".join(pieces).encode(errors="replace").decode()


# ------------------------------------------------------------------------------------- settlements

RETRY_FIRST: dict[int | None, timedelta] = {
    None: timedelta(seconds=30),  # no reply: meanwhile connections to the relay are tried without mails
    421: timedelta(minutes=1),  # closing, or too many at once
    450: timedelta(minutes=5),  # mailbox busy, or the host wants a second attempt (greylisting)
    451: timedelta(minutes=5),
    452: timedelta(minutes=15),  # mailbox or disk full: only people can change that
}
RETRY_MOST = timedelta(hours=4)

SESSION_STATE_MISSING = "given up: its session is not known as it was when this was called for"

OUTCOMES = Counter(
    "parcours_mails_total", "Mails taken from the queue, by what came of it.", ["template", "outcome"]
)
ANSWER_SECONDS = Histogram(
    "parcours_event_to_mail_seconds",
    "From when what called for an answer was received until its mail was sent, or failed for good.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400),
)


def retry_delay(attempts: int, code: int | None) -> timedelta:
    first = RETRY_FIRST.get(code, RETRY_FIRST[421])
    return min(first * int(2 ** min(attempts - 1, 20)), RETRY_MOST)


def settled(claimed: Claimed, result: MailResult, written: WrittenLetter | None = None) -> Settlement | None:
    """Return the result to store for an attempt, or None if another process has the mail.

    ``written`` is kept only if the relay has or may have the letter.
    """
    _count(claimed, result.verdict)
    match result.verdict:
        case Verdict.NOT_OURS:
            return None
        case Verdict.RETRY:
            delay = retry_delay(claimed.attempts, result.code)
            if delay > claimed.time_left:
                _observe_answer(claimed)
                reply = f"given up after {claimed.attempts} attempts: {result.reply}"
                return Settlement(claimed.claim, MailState.FAILED, result.code, reply)
            return Settlement(
                claimed.claim,
                MailState.RETRY,
                result.code,
                result.reply,
                delay * random.uniform(0.9, 1.1),  # noqa: S311 jitter
            )
        case verdict:
            if verdict is not Verdict.AMBIGUOUS:
                _observe_answer(claimed)
            return Settlement(
                claimed.claim,
                MailState(verdict.value),
                result.code,
                result.reply,
                bad_address=result.bad_address,
                written=written if verdict in (Verdict.SENT, Verdict.AMBIGUOUS) else None,
            )


def _count(claimed: Claimed, outcome: str) -> None:
    OUTCOMES.labels(claimed.mail.template, outcome).inc()


def _observe_answer(claimed: Claimed) -> None:
    """A letter sent again on purpose is not timed."""
    if claimed.priority is Priority.ANSWER and "cause_id" not in claimed.mail.details:
        ANSWER_SECONDS.observe((clock.now() - claimed.mail.called_for_at).total_seconds())


def superseded(claimed: Claimed, why: str) -> Settlement:
    _count(claimed, MailState.SUPERSEDED)
    return Settlement(claimed.claim, MailState.SUPERSEDED, None, why)


def suppressed(claimed: Claimed) -> Settlement:
    _count(claimed, "suppressed")
    return Settlement(claimed.claim, MailState.FAILED, None, RETURNED, suppressed=True)


def session_state_missing(claimed: Claimed) -> Settlement:
    _count(claimed, Verdict.FAILED)
    return Settlement(claimed.claim, MailState.FAILED, None, SESSION_STATE_MISSING)


def postponed(claimed: Claimed, why: str, delay: timedelta) -> Settlement:
    """Return the mail to the queue. This was no attempt."""
    return Settlement(claimed.claim, MailState.PENDING, None, why, delay)
