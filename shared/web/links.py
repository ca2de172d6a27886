"""Signed links: what a letter lets its reader do without a log-in.

A link contains ids, never a name. Its holder may do the one thing that the link is for, until it expires. A
link to an agent works while the agent has the letter's address. Mail scanners open links, so opening one
changes nothing.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

SHORTEST_KEY = 32

LOST_LINK = "/courriels/mes-inscriptions"
NEWS = "/courriels/abonnement"
ORGANISING = "/inscriptions/gestion"
ARRIVAL = f"{ORGANISING}/arrivee"
"""The page that records an arrival at a session. The enrolment's id follows in the address."""
MAIL_LOG = "/courriels/suivi"
DELEGATION_FIGURES = "/courriels/chiffres"
OPERATIONS = {
    "catalogue": "/exploitation",
    "enrolment": "/inscriptions/exploitation",
    "notifier": "/courriels/exploitation",
}
ENROLMENTS_FOR = timedelta(days=180)
A_LOG_IN_OPENS_FOR = timedelta(hours=1)
"""A link that a log-in of an agent leads to. The issuer knows the person when it ends."""
CONFIRM_LOG_IN_FOR = timedelta(days=1)
CONFIRM_ADDRESS_FOR = timedelta(days=1)
CONFIRM_CORRECTION_FOR = timedelta(days=1)
"""For so long after a correction, links to the new address change nothing [choice]."""

_SESSIONS_MOVE = timedelta(days=365)
"""A link stays valid this much longer than its session, because the session may be postponed."""


class Purpose(StrEnum):
    """The value is the path of the link's page."""

    WITHDRAW = "/inscriptions/desistement"
    OFFER = "/inscriptions/offre"
    MOVE = "/inscriptions/changement"
    CERTIFICATE = "/inscriptions/attestation"
    ENROLMENTS = "/inscriptions/mes-inscriptions"
    CALENDAR = "/inscriptions/agenda"
    ADDRESS = "/inscriptions/adresse"
    CONFIRM_ADDRESS = "/inscriptions/nouvelle-adresse"
    CONFIRM_CORRECTION = "/inscriptions/adresse-corrigee"
    ROSTER = "/inscriptions/liste"
    LIST = "/inscriptions/designation"
    PREFERENCES = "/courriels/preferences"
    SUBSCRIPTIONS = "/courriels/abonnements"
    CONFIRM = "/courriels/confirmation"
    UNSUBSCRIBE = "/courriels/desabonnement"
    DIGEST = "/courriels/resume"
    CONFIRM_LOG_IN = "/courriels/connexion"

    @property
    def owner(self) -> str:
        return "enrolment" if self.value.startswith("/inscriptions/") else "notifier"


class Forged(Exception):
    pass


class Expired(Exception):
    pass


class LinkContent(NamedTuple):
    ids: tuple[str, ...]
    until: datetime


class LinkSettings(BaseSettings):
    public_base_url: str = Field(
        default="http://localhost:8001",
        description="Where the public reaches the services, when one address leads to all of them by path.",
    )
    catalogue_public_url: str | None = Field(default=None, description="The catalogue's own, where it has.")
    enrolment_public_url: str | None = Field(default=None, description="The enrolment's own, where it has.")
    notifier_public_url: str | None = Field(default=None, description="The notifier's own, where it has.")
    link_signing_key: str = Field(
        default="",
        repr=False,
        description="Signs links; of several, comma-separated, the last signs and all are accepted.",
    )

    def public_url(self, service: str) -> str:
        own: str | None = getattr(self, f"{service}_public_url")
        return (own or self.public_base_url).rstrip("/")

    @property
    def link_keys(self) -> list[str]:
        return _keys(self.link_signing_key)

    @property
    def links(self) -> "Links | None":
        if not self.link_keys:
            return None
        return Links(self.link_keys, {purpose: self.public_url(purpose.owner) for purpose in Purpose})

    @field_validator("link_signing_key")
    @classmethod
    def _hard_to_guess(cls, value: str) -> str:
        if any(len(key) < SHORTEST_KEY for key in _keys(value)):
            raise ValueError(f"a key has at least {SHORTEST_KEY} characters: whoever guesses it signs for us")
        return value


