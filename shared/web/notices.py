"""Pages that ask nothing: they say what happened, or why something cannot be.

What each says stands in templates: ``errors.html`` here, ``notices.html`` of a service.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from starlette.requests import Request

from shared import clock
from shared.web.links import Expired, Forged, Links, Purpose


@dataclass(frozen=True, slots=True)
class Notice:
    """A page without a question: its status, its title, what happened, and what to do next."""

    status: int
    title: str
    lead: str
    next: str = ""


class Error(StrEnum):
    """What any page may have to say."""

    FORGED = "forged"
    UNAVAILABLE = "unavailable"


class Closed(Exception):
    """There is nothing to ask: the notice of this name says what is so; ``values`` are for its template."""

    def __init__(self, name: StrEnum, **values: Any) -> None:
        super().__init__(name)
        self.name = name
        self.values = values


def read_link(
    request: Request, links: Links | None, purpose: Purpose, *, expired: StrEnum
) -> tuple[UUID, int]:
    """What the signed link of a request is about, and the version that it names; 0 where it names none.

    Without ``links`` (no signing key) every link is one we do not know. Raises `Closed`.
    """
    if links is None:
        raise Closed(Error.FORGED)
    try:
        about, *version = links.read(purpose, request.path_params["token"], clock.now())
        return UUID(about), int(version[0]) if version else 0
    except Expired as error:
        raise Closed(expired) from error
    except (Forged, ValueError) as error:  # the latter: signed by us, for something else
        raise Closed(Error.FORGED) from error
