"""What is typed into the forms, checked as contracts have it."""

from pydantic import TypeAdapter, ValidationError

from services.notifier.service.mails import Searched
from shared.events.vocabulary import AgentId, Email, IssuerName

_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
_AGENT: TypeAdapter[str] = TypeAdapter(AgentId)
_SEARCHED: TypeAdapter[str] = TypeAdapter(Searched)
_ISSUER: TypeAdapter[str] = TypeAdapter(IssuerName)


def is_address(text: str) -> bool:
    """Whether this is an address that mails can be sent to."""
    return _is_valid(_EMAIL, text)


def is_agent_id(text: str) -> bool:
    """Whether an agent can have this identifier."""
    return _is_valid(_AGENT, text)


def is_searched_by(text: str) -> bool:
    """Whether mails can be looked for by this."""
    return _is_valid(_SEARCHED, text)


def is_issuer(text: str) -> bool:
    """Whether an issuer of identifiers can have this name."""
    return _is_valid(_ISSUER, text)


def _is_valid(field: TypeAdapter[str], text: str) -> bool:
    try:
        field.validate_python(text)
    except ValidationError:
        return False
    return True
