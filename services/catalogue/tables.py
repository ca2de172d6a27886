from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    UniqueConstraint,
    func,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlmodel import Field, SQLModel

from shared import limits, read_log
from shared.database import Timestamp, new_registry
from shared.messaging import tables as mechanisms
from shared.web import logins

_registry = new_registry()


class _Row(SQLModel, registry=_registry):
    pass


def _json() -> Any:
    return Field(sa_type=JSONB)


def _changed_at() -> Any:
    """A trigger sets the time, so that no statement can forget it."""
    return Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})


_R = TypeVar("_R", bound=type[SQLModel])


def _searchable(row: _R) -> _R:
    """A trigger fills the column; no program reads it."""
    table = inspect(row).local_table
    vector = Column("search_vector", TSVECTOR, server_default=text("''"), nullable=False)
    table.append_column(vector)
    Index(f"ix_{table.name}_search_vector", vector, postgresql_using="gin")
    return row


@_searchable
class OfferRow(_Row, table=True):
    __tablename__ = "offer"

    offer_id: str = Field(primary_key=True)
    format: str
    title: str
    summary: str
    themes: list[str] = _json()
    terms: dict[str, Any] = _json()
    source: str
    choices: list[str] = _json()
    loaded: dict[str, Any] | None = Field(sa_type=JSONB)
    changed_at: datetime = _changed_at()
    withdrawn_at: datetime | None = Field(default=None, sa_type=Timestamp)


class ThemeRow(_Row, table=True):
    __tablename__ = "theme"

    theme: str = Field(primary_key=True)
    title: str


@_searchable
class SessionRow(_Row, table=True):
    """Phase and enrolment are never stored.

    ``loaded`` is the plan and presentation as the files last gave them, so that a load undoes no later
    change. ``search_vector`` also has the words of the offer.
    """

    __tablename__ = "session"
    __table_args__ = (
        CheckConstraint("capacity >= 0", name="capacity_not_negative"),
        CheckConstraint("minimum > 0", name="minimum_positive"),
        CheckConstraint("quota_per_authority > 0", name="quota_positive"),
        CheckConstraint("starts_at < ends_at", name="starts_before_end"),
        CheckConstraint("enrolment_opens_at < enrolment_closes_at", name="opens_before_close"),
        CheckConstraint("status IN ('draft', 'published', 'cancelled')", name="known_status"),
        Index("ix_session_starts_at", "starts_at", "session_id"),
        Index("ix_session_organiser", "organiser", "starts_at", "session_id"),
        Index("ix_session_format", "format", "starts_at", "session_id"),
        Index("ix_session_offer_id", "offer_id", "starts_at", "session_id"),
        Index("ix_session_length", text("(ends_at - starts_at)")),
        Index(
            "ix_session_reference",
            "organiser",
            "reference",
            unique=True,
            postgresql_where=text("reference IS NOT NULL"),
        ),
        Index(
            "ix_session_next_announcement_at",
            "next_announcement_at",
            postgresql_where=text("next_announcement_at IS NOT NULL"),
        ),
    )

    session_id: UUID = Field(primary_key=True)
    offer_id: str = Field(foreign_key="offer.offer_id")
    format: str
    organiser: str
    reference: str | None
    version: int
    status: str
    cancellation_reason: str | None = None
    announced: int
    next_announcement_at: datetime | None = Field(sa_type=Timestamp)
    title: str
    enrolment_opens_at: datetime = Field(sa_type=Timestamp)
    enrolment_closes_at: datetime = Field(sa_type=Timestamp)
    starts_at: datetime = Field(sa_type=Timestamp)
    ends_at: datetime = Field(sa_type=Timestamp)
    timezone: str
    modules: list[Any] = _json()
    capacity: int | None
    minimum: int | None
    waiting_list: str
    offer_hold_hours: int
    approval: str
    audience: dict[str, Any] = _json()
    reserved_seats: list[Any] = _json()
    quota_per_authority: int | None
    joining_days_before: int = Field(sa_column_kwargs={"server_default": "15"})
    reminder_days_before: int = Field(sa_column_kwargs={"server_default": "7"})
    last_reminder_days_before: int = Field(sa_column_kwargs={"server_default": "1"})
    venue: str | None
    directions: str | None
    join_url: str | None
    questions: list[Any] = _json()
    prerequisite: dict[str, Any] | None = Field(sa_type=JSONB)
    evaluation_url: str | None
    summary: str | None
    experts: list[str] = _json()
    source: str | None
    choices: list[str] = _json()
    loaded: dict[str, Any] | None = Field(sa_type=JSONB)
    changed_at: datetime = _changed_at()


