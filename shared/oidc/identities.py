from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.events.fields import is_address
from shared.oidc.settings import Claims


class ProviderAway(Exception):
    """The issuer does not answer, or its answer breaks the protocol."""


class LogInRejected(Exception):
    """An answer in the issuer's name is refused. The message has no personal data."""


@dataclass(frozen=True, slots=True)
class IssuerTokens:
    """What the issuer gave for a log-in. Only sealed tokens are stored (:mod:`shared.oidc.sealing`)."""

    subject: str
    id_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)


class RenewalUnfinished(ProviderAway):
    """The issuer gave new tokens and then did not answer. The old refresh token may be used up."""

    def __init__(self, why: str, tokens: IssuerTokens) -> None:
        super().__init__(why)
        self.tokens = tokens


class NoRole(StrEnum):
    """Why a person of the issuer has no role here."""

    NO_RULE = "no_role"
    NO_SIRET = "no_siret"
    OTHER_SIRET = "other_siret"
    NO_ADDRESS = "no_address"
    UNVERIFIED_ADDRESS = "unverified_address"


@dataclass(frozen=True, slots=True)
class Identity:
    """``name`` is shown to people; ``subject`` identifies the person and never changes.

    ``session`` is the issuer's name of the log-in there. The issuer checked the person at ``proved_at``, with
    a second factor or without. What the issuer does not say is None or False.
    """

    subject: str
    name: str
    claims: Claims = field(repr=False)
    tokens: IssuerTokens = field(repr=False)
    session: str | None = None
    proved_at: datetime | None = None
    has_second_factor: bool = False

    @property
    def address(self) -> "str | NoRole":
        """Return the address, or why it does not count: the issuer names none, or says it is not verified.

        ProConnect leaves ``email_verified`` out.
        """
        address = self.claims.get("email")
        if not isinstance(address, str) or not is_address(address):
            return NoRole.NO_ADDRESS
        return address if self.claims.get("email_verified", True) is True else NoRole.UNVERIFIED_ADDRESS


@dataclass(frozen=True, slots=True)
class EndedAtIssuer:
    """The issuer ended the log-ins of a session there, of a person, or of a session of a person."""

    subject: str | None
    session: str | None
    token_id: str
    expires_at: datetime


class Attempt(Protocol):
    """A log-in in progress. The issuer's answer must match it."""

    nonce: str
    verifier: str
