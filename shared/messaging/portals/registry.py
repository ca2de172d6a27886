"""The registry of portals: ``PORTALS_FILE``, read again when it changes.

After a mistake the last valid registry stays; a log line and a metric report it. Only a start without a valid
registry fails.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from prometheus_client import Gauge
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings
from stdnum.fr import siret

from shared.events.topics import answers_topic
from shared.events.vocabulary import Agent, Delegation, Email, Limits, PortalName, SendingPortal, Siret
from shared.failures import OperatorError
from shared.messaging.portals.signatures import key_of
from shared.published_secrets import is_published, is_published_digest
from shared.reloaded import ReloadedFile

log = logging.getLogger(__name__)

FILE_IS_VALID = Gauge(
    "parcours_portals_file_valid", "0 while PORTALS_FILE has a mistake and the old is used."
)

INTAKE_KEY_ID = "intake"
"""The id of the key by which our services sign requests that came by HTTP."""
OWN_ISSUER = "cnfpt"
"""The issuer of agents whom organisers enrol by hand. No portal acts for these agents."""
SOURCES = "/portals/"
OWN_SOURCES = "/services/"
TRIAL_PORTAL = "essai"
_BAD_FORM = "has not the form that is asked for (docs/operations.md)"

_WEB_ADDRESS = r"^https?://[A-Za-z0-9.:\[\]-]+(/[!$-~]*)?$"
KeyId = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=100)]


def _checked(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


class PortalSettings(BaseSettings):
    """The path of the registry, from the environment."""

    portals_file: Path | None = Field(default=None, description="JSON list of the portals; read again.")
    parcours_trial: bool = Field(default=False, description="1: a trial, where what is unsafe is allowed.")
    intake_signing_key: SecretStr | None = Field(
        default=None,
        description="whsec_…: signs what portals send by HTTP; the same for all services. Of several, "
        "comma-separated, the last signs and all are accepted.",
    )

    @field_validator("intake_signing_key")
    @classmethod
    def _signs(cls, secret: SecretStr | None) -> SecretStr | None:
        for written in _several(secret):
            key_of(written)
        return secret

    @property
    def intake_secrets(self) -> list[str]:
        return _several(self.intake_signing_key)

    @property
    def intake_keys(self) -> list[bytes]:
        return [key_of(written) for written in self.intake_secrets]

    @property
    def intake_key(self) -> bytes | None:
        return next(reversed(self.intake_keys), None)


def _several(secret: SecretStr | None) -> list[str]:
    return [] if secret is None else [written.strip() for written in secret.get_secret_value().split(",")]


class UnreadablePortals(OperatorError):
    """``PORTALS_FILE`` cannot be used. The message has no secrets."""


class _FileEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Key(_FileEntry):
    """A portal's signing key. ``not_after`` is compared with the time of receipt."""

    id: KeyId
    secret: SecretStr
    not_after: AwareDatetime | None = None

    @field_validator("id")
    @classmethod
    def _is_not_ours(cls, key_id: str) -> str:
        if key_id == INTAKE_KEY_ID:
            raise ValueError(f"{INTAKE_KEY_ID!r} is reserved for what comes in by HTTP")
        return key_id

    @field_validator("secret")
    @classmethod
    def _is_a_secret(cls, secret: SecretStr) -> SecretStr:
        return _checked(secret)

    @cached_property
    def key(self) -> bytes:
        return key_of(self.secret.get_secret_value())


class Token(_FileEntry):
    """The SHA-256 of a token for HTTP, in hexadecimal."""

    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    not_after: AwareDatetime | None = None