class SessionTemplateRow(_Row, table=True):
    __tablename__ = "session_template"
    __table_args__ = (UniqueConstraint("organiser", "name"),)

    session_id: UUID = Field(primary_key=True, foreign_key="session.session_id", ondelete="CASCADE")
    organiser: str
    name: str


class TrainerRow(_Row, table=True):
    __tablename__ = "trainer"
    __table_args__ = (
        Index("ix_trainer_session_id", "session_id"),
        Index("ix_trainer_email", func.lower(text("email")), postgresql_where=text("email IS NOT NULL")),
    )

    trainer_id: UUID = Field(primary_key=True)
    session_id: UUID = Field(foreign_key="session.session_id", ondelete="CASCADE")
    place: int
    name: str
    email: str | None


class OccupancyRow(_Row, table=True):
    __tablename__ = "occupancy"

    session_id: UUID = Field(primary_key=True)
    version: int = Field(sa_type=BigInteger)
    capacity: int | None
    enrolled: int
    waiting: int
    offered: int
    changed_at: datetime = _changed_at()


@_searchable
class ResourceRow(_Row, table=True):
    __tablename__ = "resource"
    __table_args__ = (
        Index("ix_resource_published_at", text("published_at DESC"), "resource_id"),
        Index("ix_resource_session_id", "session_id", postgresql_where=text("session_id IS NOT NULL")),
        Index("ix_resource_url", "url", postgresql_using="hash"),
    )

    resource_id: UUID = Field(primary_key=True)
    version: int
    kind: str
    title: str
    summary: str | None
    url: str
    themes: list[str] = _json()
    published_at: datetime = Field(sa_type=Timestamp)
    organiser: str | None
    session_id: UUID | None
    source: str | None
    withdrawn_at: datetime | None = Field(default=None, sa_type=Timestamp)
    changed_at: datetime = _changed_at()


class BespokeRequestRow(_Row, table=True):
    __tablename__ = "bespoke_request"
    __table_args__ = (
        CheckConstraint(
            "state IN ('received', 'qualified', 'proposed', 'agreed', 'declined')", name="known_state"
        ),
        CheckConstraint("(state = 'agreed') = (session_id IS NOT NULL)", name="agreed_with_a_session"),
        UniqueConstraint("request_id", "source"),
        Index("ix_bespoke_request_delegation", "delegation", text("received_at DESC"), "bespoke_id"),
        Index("ix_bespoke_request_received_at", text("received_at DESC"), "bespoke_id"),
        Index(
            "ix_bespoke_request_last_moved_at",
            text("coalesce(answered_at, received_at)"),
            postgresql_where=text("requester_email IS NOT NULL"),
        ),
    )

    bespoke_id: UUID = Field(primary_key=True)
    request_id: UUID
    source: str
    portal: str | None
    siret: str
    authority: str
    delegation: str
    theme: str
    trainees: int
    wished_from: datetime | None = Field(sa_type=Timestamp)
    wished_until: datetime | None = Field(sa_type=Timestamp)
    received_at: datetime = Field(sa_type=Timestamp)
    requester_name: str | None
    requester_email: str | None
    message: str | None
    version: int
    state: str
    answered_at: datetime | None = Field(sa_type=Timestamp)
    advisor_name: str | None
    advisor_email: str | None
    answer: str | None
    messages: dict[str, str] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    session_id: UUID | None = Field(foreign_key="session.session_id")


class AuditLogRow(_Row, table=True):
    """It names a member of the staff or a command, never an agent.

    The database changes no line, and deletes none within half a year.
    """

    __tablename__ = "audit_log"

    id: int | None = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})
    actor: str
    action: str
    subject: UUID = Field(index=True)
    version: int
    changes: dict[str, Any] = _json()


mechanisms.add_to(_registry.metadata)
logins.add_to(_registry.metadata)
limits.add_to(_registry.metadata)
read_log.add_to(_registry.metadata)

metadata = _registry.metadata
