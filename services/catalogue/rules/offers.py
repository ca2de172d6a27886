from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from pydantic import Field

from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.sessions import EVERYONE
from shared.events.catalogue import Audience
from shared.events.vocabulary import (
    ApprovalPolicy,
    ContractModel,
    Delegation,
    Format,
    Timezone,
    WaitingList,
)

NAMESPACE = UUID("5b0f2c56-7f0e-5b6e-8f51-0c1d5a7f2a43")
"""Ids of loaded things derive from it and their keys, so that a second load finds the first."""
NEVER = datetime.min.replace(tzinfo=UTC)


class Source(StrEnum):
    COMMUNIQUE = "communique"
    ILLUSTRATIVE = "illustrative"


MADE_HERE = "staff"
_DELEGATIONS = frozenset(code.value for code in Delegation)


LETTER_DAYS = ("joining_days_before", "reminder_days_before", "last_reminder_days_before")


class Terms(ContractModel):
    """The defaults of an offer's sessions.

    The rules of each format (docs/domain.md) are data here: no code decides them.
    """

    timezone: Timezone = "Europe/Paris"
    closes_days_before: int = Field(
        default=0, ge=0, description="Days between the end of enrolment and the start."
    )
    capacity: int | None = Field(default=None, ge=0)
    minimum: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="A session with fewer seats has this minimum lowered to its seats.",
    )
    waiting_list: WaitingList = WaitingList.NONE
    offer_hold_hours: int = Field(default=48, ge=1)
    approval: ApprovalPolicy = ApprovalPolicy.NONE
    audience: Audience = EVERYONE
    quota_per_authority: int | None = Field(default=None, ge=1, le=1_000_000)
    joining_days_before: int = Field(
        default=15, ge=1, le=365, description="Days between the joining instructions and the start."
    )
    reminder_days_before: int = Field(
        default=7, ge=1, le=365, description="Days between the first reminder and the start."
    )
    last_reminder_days_before: int = Field(
        default=1, ge=1, le=365, description="Days between the last reminder and the start."
    )

    @property
    def letter_days(self) -> dict[str, Any]:
        """Days before the start on which letters leave. The offer's sessions follow a change."""
        return {name: getattr(self, name) for name in LETTER_DAYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """``choices`` names the fields that the announcement does not state.

    ``loaded`` is the offer as its files last gave it, or None.
    """

    offer_id: str
    format: Format
    title: str
    summary: str
    themes: tuple[str, ...]
    terms: Terms
    source: str
    choices: tuple[str, ...]
    loaded: "Offer | None" = None
    changed_at: datetime = field(default=NEVER, compare=False)
    withdrawn_at: datetime | None = field(default=None, compare=False)


def impossible(offer: Offer, themes: Collection[str]) -> tuple[Violation, ...]:
    return tuple(_impossible(offer, themes))


def _impossible(offer: Offer, themes: Collection[str]) -> Iterator[Violation]:
    for number, theme in enumerate(offer.themes):
        if theme not in themes:
            yield Violation(None, f"themes.{number}", f"there is no theme {theme}")
    for number, code in enumerate(offer.terms.audience.delegations):
        if code not in _DELEGATIONS:
            path = f"terms.audience.delegations.{number}"
            yield Violation(RefusalCode.UNKNOWN_DELEGATION, path, f"{code!r} is not a delegation")


def fixed_format(before: Offer, after: Offer, *, has_sessions: bool) -> tuple[Violation, ...]:
    if before.format is after.format or not has_sessions:
        return ()
    detail = "the offer has sessions, and theirs never changes: make another offer"
    return (Violation(RefusalCode.FORMAT_FIXED, "format", detail),)


def withdrawal(offer: Offer, *, is_in_use: bool) -> tuple[Violation, ...]:
    if offer.withdrawn_at is not None:
        return (Violation(RefusalCode.OFFER_WITHDRAWN, None, "the offer is withdrawn already"),)
    if is_in_use:
        detail = (
            "it has a draft or a session that is not over, or one requires its certificate: end these first"
        )
        return (Violation(RefusalCode.OFFER_IN_USE, None, detail),)
    return ()


def loaded_session_id(offer_id: str, key: str) -> UUID:
    return uuid5(NAMESPACE, f"session/{offer_id}/{key}")


def loaded_resource_id(key: str) -> UUID:
    return uuid5(NAMESPACE, f"resource/{key}")
