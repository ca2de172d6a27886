from dataclasses import dataclass, field
from typing import Protocol

from shared.oidc.settings import Claims


class ProviderAway(Exception):
    """The issuer does not answer, or its answer breaks the protocol."""


class LogInRejected(Exception):
    """An answer in the issuer's name is refused. The message has no personal data."""


@dataclass(frozen=True, slots=True)
class Identity:
    """``name`` is shown to people; ``subject`` identifies the person and never changes."""

    subject: str
    name: str
    claims: Claims = field(repr=False)
    id_token: str = field(repr=False)


class Attempt(Protocol):
    """A log-in in progress. The issuer's answer must match it."""

    nonce: str
    verifier: str
