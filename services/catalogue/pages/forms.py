"""Forms of sessions: what they show of a plan, and what is asked when they come back.

Times are wall-clock times of the zone that the form names. What was not touched is not asked, so that a form
never rounds a date or rewrites the past.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.catalogue import rules
from services.catalogue.pages import complaints
from services.catalogue.rules import Plan
from services.catalogue.store.sessions import Presentation

_WALL_CLOCK = "%Y-%m-%dT%H:%M"
DATES = ("starts_at", "ends_at", "enrolment_opens_at", "enrolment_closes_at")
_WHOLE = ("capacity", "quota_per_authority", "offer_hold_hours")
_WORDS = (
    "offer_id",
    "organiser",
    "title",
    "timezone",
    "waiting_list",
    "approval",
    "venue",
    "join_url",
    "summary",
)
FIELDS = frozenset((*DATES, *_WHOLE, *_WORDS, "experts"))
_MAY_BE_EMPTY = frozenset(("capacity", "quota_per_authority", "venue", "join_url", "summary"))
"""Empty means none; an empty field of the others is left out."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form asks for, by field; and what of it cannot be read."""

    fields: dict[str, Any]
    wrong: dict[str, str]


def shown(plan: Plan, presentation: Presentation) -> dict[str, str]:
    """What a form shows of a session."""
    zone = ZoneInfo(plan.timezone)
    return {
        **{name: getattr(plan, name).astimezone(zone).strftime(_WALL_CLOCK) for name in DATES},
        **{name: _text(getattr(plan, name)) for name in _WHOLE},
        "title": plan.title,
        "timezone": plan.timezone,
        "waiting_list": plan.waiting_list.value,
        "approval": plan.approval.value,
        "venue": plan.venue or "",
        "join_url": plan.join_url or "",
        "summary": presentation.summary or "",
        "experts": "\n".join(presentation.experts),
    }


def read(form: Mapping[str, str], before: Mapping[str, str], *, timezone: str) -> Typed:
    """What a form asks that ``before`` does not say already.

    ``timezone`` is whose clocks its times are of, where the form does not say.
    """
    asked = {name: form[name].strip() for name in FIELDS if name in form}
    if "timezone" in asked and asked["timezone"] != before.get("timezone"):
        before = {
            name: text for name, text in before.items() if name not in DATES
        }  # they mean other instants
    typed = Typed({}, {})
    zone = asked.get("timezone") or timezone
    for name, text in asked.items():
        if text == before.get(name, "").strip():
            continue
        if not text and name not in _MAY_BE_EMPTY and name != "experts":
            if name in before:
                typed.wrong[name] = complaints.NEEDED
            continue
        try:
            typed.fields[name] = _value(name, text, zone)
        except (ValueError, KeyError, OSError):
            typed.wrong[name] = complaints.of_field(name)
    return typed


def _value(name: str, text: str, zone: str) -> Any:
    if name in DATES:
        return rules.instant(datetime.strptime(text[:16], _WALL_CLOCK), zone)  # noqa: DTZ007 a wall clock's
    if name in _WHOLE:
        return int(text) if text else None
    if name == "experts":
        return [line.strip() for line in text.splitlines() if line.strip()]
    return text or None


def moment(text: str, zone: str) -> datetime:
    """A date and time as a form has it. Raises ``ValueError``."""
    return rules.instant(datetime.strptime(text.strip()[:16], _WALL_CLOCK), zone)  # noqa: DTZ007 a wall clock's


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
