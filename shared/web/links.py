"""Signed links: what a letter lets its reader do, without a login.

The notifier writes them, the service that owns the page reads them. A link names things by their ids and
never a person; whoever holds it may do the one thing that it is for, until it expires; one to an agent, as
long as that is the agent's address to which it was written. Opening one changes nothing: mail scanners open
links.
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
"""The path of the page that sends this link anew, to an address that is known; the notifier's."""
NEWS = "/courriels/abonnement"
"""The path of the page where anybody subscribes to news; the notifier's."""
ORGANISING = "/inscriptions/gestion"
"""Where organisers work with enrolments."""
ARRIVAL = f"{ORGANISING}/arrivee"
"""The path of the page that notes somebody's arrival, before the id of the enrolment; for organisers."""
MAIL_LOG = "/courriels/suivi"
"""The path of the pages of support; the notifier's."""
DELEGATION_FIGURES = "/courriels/chiffres"
"""The path of the figures that organisers see; the notifier's."""
OPERATIONS = {
    "catalogue": "/exploitation",
    "enrolment": "/inscriptions/exploitation",
    "notifier": "/courriels/exploitation",
}
"""The path of the pages of operators, of each service."""
ENROLMENTS_FOR = timedelta(days=180)
"""How long a letter's link to all of its reader's enrolments opens them [choice]."""
CONFIRM_ADDRESS_FOR = timedelta(days=1)
"""How long a new address can be confirmed, from when it was given."""

_SESSIONS_MOVE = timedelta(days=365)
"""How much later a session may end than it was to: a link written before still opens."""


class Purpose(StrEnum):
    """What a link is for; the value is the path of its page, before the token. A link serves one only."""

    WITHDRAW = "/inscriptions/desistement"
    OFFER = "/inscriptions/offre"
    MOVE = "/inscriptions/changement"
    CERTIFICATE = "/inscriptions/attestation"
    ENROLMENTS = "/inscriptions/mes-inscriptions"
    CALENDAR = "/inscriptions/agenda"
    ADDRESS = "/inscriptions/adresse"
    CONFIRM_ADDRESS = "/inscriptions/nouvelle-adresse"
    ROSTER = "/inscriptions/liste"
    PREFERENCES = "/courriels/preferences"
    SUBSCRIPTIONS = "/courriels/abonnements"
    CONFIRM = "/courriels/confirmation"
    UNSUBSCRIBE = "/courriels/desabonnement"
    DIGEST = "/courriels/resume"

    @property
    def owner(self) -> str:
        """The service whose page it is."""
        return "enrolment" if self.value.startswith("/inscriptions/") else "notifier"


class Forged(Exception):
    """Not a link of ours, or not one for this purpose."""


class Expired(Exception):
    """A link of ours whose time is over."""


class LinkContent(NamedTuple):
    """What a link says: the ids of what it is about, and until when it opens."""

    ids: tuple[str, ...]
    until: datetime


class LinkSettings(BaseSettings):
    """Where the public pages are, and the secret that links are signed with. Part of a service's settings."""

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
        """Where the public finds the pages of a service, without a slash at the end."""
        own: str | None = getattr(self, f"{service}_public_url")
        return (own or self.public_base_url).rstrip("/")

    @property
    def link_keys(self) -> list[str]:
        """The secrets, none of them empty."""
        return _keys(self.link_signing_key)

    @property
    def links(self) -> "Links | None":
        """What signs and reads links, or None without a key."""
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
    """Signs and reads. ``keys``: the last signs, all are accepted. ``bases``: where each page is."""

    def __init__(self, keys: list[str], bases: dict[Purpose, str]) -> None:
        sha256 = {"digest_method": hashlib.sha256}  # itsdangerous signs by SHA-1 by default
        self._serializers = {
            purpose: URLSafeSerializer(keys, salt=purpose.name, signer_kwargs=sha256) for purpose in Purpose
        }
        self._bases = bases
        self._keys = keys

    def url(self, purpose: Purpose, *ids: str, until: datetime) -> str:
        """The address of a page about these ids (never a name or an address), open before ``until``."""
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
    ) -> str:
        """The address of a page about an enrolment, for who reads mails to the agent's address of ``mark``.

        ``number`` is what else the page has to know; ``back_until``: until when it leads back to all
        enrolments of the agent, in seconds since 1970; 0: it does not.
        """
        ids = [str(enrolment_id), str(mark), str(number)]
        if back_until:
            ids.append(str(back_until))
        return self.url(purpose, *ids, until=until)

    def arrival(self, enrolment_id: UUID) -> str:
        """The address in the code that is shown at the door. Who opens it has to log in."""
        return f"{self._bases[Purpose.ENROLMENTS]}{ARRIVAL}/{enrolment_id}"

    def to_trainer(self, trainer_id: UUID, session_id: UUID, ends_at: datetime) -> str:
        """The address of who has a seat in a session, in the letter to a trainer of it.

        Their id is of one address, so it needs no mark. Until when it opens, the page says: sessions move.
        """
        until = ends_at + _SESSIONS_MOVE
        return self.url(Purpose.ROSTER, str(trainer_id), "0", str(session_id.int), until=until)

    def confirm_address(self, request_id: str, address: str, until: datetime) -> str:
        """The address of the page that confirms a new address, in a letter to it."""
        return self.url(Purpose.CONFIRM_ADDRESS, request_id, str(self.mark(address)), until=until)

    def preferences(self, subscriber: str, address: str, until: datetime) -> str:
        """The address of what a subscriber follows, in a letter to this address."""
        return self.url(Purpose.PREFERENCES, subscriber, str(self.mark(address)), until=until)

    def end_digest(self, digest_id: UUID, address: str, until: datetime) -> str:
        """The address of the page that ends the digest of a delegation, in that digest to this address."""
        return self.url(Purpose.DIGEST, str(digest_id), str(self.mark(address)), until=until)

    def mark(self, address: str) -> int:
        """What a link says of the address that it is written to: it tells nobody the address."""
        return _mark(self._keys[-1], address)

    def is_mark_of(self, mark: int, address: str) -> bool:
        """Whether a link with this mark was written to this address."""
        return any(_mark(key, address) == mark for key in self._keys)

    def token(self, purpose: Purpose, *ids: str, until: datetime) -> str:
        """The last part of :meth:`url`."""
        return str(self._serializers[purpose].dumps([int(until.timestamp()), *ids]))

    def read(self, purpose: Purpose, token: str, now: datetime) -> LinkContent:
        """What the link says. Raises :class:`Forged` or :class:`Expired`."""
        try:
            until, *ids = self._serializers[purpose].loads(token)
        except (BadSignature, ValueError, TypeError) as error:
            raise Forged from error
        if now.timestamp() >= until:
            raise Expired
        return LinkContent(tuple(ids), datetime.fromtimestamp(until, UTC))


def _mark(key: str, address: str) -> int:
    return int.from_bytes(hmac.digest(key.encode(), f"address\0{address.lower()}".encode(), "sha256")[:8])
