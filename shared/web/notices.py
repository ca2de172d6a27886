"""Pages without a form. ``errors.html`` here and a service's ``notices.html`` have their texts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from starlette.requests import Request

from shared import clock
from shared.guard import Guard
from shared.security_log import SecurityEvent
from shared.web.links import Expired, Forged, Links, Purpose


@dataclass(frozen=True, slots=True)
class Notice:
    status: int
    title: str
    lead: str
    next: str = ""


class Error(StrEnum):
    FORGED = "forged"
    UNAVAILABLE = "unavailable"


class Closed(Exception):
    """The page has no form now. The notice of this name says why; ``values`` are for its template."""

    def __init__(self, name: StrEnum, **values: Any) -> None:
        super().__init__(name)
        self.name = name
        self.values = values


class OpenedLink(NamedTuple):
    """A signed link that was opened.

    A link to an agent has the mark of the address and a number (:meth:`Links.to_agent`). A link that
    confirms a correction has the new address's mark as its number. A link to a subscriber has the mark, a
    link to a trainer the session's id as its number. Otherwise both are 0.
    ``back_until`` belongs to a page that another page led to, ``log_in`` to one that a log-in led to.
    """

    subject: UUID
    until: datetime
    mark: int = 0
    number: int = 0
    back_until: int = 0
    log_in: int = 0


async def read_link(
    request: Request, guard: Guard, links: Links | None, purpose: Purpose, *, expired: StrEnum
) -> OpenedLink:
    """Without ``links`` (no signing key) no link is valid.

    Raises `Closed`, and `LimitMet` if it is opened too often or its sender sent too many wrong links.
    """
    if links is None:
        raise Closed(Error.FORGED)
    token: str = request.path_params["token"]
    try:
        (subject, *numbers), until = links.read(purpose, token, clock.now())
        found = OpenedLink(UUID(subject), until, *map(int, numbers[:4]))
    except Expired as error:
        raise Closed(expired) from error
    except (Forged, ValueError) as error:  # ValueError: we signed the link, but for another purpose
        await guard.refuse(request, SecurityEvent.LINK)
        raise Closed(Error.FORGED) from error
    # Count by what the link names: marks may be added to a base64 token, and its signature still holds.
    # Whoever reads a former address counts apart from whoever reads the present one.
    whose = f"{purpose.name} {subject} {found.mark} {found.number}"
    await guard.take(request, "link", guard.rates.link, whose)
    return found
