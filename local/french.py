import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date

PARIS = "Europe/Paris"


def local_time(text: str, timezone: str = PARIS) -> datetime:
    return datetime.fromisoformat(text).astimezone(ZoneInfo(timezone))


def day(moment: datetime) -> str:
    """Return ``mardi 22 décembre 2026``."""
    pattern = "EEEE '1er' MMMM y" if moment.day == 1 else "EEEE d MMMM y"
    return format_date(moment.date(), pattern, locale="fr")


def short_day(moment: datetime, pattern: str = "d MMM y") -> str:
    return format_date(moment.date(), pattern, locale="fr")


def hour(moment: datetime) -> str:
    return f"{moment.hour}\u00a0h" + (f"\u00a0{moment.minute:02}" if moment.minute else "")


def moment(text: str, timezone: str = PARIS) -> str:
    """Return ``mardi 22 décembre 2026 à 9 h 30``."""
    local = local_time(text, timezone)
    return f"{day(local)} à {hour(local)}"


def last_day(text: str, timezone: str = PARIS) -> str:
    """Return ``vendredi 11 décembre 2026 inclus`` for an exclusive midnight."""
    local = local_time(text, timezone)
    if (local.hour, local.minute) == (0, 0):
        return f"{day(local - timedelta(days=1))} inclus"
    return f"{day(local)} à {hour(local)}"


def clock(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo(PARIS)).strftime("%H:%M:%S")


def tile(session: Mapping[str, Any]) -> dict[str, str]:
    local = local_time(session["starts_at"], session["timezone"])
    return {
        "weekday": short_day(local, "EEE"),
        "day": str(local.day),
        "month": short_day(local, "MMM y"),
        "iso": local.date().isoformat(),
    }


def period(session: Mapping[str, Any]) -> str:
    zone = session["timezone"]
    first, last = (local_time(session[name], zone) for name in ("starts_at", "ends_at"))
    if first.date() == last.date():
        return f"{day(first)}, de {hour(first)} à {hour(last)}"
    return f"du {day(first)} au {last_day(session['ends_at'], zone).removesuffix(' inclus')}"


def took(length: timedelta) -> str:
    """Return ``83 ms``, ``2,4 s`` or ``3 min``."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}\u00a0ms"
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s".replace(".", ",")
    minutes = int(seconds // 60)
    return f"{minutes}\u00a0min" if minutes < 60 else f"{minutes // 60}\u00a0h\u00a0{minutes % 60:02}"


def pretty(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)
