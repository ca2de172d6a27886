"""Whether what somebody typed, in a form or a command, is what contracts take."""

from pydantic import TypeAdapter, ValidationError

from shared.events.vocabulary import AgentId, Email, IssuerName

_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
_AGENT: TypeAdapter[str] = TypeAdapter(AgentId)
_ISSUER: TypeAdapter[str] = TypeAdapter(IssuerName)


def is_address(text: str) -> bool:
    """Whether this is an address that mails can be sent to."""
    return is_valid(_EMAIL, text)


def is_agent_id(text: str) -> bool:
    """Whether an agent can have this identifier."""
    return is_valid(_AGENT, text)


def is_issuer(text: str) -> bool:
    """Whether an issuer of identifiers can have this name."""
    return is_valid(_ISSUER, text)


def is_valid(field: TypeAdapter[str], text: str) -> bool:
    """Whether a field takes this text."""
    try:
        field.validate_python(text)
    except ValidationError:
        return False
    return True
