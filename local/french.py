from datetime import datetime, timedelta
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
