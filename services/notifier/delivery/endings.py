"""What an attempt came to, as it is written down. Pure but for the jitter and the counters."""

import random
from datetime import timedelta

from prometheus_client import Counter

from services.notifier.mailer import Outcome, Verdict
from services.notifier.store import Claimed, Settlement
from services.notifier.tables import MailState

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


def retry_delay(attempts: int, code: int | None) -> timedelta:
    """How long to wait after the ``attempts``-th attempt: by code, doubled each time, at most 4 hours."""
    first = RETRY_FIRST.get(code, RETRY_FIRST[421])
    return min(first * int(2 ** min(attempts - 1, 20)), RETRY_MOST)


def settled(claimed: Claimed, outcome: Outcome) -> Settlement | None:
    """How an attempt is written down. None where nothing is to be: somebody else has the mail."""
    OUTCOMES.labels(outcome.verdict).inc()
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
            return Settlement(
                claimed.claim,
                MailState(verdict.value),
                outcome.code,
                outcome.answer,
                bad_address=outcome.bad_address,
            )


def superseded(claimed: Claimed, why: str) -> Settlement:
    """Not sent, because it is not so any more."""
    SUPERSEDED.labels(claimed.mail.template).inc()
    return Settlement(claimed.claim, MailState.SUPERSEDED, None, why)


def suppressed(claimed: Claimed) -> Settlement:
    """Not sent, because mails to that address came back."""
    return Settlement(claimed.claim, MailState.FAILED, None, RETURNED, suppressed=True)


def not_yet(claimed: Claimed, why: str, delay: timedelta) -> Settlement:
    """Back into the queue, without having been an attempt."""
    return Settlement(claimed.claim, MailState.PENDING, None, why, delay)