def _keys(value: str) -> list[str]:
    return [key.strip() for key in value.split(",") if key.strip()]


class Links:
    """The last of ``keys`` signs; all are accepted. ``bases`` are the sites' addresses."""

    def __init__(self, keys: list[str], bases: dict[Purpose, str]) -> None:
        sha256 = {"digest_method": hashlib.sha256}  # the default of itsdangerous is SHA-1
        self._serializers = {
            purpose: URLSafeSerializer(keys, salt=purpose.name, signer_kwargs=sha256) for purpose in Purpose
        }
        self._bases = bases
        self._keys = keys

    def url(self, purpose: Purpose, *ids: str, until: datetime) -> str:
        return f"{self._bases[purpose]}{purpose.value}/{self.token(purpose, *ids, until=until)}"

    def to_agent(
        self,
        purpose: Purpose,
        enrolment_id: UUID,
        mark: int,
        number: int = 0,
        *,
        until: datetime,
        back_until: int = 0,
        log_in: int = 0,
    ) -> str:
        """``mark`` is that of the letter's address.

        Until ``back_until`` (seconds since 1970), the page links to all enrolments of the agent; 0 means
        never. ``log_in`` is the id of the log-in that leads here; 0 means a letter.
        """
        ids = [str(enrolment_id), str(mark), str(number)]
        if log_in:
            ids += [str(back_until), str(log_in)]
        elif back_until:
            ids.append(str(back_until))
        return self.url(purpose, *ids, until=until)

    def arrival(self, enrolment_id: UUID) -> str:
        """The agent shows it as a QR code at the door. Its reader must log in."""
        return f"{self._bases[Purpose.ENROLMENTS]}{ARRIVAL}/{enrolment_id}"

    def to_trainer(self, trainer_id: UUID, session_id: UUID, ends_at: datetime) -> str:
        """A trainer's id belongs to one address, so the link needs no mark.

        The page decides when the link expires, because sessions are postponed.
        """
        until = ends_at + _SESSIONS_MOVE
        return self.url(Purpose.ROSTER, str(trainer_id), "0", str(session_id.int), until=until)

    def to_officer(self, session_id: UUID, siret: str, ends_at: datetime) -> str:
        """The link acts for the authority, in its private session. The page decides when it expires."""
        until = ends_at + _SESSIONS_MOVE
        return self.url(Purpose.LIST, str(session_id), "0", siret, until=until)

    def confirm_address(self, request_id: str, address: str, until: datetime) -> str:
        return self.url(Purpose.CONFIRM_ADDRESS, request_id, str(self.mark(address)), until=until)

    def confirm_correction(self, enrolment_id: UUID, former: str, new: str, until: datetime) -> str:
        """The link confirms the correction to ``new``, and no other."""
        mark, number = self.mark(former), self.mark(new)
        return self.to_agent(Purpose.CONFIRM_CORRECTION, enrolment_id, mark, number, until=until)

    def preferences(self, subscriber: str, address: str, until: datetime) -> str:
        return self.url(Purpose.PREFERENCES, subscriber, str(self.mark(address)), until=until)

    def end_digest(self, digest_id: UUID, address: str, until: datetime) -> str:
        return self.url(Purpose.DIGEST, str(digest_id), str(self.mark(address)), until=until)

    def mark(self, address: str) -> int:
        """Return a number that stands for the address and does not reveal it."""
        return _mark(self._keys[-1], address)

    def is_mark_of(self, mark: int, address: str) -> bool:
        return any(_mark(key, address) == mark for key in self._keys)

    def token(self, purpose: Purpose, *ids: str, until: datetime) -> str:
        return str(self._serializers[purpose].dumps([int(until.timestamp()), *ids]))

    def read(self, purpose: Purpose, token: str, now: datetime) -> LinkContent:
        """Raises :class:`Forged` or :class:`Expired`."""
        try:
            until, *ids = self._serializers[purpose].loads(token)
        except (BadSignature, ValueError, TypeError) as error:
            raise Forged from error
        if now.timestamp() >= until:
            raise Expired
        return LinkContent(tuple(ids), datetime.fromtimestamp(until, UTC))


def _mark(key: str, address: str) -> int:
    return int.from_bytes(hmac.digest(key.encode(), f"address\0{address.lower()}".encode(), "sha256")[:8])
