"""Whose clocks a delegation goes by."""

PARIS = "Europe/Paris"
_OVERSEAS = {
    "guadeloupe": "America/Guadeloupe",
    "martinique": "America/Martinique",
    "guyane": "America/Cayenne",
    "la-reunion": "Indian/Reunion",
    "mayotte": "Indian/Mayotte",
}


def zone_of(delegation: str) -> str:
    """The time zone of a delegation's own sessions."""
    return _OVERSEAS.get(delegation, PARIS)
