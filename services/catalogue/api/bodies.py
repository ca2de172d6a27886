from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.catalogue.rules.lifecycle import state_of
from services.catalogue.rules.offers import Offer, Terms
from services.catalogue.rules.resources import Resource
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.tables import AuditLogRow
from shared.events.catalogue import SessionState
from shared.events.vocabulary import (
    Format,
    Instant,
    Remark,
    Slug,
    Url,
)


class OccupancyBody(BaseModel, from_attributes=True):
    """How full a session is, as the enrolment service last reported."""

    capacity: int | None = Field(description="Null: unlimited.")
    enrolled: int
    waiting: int
    offered: int
    version: int


class TrainerBody(BaseModel):
    """A trainer of a session."""

    trainer_id: UUID
    name: str
    email: str | None = Field(default=None, description="Null, except for the organiser of the session.")


class SessionBody(SessionState):
    """A session: its state as other services know it, its occupancy, and its presentation."""

    occupancy: OccupancyBody | None = Field(description="Null: not known yet.")
    cancellation_reason: Remark | None = Field(
        default=None, description="The organiser's reason for the cancellation."
    )
    summary: str | None = None
    experts: tuple[str, ...] = ()
    trainers: tuple[TrainerBody, ...] = ()
    source: str | None = Field(
        default=None, description="communique or illustrative. Null: an organiser made the session."
    )
    choices: tuple[str, ...] = Field(default=(), description="Fields that the communiqué does not state.")
    reference: str | None = Field(
        default=None,
        description="The organiser's own reference. Null, except for the organiser of the session.",
    )
    join_url: Url | None = Field(default=None, description="Null, except for the organiser of the session.")
    evaluation_url: Url | None = Field(
        default=None, description="Null, except for the organiser of the session."
    )


class OfferBody(BaseModel):
    """An offer: the common part of its sessions."""

    offer_id: Slug
    format: Format
    title: str
    summary: str
    themes: tuple[str, ...]
    terms: Terms = Field(description="The defaults of the offer's sessions.")
    source: str = Field(description="communique, illustrative, or staff (made by an organiser).")
    choices: tuple[str, ...] = Field(description="Fields that the communiqué does not state.")


class ResourceBody(BaseModel):
    """A replay, a dossier or a community, open to everyone."""

    resource_id: UUID
    version: int
    kind: str = Field(description="replay, dossier or community.")
    title: str = Field(description="Empty after the withdrawal.")
    summary: str | None
    url: str
    themes: tuple[str, ...]
    published_at: Instant
    organiser: str | None
    session_id: UUID | None = Field(description="The session that was recorded.")
    source: str | None = Field(
        description="communique or illustrative. Null: an organiser published the resource."
    )
    withdrawn_at: Instant | None = Field(
        default=None,
        description="When the resource was withdrawn. Null: it is open.",
    )


class HistoryBody(BaseModel):
    """A change: who made it, when, and each field before and after."""

    at: Instant
    actor: str = Field(description="The name of a token or of a command.")
    action: str
    version: int = Field(description="The version after the change.")
    changes: dict[str, tuple[Any, Any]]


def history_body(entry: AuditLogRow) -> HistoryBody:
    return HistoryBody.model_validate(entry, from_attributes=True)


def session_body(listed: ListedSession, now: datetime) -> SessionBody:
    return SessionBody(
        **state_of(listed.session, now),
        **asdict(listed.session.presentation),
        trainers=tuple(TrainerBody(**asdict(trainer)) for trainer in listed.session.plan.trainers),
        reference=listed.session.reference,
        occupancy=OccupancyBody.model_validate(listed.occupancy) if listed.occupancy else None,
    )


def offer_body(offer: Offer) -> OfferBody:
    return OfferBody.model_validate(offer, from_attributes=True)


def resource_body(resource: Resource) -> ResourceBody:
    return ResourceBody.model_validate(resource, from_attributes=True)
