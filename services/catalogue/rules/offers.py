"""Offers: what their sessions have in common, and the ids of what is loaded with them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid5

from pydantic import Field

from services.catalogue.rules.sessions import EVERYONE
from shared.events.catalogue import Audience
from shared.events.vocabulary import ApprovalPolicy, ContractModel, Format, Timezone, WaitingList

NAMESPACE = UUID("5b0f2c56-7f0e-5b6e-8f51-0c1d5a7f2a43")
"""Ids of what is loaded are derived from it and the entry's key, so that a second load finds the first."""
NEVER = datetime.min.replace(tzinfo=UTC)
"""When something was stored that never was."""


class Source(StrEnum):
    """Where an offer, a session or a resource of the offer's files comes from."""

    COMMUNIQUE = "communique"
    ILLUSTRATIVE = "illustrative"


class Terms(ContractModel):
    """What the sessions of an offer have unless they say otherwise.

    The formats' rules of DOMAIN are data, here: none of them is decided in code.
    """

    timezone: Timezone = "Europe/Paris"
    closes_days_before: int = Field(default=0, ge=0, description="Days from enrolment's end to the start.")
    capacity: int | None = Field(default=None, ge=0)
    minimum: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Of a session with fewer seats: all its seats."
    )
    waiting_list: WaitingList = WaitingList.NONE
    offer_hold_hours: int = Field(default=48, ge=1)
    approval: ApprovalPolicy = ApprovalPolicy.NONE
    audience: Audience = EVERYONE
    quota_per_authority: int | None = Field(default=None, ge=1, le=1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An offer, without its sessions. ``choices`` names what of it the announcement does not state.

    ``changed_at`` is when it was stored, which makes no difference between two offers.
    """

    offer_id: str
    format: Format
    title: str
    summary: str
    themes: tuple[str, ...]
    terms: Terms
    source: str
    choices: tuple[str, ...]
    changed_at: datetime = field(default=NEVER, compare=False)


def loaded_session_id(offer_id: str, key: str) -> UUID:
    """The id of a session of the offer's files."""
    return uuid5(NAMESPACE, f"session/{offer_id}/{key}")


def loaded_resource_id(key: str) -> UUID:
    """The id of a resource of the offer's files."""
    return uuid5(NAMESPACE, f"resource/{key}")
