from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.catalogue.rules.offers import NEVER


class Kind(StrEnum):
    REPLAY = "replay"
    DOSSIER = "dossier"
    COMMUNITY = "community"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A withdrawal is final (``withdrawn_at``), and removes title and summary.

    ``source`` is None if an organiser published it.
    """

    resource_id: UUID
    kind: Kind
    title: str
    url: str
    published_at: datetime
    summary: str | None = None
    themes: tuple[str, ...] = ()
    organiser: str | None = None
    session_id: UUID | None = None
    source: str | None = None
    version: int = 1
    withdrawn_at: datetime | None = None
    changed_at: datetime = field(default=NEVER, compare=False)


CHANGEABLE = tuple(
    field.name
    for field in fields(Resource)
    if field.name not in ("resource_id", "version", "published_at", "withdrawn_at", "changed_at")
)
