"""Checks text from forms and commands by the contracts."""

from pydantic import TypeAdapter, ValidationError

from shared.events.vocabulary import AgentId, Email, IssuerName

_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
_AGENT: TypeAdapter[str] = TypeAdapter(AgentId)
_ISSUER: TypeAdapter[str] = TypeAdapter(IssuerName)


def is_address(text: str) -> bool:
    """Return whether the text is a mail address."""
    return is_valid(_EMAIL, text)


def is_agent_id(text: str) -> bool:
    """Return whether the text is a valid agent identifier."""
    return is_valid(_AGENT, text)


def is_issuer(text: str) -> bool:
    """Return whether the text is a valid issuer name."""
    return is_valid(_ISSUER, text)


def is_valid(field: TypeAdapter[str], text: str) -> bool:
    """Return whether the field accepts this text."""
    try:
        field.validate_python(text)
    except ValidationError:
        return False
    return True
