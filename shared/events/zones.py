"""Time zones of delegations, and any zone by its IANA name."""

from zoneinfo import ZoneInfo

PARIS = "Europe/Paris"
_OVERSEAS = {
    "guadeloupe": "America/Guadeloupe",
    "martinique": "America/Martinique",
    "guyane": "America/Cayenne",
    "la-reunion": "Indian/Reunion",
    "mayotte": "Indian/Mayotte",
}


def zone_of(delegation: str) -> str:
    """Return the time zone of a delegation's own sessions."""
    return _OVERSEAS.get(delegation, PARIS)


def zone_named(name: str) -> ZoneInfo | None:
    """Return None for an unknown IANA name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no zone, no name, or too long for the name of a file
        return None
