"""The security log: log-ins, refusals, and acts on rights, keys and people's data.

All services write the same form (docs/logs.md). A line has no name, address, agent id or secret.
"""

import itertools
import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

from prometheus_client import Counter

OPERATOR = "operator"
"""The machine knows the person, this system does not."""
LOGGER = "parcours.security"
"""Lines of this logger ignore ``LOG_LEVEL`` (:mod:`shared.observability`)."""

log = logging.getLogger(LOGGER)

COUNTED = Counter(
    "parcours_security_events_total", "What the security log tells of, and limits met.", ["event", "outcome"]
)


class SecurityEvent(StrEnum):
    LOG_IN = "log_in"
    LOG_OUT = "log_out"
    TOKEN = "token"  # noqa: S105 the name of an event, no secret
    SIGNATURE = "signature"
    LINK = "link"
    RIGHT = "right"
    LIMIT = "limit"
    EXPORT = "export"
    ERASURE = "erasure"
    CORRECTION = "correction"
    KEYS = "keys"


class SecurityOutcome(StrEnum):
    """``FAILED`` is our fault."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


for _event, _outcome in itertools.product(SecurityEvent, SecurityOutcome):
    COUNTED.labels(_event, _outcome)  # starts at 0, so that an alert sees the first failure


def record(
    event: SecurityEvent,
    outcome: SecurityOutcome,
    *,
    who: str = "",
    where: str = "",
    address: str = "",
    times: int = 1,
) -> None:
    """``who`` is a role, a token's id, ``portal:<name>`` or ``operator``, never a name.

    ``where`` is a route, topic, command or file. ``address`` is the keyed digest of a network
    (:meth:`shared.guard.Guard.address`). ``times`` counts events at once.
    """
    COUNTED.labels(event, outcome).inc(times)
    fields = {"event": event.value, "outcome": outcome.value, "who": who, "where": where, "address": address}
    rest = " ".join(f"{name}={value}" for name, value in fields.items() if value and name not in _FIRST)
    log.info("%s %s %s times=%d", event, outcome, rest, times, extra={**fields, "times": times})


_FIRST = ("event", "outcome")

request_state: ContextVar[MutableMapping[str, Any] | None] = ContextVar("request_state", default=None)


def is_anothers() -> None:
    """The request asks for another owner's data, which is answered with 404.

    The line is written with the answer, when route and actor are known.
    """
    state = request_state.get()
    if state is not None:
        state["is_anothers"] = True
