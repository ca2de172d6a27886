"""Dates and numbers as French writes them. Pure."""

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date

from local.portal.offer import Session

PARIS = "Europe/Paris"


def instant(text: str) -> datetime:
    """Return an instant of the contract: RFC 3339."""
    return datetime.fromisoformat(text)


def day(moment: datetime) -> str:
    """``mardi 22 décembre 2026``."""
    pattern = "EEEE '1er' MMMM y" if moment.day == 1 else "EEEE d MMMM y"
    return format_date(moment.date(), pattern, locale="fr")


def hour(moment: datetime) -> str:
    """``9 h 30``."""
    return f"{moment.hour}\u00a0h" + (f"\u00a0{moment.minute:02}" if moment.minute else "")


def moment(text: str, timezone: str = PARIS) -> str:
    """``mardi 22 décembre 2026 à 9 h 30``."""
    local = instant(text).astimezone(ZoneInfo(timezone))
    return f"{day(local)} à {hour(local)}"


def last_day(text: str, timezone: str = PARIS) -> str:
    """An exclusive end as people say it: ``vendredi 11 décembre 2026 inclus`` where it is a midnight."""
    local = instant(text).astimezone(ZoneInfo(timezone))
    if (local.hour, local.minute) == (0, 0):
        return f"{day(local - timedelta(days=1))} inclus"
    return f"{day(local)} à {hour(local)}"


def clock(moment: datetime) -> str:
    """``14:03:27``: when an event travelled, in Paris."""
    return moment.astimezone(ZoneInfo(PARIS)).strftime("%H:%M:%S")


def tile(session: Session) -> dict[str, str]:
    """Return the parts of the tile of a session's first day: weekday, day, month."""
    local = instant(session["starts_at"]).astimezone(ZoneInfo(session["timezone"]))
    return {
        "weekday": format_date(local.date(), "EEE", locale="fr"),
        "day": str(local.day),
        "month": format_date(local.date(), "MMM y", locale="fr"),
        "iso": local.date().isoformat(),
    }


def period(session: Session) -> str:
    """When a session takes place; its end is exclusive."""
    zone = ZoneInfo(session["timezone"])
    first, last = (instant(session[name]).astimezone(zone) for name in ("starts_at", "ends_at"))
    if first.date() == last.date():
        return f"{day(first)}, de {hour(first)} à {hour(last)}"
    return f"du {day(first)} au {last_day(session['ends_at'], session['timezone']).removesuffix(' inclus')}"


def took(length: timedelta) -> str:
    """``83 ms``, ``2,4 s``, ``3 min``: how long an answer took."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}\u00a0ms"
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s".replace(".", ",")
    minutes = int(seconds // 60)
    return f"{minutes}\u00a0min" if minutes < 60 else f"{minutes // 60}\u00a0h\u00a0{minutes % 60:02}"


def pretty(data: dict[str, Any]) -> str:
    """An event's data as indented JSON."""
    return json.dumps(data, ensure_ascii=False, indent=2)
