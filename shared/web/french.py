import functools
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, get_timezone_location

from shared.web.labels import ZONES

NBSP = "\u00a0"

_FRENCH = Locale("fr")


def zone(timezone: str) -> str:
    """Return ``heure de Paris``."""
    name = ZONES.get(timezone)
    if name is None:
        return f"heure locale ({get_timezone_location(timezone, locale=_FRENCH, return_city=True)})"
    return f"heure de {name}"


def own_zone(timezone: str) -> str:
    """Return ``, heure de La Réunion`` after a time, or "" for Paris."""
    return "" if timezone == "Europe/Paris" else f", {zone(timezone)}"


def day(moment: date, *, year: bool = True) -> str:
    """Return ``lundi 17 mars 2025``. The first of a month is ``1er``."""
    pattern = "EEEE '1er' MMMM" if moment.day == 1 else "EEEE d MMMM"
    return format_date(moment, f"{pattern} y" if year else pattern, locale=_FRENCH)


@functools.lru_cache(maxsize=10_000)
def tile(instant: datetime, timezone: str) -> tuple[str, str, str]:
    """Return ``17``, ``mars``, ``lun.``."""
    local = instant.astimezone(ZoneInfo(timezone)).date()
    month, weekday = (format_date(local, pattern, locale=_FRENCH) for pattern in ("MMM", "EEE"))
    return str(local.day), month, weekday


def day_and_month(instant: datetime, timezone: str) -> str:
    local = instant.astimezone(ZoneInfo(timezone)).date()
    return format_date(local, "'1er' MMMM" if local.day == 1 else "d MMMM", locale=_FRENCH)


def short_month(day: date) -> str:
    return format_date(day, "MMM", locale=_FRENCH)


def clock_time(moment: datetime) -> str:
    """Return ``9 h 30``, or ``9 h``."""
    hour = f"{moment.hour}{NBSP}h"
    return f"{hour}{NBSP}{moment.minute:02}" if moment.minute else hour


def clock_time_of(instant: datetime, timezone: str) -> str:
    return clock_time(instant.astimezone(ZoneInfo(timezone)))


