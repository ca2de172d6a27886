"""What pydantic found wrong, in sentences that show no regular expression and no value."""

from typing import Any

_BAD_TEXT = "has control characters, line breaks, or not the form that the contract asks for"


def sentence_of(fault: Any) -> str:
    """Return what is wrong with one field. ``fault`` is an item of ``ValidationError.errors()``."""
    if fault["type"] == "string_pattern_mismatch":
        return _BAD_TEXT
    message: str = fault["msg"]
    return message.removeprefix("Value error, ")
