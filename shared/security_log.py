"""The security log: who was let in or refused, and what touched rights, keys and people's data.

One form for all services (docs/logs.md). A line has no name, no address, no id of an agent and no
secret: whoever acts is a role, a token or a portal; whoever visits is the keyed digest of a network.
"""

import itertools
import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

from prometheus_client import Counter

OPERATOR = "operator"
"""Who runs a command: the machine knows them, this system does not."""
LOGGER = "parcours.security"
"""Its lines are written whatever ``LOG_LEVEL`` says (:mod:`shared.observability`)."""

log = logging.getLogger(LOGGER)

COUNTED = Counter(
    "parcours_security_events_total", "What the security log tells of, and limits met.", ["event", "outcome"]
)


class SecurityEvent(StrEnum):
    """What happened."""

    LOG_IN = "log_in"
    LOG_OUT = "log_out"
    TOKEN = "token"  # noqa: S105 no secret: the name of an event
    SIGNATURE = "signature"
    LINK = "link"
    RIGHT = "right"
    LIMIT = "limit"
    EXPORT = "export"
    ERASURE = "erasure"
    CORRECTION = "correction"
    KEYS = "keys"


class SecurityOutcome(StrEnum):
    """How it ended: done, refused to whoever asked for it, or failed by a fault of ours."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


for _event, _outcome in itertools.product(SecurityEvent, SecurityOutcome):
    COUNTED.labels(_event, _outcome)  # at 0 from now on, or nobody would see the first one


def record(
    event: SecurityEvent,
    outcome: SecurityOutcome,
    *,
    who: str = "",
    where: str = "",
    address: str = "",
    times: int = 1,
) -> None:
    """Write a line and count it.

    ``who`` is a role, a token's id, ``portal:<name>`` or ``operator``, never a person's name; ``where`` a
    route, a topic, a command or a file, without what it was about; ``address`` the keyed digest of a network
    (:meth:`shared.guard.Guard.address`); ``times`` how often it happened at once.
    """
    COUNTED.labels(event, outcome).inc(times)
    fields = {"event": event.value, "outcome": outcome.value, "who": who, "where": where, "address": address}
    rest = " ".join(f"{name}={value}" for name, value in fields.items() if value and name not in _FIRST)
    log.info("%s %s %s times=%d", event, outcome, rest, times, extra={**fields, "times": times})


_FIRST = ("event", "outcome")

request_state: ContextVar[MutableMapping[str, Any] | None] = ContextVar("request_state", default=None)
"""The state of the request that is answered, where it came by HTTP."""


def is_anothers() -> None:
    """Note that what a request asks for is another's, which is answered as what does not exist (404).

    The line is written with the answer, where the route and who asks are known.
    """
    state = request_state.get()
    if state is not None:
        state["is_anothers"] = True
