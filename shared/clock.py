"""The only place that asks what time it is. Rules take the time as an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)
