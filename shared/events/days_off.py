"""Weekends and public holidays, by department: Alsace-Moselle and overseas keep days of their own."""

import functools
import re
from collections.abc import Mapping
from datetime import date

import holidays

from shared.events.vocabulary import Delegation

_SATURDAY = 5
_OVERSEAS: Mapping[str, str] = {
    Delegation.GUADELOUPE: "971",
    Delegation.MARTINIQUE: "972",
    Delegation.GUYANE: "973",
    Delegation.LA_REUNION: "974",
    Delegation.MAYOTTE: "976",
}
_POSTAL_CODE = re.compile(r"\b(97\d(?=\d\d\b)|\d\d(?=\d{3}\b))")
_ALSACE = "6AE"
_KEEPING_OWN_DAYS: Mapping[str, str] = {
    "57": "57",
    **dict.fromkeys(("67", "68"), _ALSACE),
    **{department: department for department in _OVERSEAS.values()},
}


def department_of(organiser: str, venue: str = "") -> str | None:
    """Return the department of an overseas delegation, else that of the venue's postal code, or None."""
    code = _POSTAL_CODE.search(venue)
    return _OVERSEAS.get(organiser) or (code and code[1])


def is_day_off(day: date, department: str | None) -> bool:
    """Without a department only the national holidays count."""
    return day.weekday() >= _SATURDAY or holiday(day, department) is not None


def holiday(day: date, department: str | None) -> str | None:
    """Return the French name of the public holiday, or None."""
    return _public_holidays(_KEEPING_OWN_DAYS.get(department or "")).get(day)


@functools.cache
def _public_holidays(subdivision: str | None) -> holidays.HolidayBase:
    return holidays.country_holidays("FR", subdiv=subdivision, language="fr")