class Webhook(_FileEntry):
    """Where the portal's answers are sent (Standard Webhooks). Each of the secrets signs them."""

    url: Annotated[str, StringConstraints(pattern=_WEB_ADDRESS, max_length=2000)]
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=3)]

    @field_validator("url")
    @classmethod
    def _can_be_looked_up(cls, url: str) -> str:
        place = urlsplit(url)
        if not place.hostname or place.port == 0:
            raise ValueError("has no host")
        place.hostname.encode("idna")  # as a connection would
        return url

    @field_validator("secrets")
    @classmethod
    def _are_secrets(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(_checked(secret) for secret in secrets)

    @cached_property
    def keys(self) -> tuple[bytes, ...]:
        return tuple(key_of(secret.get_secret_value()) for secret in self.secrets)


class Portal(_FileEntry):
    """A portal: its agents, its authentication, and how it reads answers.

    ``delegations`` and ``sirets``: null means all.
    """

    portal: PortalName
    issuer: PortalName = Field(description="Who gave the agents their ids; portals that share ids share it.")
    contact: Email
    authentication: Literal["signature", "none"] = "signature"
    keys: tuple[Key, ...] = ()
    tokens: tuple[Token, ...] = ()
    delegations: frozenset[Delegation] | None = None
    sirets: frozenset[Siret] | None = None
    answers: frozenset[Literal["kafka", "http"]] = frozenset({"http"})
    webhook: Webhook | None = None

    @field_validator("issuer")
    @classmethod
    def _is_not_the_organisers(cls, issuer: str) -> str:
        if issuer == OWN_ISSUER:
            raise ValueError(f"{OWN_ISSUER!r} is the issuer of whom organisers enrol by hand")
        return issuer

    @field_validator("sirets")
    @classmethod
    def _are_sirets(cls, sirets: frozenset[str] | None) -> frozenset[str] | None:
        if any(not siret.is_valid(number) for number in sirets or ()):
            raise ValueError("has a SIRET whose check digit does not fit")
        return sirets

    @model_validator(mode="after")
    def _has_each_key_once(self) -> Self:
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        return self

    @model_validator(mode="after")
    def _has_a_feed_for_its_webhook(self) -> Self:
        if self.webhook is not None and "http" not in self.answers:
            raise ValueError("a webhook reads the feed: it needs 'http' among the answers")
        return self

    def with_secrets(self) -> str:
        entry = self.model_dump(mode="json")
        if self.webhook is not None:
            entry["webhook"]["secrets"] = [secret.get_secret_value() for secret in self.webhook.secrets]
        for key, kept in zip(entry["keys"], self.keys, strict=True):
            key["secret"] = kept.secret.get_secret_value()
        for name in ("delegations", "sirets", "answers"):
            entry[name] = None if entry[name] is None else sorted(entry[name])
        return json.dumps(entry, indent=2)

    @property
    def source(self) -> str:
        return SOURCES + self.portal

    def key_of_id(self, key_id: str, moment: datetime) -> Key | None:
        return next((key for key in self.keys if key.id == key_id and _is_valid(key.not_after, moment)), None)

    @cached_property
    def sender(self) -> SendingPortal:
        return SendingPortal(self.portal, self.issuer, self.limits, unsigned=self.authentication == "none")

    @cached_property
    def answers_topic(self) -> str | None:
        """Return None if the portal reads answers by HTTP alone."""
        return answers_topic(self.portal) if "kafka" in self.answers else None

    @cached_property
    def limits(self) -> Limits:
        return Limits(self.delegations, self.sirets)


class Portals:
    """The portals in force."""

    def __init__(self, portals: Iterable[Portal]) -> None:
        """Raises ``ValueError`` if two portals have the same name or token."""
        self._portals = tuple(portals)
        self._by_source: dict[str, Portal] = {}
        self._by_digest: dict[str, tuple[Portal, Token]] = {}
        self._by_issuer: dict[str, list[Portal]] = {}
        for portal in self._portals:
            if self._by_source.setdefault(portal.source, portal) is not portal:
                raise ValueError(f"two portals have the name {portal.portal!r}")
            self._by_issuer.setdefault(portal.issuer, []).append(portal)
            for token in portal.tokens:
                if token.sha256 in self._by_digest:
                    raise ValueError(f"a token of {portal.portal!r} stands in the file twice")
                self._by_digest[token.sha256] = portal, token

    def __iter__(self) -> Iterator[Portal]:
        return iter(self._portals)

    def of_source(self, source: str) -> Portal | None:
        return self._by_source.get(source)

    def issuer_of(self, portal: str) -> str | None:
        found = self._by_source.get(SOURCES + portal)
        return None if found is None else found.issuer

    def sources_of_others(self, issuer: str) -> frozenset[str]:
        return frozenset(portal.source for portal in self._portals if portal.issuer != issuer)

    def of_agent(self, agent: Agent) -> Iterator[Portal]:
        for portal in self._by_issuer.get(agent.issuer, ()):
            if portal.limits.allow(agent.employer):
                yield portal

    def of_token(self, token: str, moment: datetime) -> Portal | None:
        """Return None if the token is unknown or no longer valid at that moment."""
        portal, found = self._by_digest.get(hashlib.sha256(token.encode()).hexdigest(), (None, None))
        return portal if found is not None and _is_valid(found.not_after, moment) else None


def _is_valid(not_after: datetime | None, moment: datetime) -> bool:
    return not_after is None or moment <= not_after


def read(path: Path | None, *, trial: bool) -> Portals:
    """Read the registry; a trial adds :data:`TRIAL_PORTAL`. Raises :class:`UnreadablePortals`."""
    try:
        portals = [] if path is None else _PORTALS.validate_json(path.read_bytes())
        unsigned = sorted(portal.portal for portal in portals if portal.authentication == "none")
        if unsigned and not trial:
            raise ValueError(
                f"{', '.join(unsigned)}: authentication 'none' lets anybody speak for the portal, "
                "and is only for trials (PARCOURS_TRIAL=1)"
            )
        plain = sorted(portal.portal for portal in portals if _has_plain_webhook(portal))
        if plain and not trial:
            raise ValueError(f"{', '.join(plain)}: a webhook has an https address (PARCOURS_TRIAL=1: any)")
        if not trial and (published := sorted(portal.portal for portal in portals if _is_published(portal))):
            raise ValueError(
                f"{', '.join(published)}: a key or token stands in this project for all to read, "
                "and is only for trials (PARCOURS_TRIAL=1)"
            )
        return Portals([*portals, _TRIAL] if trial else portals)
    except OSError as error:
        raise UnreadablePortals(f"PORTALS_FILE {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UnreadablePortals(f"PORTALS_FILE {path}: {first_mistake(error)}") from None
    except ValueError as error:
        raise UnreadablePortals(f"PORTALS_FILE {path}: {error}") from error


def _has_plain_webhook(portal: Portal) -> bool:
    return portal.webhook is not None and portal.webhook.url.startswith("http:")


def _is_published(portal: Portal) -> bool:
    secrets = [key.secret for key in portal.keys] + [*(portal.webhook.secrets if portal.webhook else ())]
    return any(is_published(secret.get_secret_value()) for secret in secrets) or any(
        is_published_digest(token.sha256) for token in portal.tokens
    )


def first_mistake(error: ValidationError) -> str:
    """Return the first mistake and its place, without the value."""
    mistake = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in mistake["loc"])
    what = _BAD_FORM if mistake["type"] == "string_pattern_mismatch" else mistake["msg"]
    return f"{where}: {what.removeprefix('Value error, ')}"


class PortalsFile:
    """The last valid registry of the file."""

    def __init__(self, path: Path | None, *, trial: bool) -> None:
        """Raises :class:`UnreadablePortals`."""
        self._file = ReloadedFile(
            path, lambda: read(path, trial=trial), mistakes=UnreadablePortals, is_valid=FILE_IS_VALID
        )
        for portal in self.portals:
            if portal.authentication == "none":
                log.warning(
                    "Anybody may speak for the portal %s: it has authentication 'none'", portal.portal
                )

    @property
    def portals(self) -> Portals:
        """A changed file is read again after a second at most."""
        return self._file.content

    def reload(self) -> None:
        self._file.reload()


_PORTALS = TypeAdapter(tuple[Portal, ...])
_TRIAL = Portal(
    portal=TRIAL_PORTAL,
    issuer=TRIAL_PORTAL,
    contact="essai@example.org",
    authentication="none",
    answers=frozenset({"kafka", "http"}),
)
