"""pydantic's errors as sentences without regular expressions and values."""

from typing import Any

_BAD_TEXT = "has control characters, line breaks, or not the form that the contract asks for"
_NO_UUID = "Input should be a valid UUID"


def sentence_of(fault: Any) -> str:
    """``fault`` is an item of ``ValidationError.errors()``."""
    if fault["type"] == "string_pattern_mismatch":
        return _BAD_TEXT
    if fault["type"] == "uuid_parsing":  # pydantic quotes a character of the value
        return _NO_UUID
    message: str = fault["msg"]
    return message.removeprefix("Value error, ")
