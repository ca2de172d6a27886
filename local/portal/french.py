import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from local.french import PARIS, day, hour, last_day, local_time, moment, short_day
from local.portal.offer import Session

__all__ = ["clock", "last_day", "moment", "period", "pretty", "tile", "took"]


def clock(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo(PARIS)).strftime("%H:%M:%S")


def tile(session: Session) -> dict[str, str]:
    local = local_time(session["starts_at"], session["timezone"])
    return {
        "weekday": short_day(local, "EEE"),
        "day": str(local.day),
        "month": short_day(local, "MMM y"),
        "iso": local.date().isoformat(),
    }


def period(session: Session) -> str:
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
