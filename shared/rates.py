"""How often something may be done, as settings say it."""

import re
from dataclasses import dataclass
from typing import Self

_RATE = re.compile(r"([1-9]\d{0,8})/(?:(\d{1,4}) ?)?(second|minute|hour|day)s?")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """``most`` acts within ``seconds`` from the first one on."""

    most: int
    seconds: int

    @classmethod
    def parse(cls, written: str) -> Self:
        """Parse ``600/minute`` or ``30/10 minutes``. Raises ``ValueError``."""
        found = _RATE.fullmatch(written.strip())
        if found is None or found[2] == "0":
            raise ValueError(f"{written!r} is not a rate such as 600/minute or 30/10 minutes")
        return cls(int(found[1]), int(found[2] or 1) * _SECONDS[found[3]])


@dataclass(frozen=True, slots=True)
class Rates:
    """``refused`` counts wrong tokens, log-ins and links of a network.

    ``log_in`` counts log-ins with a token, ``link`` uses of a link. ``read`` counts reads of public pages by
    a network, per process.
    """

    refused: Rate
    log_in: Rate
    link: Rate
    read: Rate
