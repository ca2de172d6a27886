"""Pages without a form: they say what happened, or why something is not possible.

What each says stands in templates: ``errors.html`` here, ``notices.html`` of a service.
"""

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
    """A page without a form: its status, its title, what happened, and what to do next."""

    status: int
    title: str
    lead: str
    next: str = ""


class Error(StrEnum):
    """What any page may have to say."""

    FORGED = "forged"
    UNAVAILABLE = "unavailable"


class Closed(Exception):
    """The page has no form now: the notice of this name says why; ``values`` are for its template."""

    def __init__(self, name: StrEnum, **values: Any) -> None:
        super().__init__(name)
        self.name = name
        self.values = values


class OpenedLink(NamedTuple):
    """A link of ours that somebody opened: the id that it names, and until when it opens.

    Of one to an agent also the mark of the address, and the number (:meth:`Links.to_agent`); of one to a
    subscriber the mark; of one to a trainer the number is their session's id; else 0. ``back_until``: of a
    page to which another led.
    """

    subject: UUID
    until: datetime
    mark: int = 0
    number: int = 0
    back_until: int = 0


async def read_link(
    request: Request, guard: Guard, links: Links | None, purpose: Purpose, *, expired: StrEnum
) -> OpenedLink:
    """What the signed link of a request says.

    Without ``links`` (no signing key) no link is valid. Raises `Closed`, and `LimitMet` where it
    opens too often, or its sender sent too many wrong ones.
    """
    if links is None:
        raise Closed(Error.FORGED)
    token: str = request.path_params["token"]
    try:
        (subject, *numbers), until = links.read(purpose, token, clock.now())
        found = OpenedLink(UUID(subject), until, *map(int, numbers[:3]))
    except Expired as error:
        raise Closed(expired) from error
    except (Forged, ValueError) as error:  # the latter: signed by us, for something else
        await guard.refuse(request, SecurityEvent.LINK)
        raise Closed(Error.FORGED) from error
    # By what the link names: base64 lets marks be added to a token, and the signature still holds.
    await guard.take(request, "link", guard.rates.link, f"{purpose.name} {subject}")
    return found