def hours(length: timedelta) -> str:
    """Return a duration to the minute: ``3 h 30``, ``45 min``."""
    whole, minutes = divmod(int(length.total_seconds()) // 60, 60)
    if not whole:
        return f"{minutes}{NBSP}min"
    return f"{whole}{NBSP}h{NBSP}{minutes:02}" if minutes else f"{whole}{NBSP}h"


def age(seconds: float) -> str:
    """Return ``45 s``, from two minutes on like :func:`hours`."""
    return hours(timedelta(seconds=seconds)) if seconds >= 120 else f"{seconds:.0f}{NBSP}s"


@functools.lru_cache(maxsize=10_000)
def moment(instant: datetime, timezone: str) -> str:
    """Return ``lundi 17 mars 2025 à 9 h 30, heure de Paris``."""
    return f"{local_moment(instant, timezone)}, {zone(timezone)}"


def local_moment(instant: datetime, timezone: str) -> str:
    """Return ``lundi 17 mars 2025 à 9 h 30``."""
    local = instant.astimezone(ZoneInfo(timezone))
    return f"{day(local)} à {clock_time(local)}"


def beginning(instant: datetime, timezone: str, *, zoned: bool = True) -> str:
    """If it begins at midnight, return only the day."""
    local = instant.astimezone(ZoneInfo(timezone))
    if _is_midnight(local):
        return day(local)
    return moment(instant, timezone) if zoned else local_moment(instant, timezone)


@functools.lru_cache(maxsize=10_000)
def period(start: datetime, end: datetime, timezone: str, *, zoned: bool = True, year: bool = True) -> str:
    """``end`` is exclusive.

    Whole days are written as days: midnight of 17 March to midnight of 12 April is ``du lundi 17 mars 2025 au
    vendredi 11 avril 2025``.
    """
    first, last = start.astimezone(ZoneInfo(timezone)), end.astimezone(ZoneInfo(timezone))
    if _is_midnight(first) and _is_midnight(last) and last > first:
        last_day = day(last - timedelta(days=1), year=year)
        return last_day if last_day == day(first, year=year) else f"du {day(first, year=year)} au {last_day}"
    where = f", {zone(timezone)}" if zoned else ""
    begins, ends = day(first, year=year), day(last, year=year)
    if first.date() == last.date():
        return f"{begins} de {clock_time(first)} à {clock_time(last)}{where}"
    return f"du {begins} à {clock_time(first)} au {ends} à {clock_time(last)}{where}"


@functools.lru_cache(maxsize=10_000)
def short_period(start: datetime, end: datetime, timezone: str) -> str:
    """Return ``9 h 30 à 17 h`` or ``jusqu’au 11 avril 2025``, with the zone unless it is Paris."""
    first, last = start.astimezone(ZoneInfo(timezone)), end.astimezone(ZoneInfo(timezone))
    whole_days = _is_midnight(first) and _is_midnight(last)
    last_day = last - timedelta(days=1) if whole_days else last
    if last_day.date() != first.date():
        return f"jusqu’au {day(last_day)}"
    if whole_days:
        return "toute la journée"
    return f"{clock_time(first)} à {clock_time(last)}{own_zone(timezone)}"


@functools.lru_cache(maxsize=10_000)
def deadline(instant: datetime, timezone: str, *, zoned: bool = True) -> str:
    """Return the last day before ``instant``: ``vendredi 28 mars 2025 inclus``.

    An instant that is not midnight is written as :func:`moment`.
    """
    local = instant.astimezone(ZoneInfo(timezone))
    if _is_midnight(local):
        return f"{day(local - timedelta(days=1))} inclus"
    return moment(instant, timezone) if zoned else local_moment(instant, timezone)


@functools.lru_cache(maxsize=10_000)
def local_day(instant: datetime, timezone: str) -> str:
    return day(instant.astimezone(ZoneInfo(timezone)))


def month(first: date) -> str:
    """Return ``décembre 2026``."""
    return format_date(first, "MMMM y", locale=_FRENCH)


def days_until(deadline: datetime, now: datetime, timezone: str) -> str:
    """Return ``dans 6 jours``, ``demain`` or ``aujourd’hui`` for the last day before ``deadline``.

    Empty for the past and for more than two months ahead.
    """
    last, today = (moment.astimezone(ZoneInfo(timezone)) for moment in (deadline, now))
    last_day = (last - timedelta(days=1) if _is_midnight(last) else last).date()
    left = (last_day - today.date()).days
    if not 0 <= left <= _NEAR:
        return ""
    return ("aujourd’hui", "demain")[left] if left < 2 else f"dans {left}{NBSP}jours"


_NEAR = 60


def counted(number: int) -> str:
    """Return ``1 200``, with a narrow no-break space."""
    return f"{number:,}".replace(",", "\u202f")


def plural(number: int, word: str) -> str:
    """Return ``place``, and ``places`` from two on."""
    return f"{word}s" if number > 1 else word


def listed(items: Sequence[str]) -> str:
    """Return ``a, b et c``."""
    return " et ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def town(venue: str) -> str:
    """Return ``Rennes`` of ``Délégation Bretagne du CNFPT, 35000 Rennes``.

    If the last part is no name (``Rennes, 2 rue du Test``), return the first.
    """
    last, first = _POSTAL_CODE.sub("", venue.rpartition(",")[2].strip()), venue.partition(",")[0].strip()
    return last if last[:1].isupper() else first


def short_title(title: str, town: str) -> str:
    """Return ``IA et territoires`` of ``IA et territoires à Rennes : le CNFPT s’engage``."""
    return _SUBTITLE.sub("", title).removesuffix(f" à {town}")


_POSTAL_CODE = re.compile(r"^\d{5}\s+")
_SUBTITLE = re.compile(r"(?<=\w\w\w)\s+:\s.*$", re.DOTALL)


def typeset(text: str) -> str:
    """Allow no break before ``: ; ? !`` and inside « », so that no line begins with punctuation."""
    return BREAKS.sub(NBSP, text)


BREAKS = re.compile(r"(?<=\S) (?=[:;?!»](?![=\w]))|(?<=«) ")


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def spelt(number: int) -> str:
    """Return ``trois``, and ``11`` above ten."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


_NUMBERS = ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix")


def of(name: str) -> str:
    """Return ``de Brest``, ``d’Arles``, ``du Mans``, ``des Lilas`` or ``de La Rochelle``."""
    for article, contracted in (("Le ", "du "), ("Les ", "des ")):
        if name.startswith(article):
            return contracted + name.removeprefix(article)
    return f"d’{name}" if name[:1] in "AEIOUYÀÂÉÈÊÎÔŒ" else f"de {name}"


def ordinal(number: int) -> str:
    """Return ``1re``, ``2e``, for a place in line (feminine, as *place* is)."""
    return "1re" if number == 1 else f"{number}e"


def _is_midnight(local: datetime) -> bool:
    return (local.hour, local.minute, local.second) == (0, 0, 0)
