import contextlib
import hashlib
import hmac
import secrets
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator
from sqlalchemy.engine import URL

from shared.database import async_url
from shared.messaging.broker import KafkaSettings
from shared.messaging.portals.registry import PortalSettings
from shared.oidc.settings import LOOPBACK, OidcSettings
from shared.published_secrets import is_published
from shared.rates import Rate, Rates
from shared.secret_files import FileSettings
from shared.tracing import TracingSettings
from shared.web.security_settings import SecuritySettings

UNPROTECTED = frozenset(("kafka", "database", "mails"))


def _are_everybody(believed: str) -> bool:
    """Return whether these networks cover all of IPv4 or IPv6."""
    v4: list[IPv4Network] = []
    v6: list[IPv6Network] = []
    for name in map(str.strip, believed.split(",")):
        if name == "*":
            return True
        with contextlib.suppress(ValueError):  # a host, or a socket
            network = ip_network(name, strict=False)
            if isinstance(network, IPv4Network):
                v4.append(network)
            else:
                v6.append(network)
    whole = [network.prefixlen == 0 for network in collapse_addresses(v4)]
    return any(whole + [network.prefixlen == 0 for network in collapse_addresses(v6)])


def _names(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))


class ServiceSettings(
    FileSettings, KafkaSettings, OidcSettings, PortalSettings, SecuritySettings, TracingSettings
):
    http_host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    forwarded_allow_ips: str = Field(
        default="127.0.0.1", description="Proxies whose X-Forwarded-For is believed: addresses, networks."
    )
    log_format: Literal["json", "console"] = Field(
        default="console", description="Lines of the log for programs, or for people."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="What is of less weight is not logged."
    )
    api_tokens_file: Path | None = Field(default=None, description="JSON list of hashed bearer tokens.")
    refused_rate: str = Field(
        default="100/10 minutes",
        description="Wrong tokens, log-ins and links that a network may send; then 429.",
    )
    log_in_rate: str = Field(default="600/hour", description="How often one token logs in.")
    link_rate: str = Field(default="60/10 minutes", description="How often one link of a letter opens.")
    read_rate: str = Field(
        default="3000/minute",
        description="How often a network reads what is public, in each process; a town hall is one network.",
    )
    dead_letters_kept_days: int = Field(
        default=30, ge=8, description="Days that a record waits for an operator; then it is given up."
    )
    unprotected_accepted: str = Field(
        default="",
        description="What may be sent unprotected outside a trial: kafka, database, mails, with commas.",
    )
    stalled_seconds: float = Field(
        default=120, gt=0, description="A consumer that has records but makes no progress ends the process."
    )

    parcours_commit: str = Field(
        default="", description="The commit that the process was built from; the image names its own."
    )

    @property
    def database_url(self) -> str:
        raise NotImplementedError

    @property
    def port(self) -> int:
        raise NotImplementedError

    @property
    def operations_port(self) -> int | None:
        """None: health and metrics are on the service's port."""
        raise NotImplementedError

    @property
    def rates(self) -> Rates:
        return Rates(
            refused=Rate.parse(self.refused_rate),
            log_in=Rate.parse(self.log_in_rate),
            link=Rate.parse(self.link_rate),
            read=Rate.parse(self.read_rate),
        )

    @property
    def unprotected(self) -> dict[str, str]:
        """Return connections that others may read or forge: a sentence and the setting that protects it."""
        found = {}
        brokers = {urlsplit(f"//{server}").hostname for server in self.servers}
        if self.kafka_security_protocol == "PLAINTEXT" and not brokers <= set(LOOPBACK):
            found["kafka"] = "Kafka, by KAFKA_SECURITY_PROTOCOL=PLAINTEXT"
        if not self._database_is_here and self._url.query.get("ssl") not in ("verify-ca", "verify-full"):
            found["database"] = "the database, whose URL has no ?sslmode=verify-full"
        return found

    @property
    def _url(self) -> URL:
        return async_url(self.database_url)

    @property
    def _database_is_here(self) -> bool:
        named = self._url.query.get("host", ())  # a socket's folder, or several servers of which one is used
        hosts = [*([named] if isinstance(named, str) else named), *filter(None, [self._url.host])]
        return all(host in LOOPBACK or host.startswith("/") for host in hosts)

    @cached_property
    def digest_key(self) -> bytes:
        """All services need the same key. Without a secret it is random, and each process counts alone."""
        intake = self.intake_key
        links = "".join(getattr(self, "link_keys", [])[-1:]).encode()
        return hmac.digest(intake or links or secrets.token_bytes(32), b"digests", hashlib.sha256)

    @property
    def address_key(self) -> bytes:
        """A new secret gives new digests: suppressed addresses are then tried again."""
        links = "".join(getattr(self, "link_keys", [])[:1]).encode()
        return hmac.digest(links or self.intake_key or b"", b"addresses", hashlib.sha256)

    @field_validator("*", mode="after")
    @classmethod
    def _rates(cls, value: object, info: ValidationInfo) -> object:
        if str(info.field_name).endswith("_rate") and isinstance(value, str):
            Rate.parse(value)
        return value

    @model_validator(mode="after")
    def _nothing_is_sent_in_clear(self) -> Self:
        if self.kafka_security_protocol == "SASL_PLAINTEXT" and not self.parcours_trial:
            raise ValueError(
                "KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT sends personal data, and a PLAIN password, for all "
                "on the network to read; use SASL_SSL (only a trial, PARCOURS_TRIAL=1, may do without)"
            )
        return self

    @field_validator("unprotected_accepted")
    @classmethod
    def _names_what_is_accepted(cls, value: str) -> str:
        if not _names(value) <= UNPROTECTED:
            raise ValueError(f"has a word that is none of {', '.join(sorted(UNPROTECTED))}")
        return value

    @model_validator(mode="after")
    def _believes_proxies_alone(self) -> Self:
        if not self.parcours_trial and _are_everybody(self.forwarded_allow_ips):
            raise ValueError(
                "FORWARDED_ALLOW_IPS believes everybody, who could then pass for any visitor: "
                "name the proxies (only a trial, PARCOURS_TRIAL=1, may do without)"
            )
        return self

    @model_validator(mode="after")
    def _has_its_own_secrets(self) -> Self:
        if self.parcours_trial:
            return self
        keys = {
            "INTAKE_SIGNING_KEY": self.intake_secrets,
            "LINK_SIGNING_KEY": getattr(self, "link_keys", []),
            "The password of the database": [] if self._database_is_here else [str(self._url.password)],
        }
        for name, given in keys.items():
            if any(map(is_published, given)):
                raise ValueError(
                    f"{name} stands in this project for all to read: only for trials (PARCOURS_TRIAL=1)"
                )
        return self

    @model_validator(mode="after")
    def _nothing_else_is_unprotected(self) -> Self:
        accepted = UNPROTECTED if self.parcours_trial else _names(self.unprotected_accepted)
        for name, what in self.unprotected.items():
            if name not in accepted:
                raise ValueError(
                    f"others on the network may read, or answer, what is sent to {what}. "
                    f"Where that network is yours alone, accept it by UNPROTECTED_ACCEPTED={name}"
                )
        return self

    @field_validator("*", mode="after")
    @classmethod
    def _database_urls(cls, value: object, info: object) -> object:
        if str(getattr(info, "field_name", "")).endswith("_database_url") and isinstance(value, str):
            async_url(value)
        return value
