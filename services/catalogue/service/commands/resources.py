from dataclasses import replace
from typing import Annotated
from uuid import UUID

from pydantic import Field, field_validator

from services.catalogue.rules.resources import Resource
from services.catalogue.service.commands.command import ServiceCommand, not_null
from shared.events.catalogue import ResourceKind
from shared.events.vocabulary import Delegation, Line, Paragraph, Slug, Url, at_most


class _ResourceRequest(ServiceCommand):
    title: Line
    url: Url
    summary: Paragraph | None = None
    themes: Annotated[tuple[Slug, ...], at_most(20)] = Field(default=(), max_length=20)
    organiser: Delegation | None = Field(
        default=None, description="Only for organisers who act everywhere, and without a session."
    )


class ResourceChange(ServiceCommand):
    """A correction of a resource. Fields left out stay; only ``summary`` may be null (none)."""

    title: Line | None = None
    url: Url | None = None
    summary: Paragraph | None = None
    themes: Annotated[tuple[Slug, ...] | None, at_most(20)] = Field(default=None, max_length=20)

    @field_validator("title", "url", "themes", mode="before")
    @classmethod
    def _left_out_or_given(cls, value: object) -> object:
        return not_null(value)

    def apply_to(self, resource: Resource) -> Resource:
        return replace(resource, **{name: getattr(self, name) for name in self.model_fields_set})


class ReplayRequest(_ResourceRequest):
    """A recording to open to everyone, of a session of the catalogue or something else."""

    session_id: UUID | None = None


class ResourceRequest(_ResourceRequest):
    """A dossier documentaire or an e-communauté to open to everyone.

    ``organiser`` null makes it national, for a token that acts everywhere.
    """

    kind: ResourceKind
