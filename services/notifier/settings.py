from dataclasses import dataclass
from email.utils import parseaddr
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from services.notifier.return_path import LONGEST_RETURN, ReturnPath
from shared.events.vocabulary import Email, Slug
from shared.oidc.settings import LOOPBACK
from shared.retention_settings import NotifierRetention, ReadLogRetention
from shared.settings import ServiceSettings
from shared.web.links import LinkSettings


class Tls(StrEnum):
    """Protection of the connection. It is never opportunistic."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    host: str
    port: int
    tls: Tls = Tls.NONE
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"SmtpServer({self.host}:{self.port}, {self.tls.value})"


@dataclass(frozen=True, slots=True)
class ImapServer:
    host: str
    port: int
    tls: Tls
    username: str
    password: str
    mailbox: str

    def __repr__(self) -> str:
        return f"ImapServer({self.host}:{self.port}, {self.tls.value})"


class DelegationContacts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    contact: Email | None = None
    organisers: tuple[Email, ...] = Field(default=(), max_length=20)
    digest: tuple[Email, ...] = Field(default=(), max_length=20)


class Settings(ServiceSettings, LinkSettings, ReadLogRetention, NotifierRetention):
    notifier_database_url: str = Field(description="postgresql://user:password@host:port/name")
    notifier_port: int = Field(default=8003, description="The port that the notifier listens on.")
    notifier_operations_port: int | None = Field(
        default=None, description="Health and metrics have this port; unset: that of all."
    )
    smtp_host: str = Field(
        min_length=1, description="The relay; also the name that its certificate must have."
    )
    smtp_port: int = Field(default=25, ge=1, le=65535, description="The port of the relay.")
    smtp_tls: Tls = Field(default=Tls.NONE, description="How the connection to the relay is protected.")
    smtp_username: str = Field(default="", description="Our name at the relay; empty: no log-in.")
    smtp_password: str = Field(default="", repr=False, description="Our password at the relay.")
    smtp_sender: str = Field(description="Who mails come from: Name <address>, or an address.")
    smtp_contact: str = Field(
        default="", description="Whom agents may write to; default: the sender's address."
    )
    delegation_contacts: dict[Slug, DelegationContacts] = Field(
        default={},
        description="By organiser, in JSON: contact, whom agents write to instead; organisers, who are "
        "written to when a session needs them; digest, who of them wants a summary each morning.",
    )
    bounce_address: str = Field(
        default="", description="The mailbox that mails come back to; it must accept address+detail."
    )
    bounce_imap_host: str = Field(default="", description="Where that mailbox is read; without: by a pipe.")
    bounce_imap_port: int = Field(default=993, ge=1, le=65535, description="The port of its server.")
    bounce_imap_tls: Tls = Field(
        default=Tls.IMPLICIT, description="How the connection to that server is protected."
    )
    bounce_imap_username: str = Field(default="", description="The name to read it with.")
    bounce_imap_password: str = Field(default="", repr=False, description="The password to read it with.")
    bounce_imap_mailbox: str = Field(
        default="INBOX", pattern=r'^[^"\\\r\n]+$', description="Which folder of it is read."
    )
    smtp_connections: int = Field(default=32, ge=1, le=200, description="Mails in the relay's hands at once.")
    smtp_per_domain: int = Field(
        default=28, ge=0, description="Of those, most for one domain, so that a slow one leaves some; 0: all."
    )
    smtp_domain_rate: float = Field(
        default=0,
        ge=0,
        description="Mails a second for one domain, from all processes together; 0: no limit.",
    )

    notifier_subscription_rate: str = Field(
        default="30/hour",
        description="How often a network may ask for a subscription, or a lost link; a town hall is one.",
    )
    notifier_subscriptions_rate: str = Field(
        default="600/hour",
        description="How often all may together, so that many networks are no flood.",
    )

    def names_contact(self, address: str) -> bool:
        named = [
            address
            for found in self.delegation_contacts.values()
            for address in (found.contact or "", *found.organisers, *found.digest)
        ]
        return address.lower() in map(str.lower, named)

    @property
    def database_url(self) -> str:
        return self.notifier_database_url

    @property
    def port(self) -> int:
        return self.notifier_port

    @property
    def operations_port(self) -> int | None:
        return self.notifier_operations_port

    @property
    def unprotected(self) -> dict[str, str]:
        ways = (
            (self.smtp_host, self.smtp_tls, "SMTP_TLS"),
            (self.bounce_imap_host, self.bounce_imap_tls, "BOUNCE_IMAP_TLS"),
        )
        mail = [
            f"{name}=none" for host, tls, name in ways if host and tls is Tls.NONE and host not in LOOPBACK
        ]
        return super().unprotected | ({"mails": f"mail servers, by {' and '.join(mail)}"} if mail else {})

    @property
    def smtp_server(self) -> SmtpServer:
        return SmtpServer(
            self.smtp_host, self.smtp_port, self.smtp_tls, self.smtp_username, self.smtp_password
        )

    @property
    def sender(self) -> tuple[str, str]:
        return parseaddr(self.smtp_sender)

    @property
    def contact(self) -> str:
        return parseaddr(self.smtp_contact)[1] or self.sender[1]

    @property
    def imap_server(self) -> ImapServer | None:
        if not self.bounce_imap_host:
            return None
        return ImapServer(
            self.bounce_imap_host,
            self.bounce_imap_port,
            self.bounce_imap_tls,
            self.bounce_imap_username,
            self.bounce_imap_password,
            self.bounce_imap_mailbox,
        )

    @property
    def return_path(self) -> ReturnPath | None:
        """Return None without BOUNCE_ADDRESS or a signing key."""
        keys = self.link_keys
        return ReturnPath(parseaddr(self.bounce_address)[1], keys) if self.bounce_address and keys else None

    @field_validator("smtp_sender", "smtp_contact", "bounce_address")
    @classmethod
    def _has_an_address(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name != "smtp_sender":
            return value
        address = parseaddr(value)[1]
        local, _, domain = address.rpartition("@")
        if not local or not domain or not address.isascii():
            raise ValueError("is not a sender such as Formations <formations@example.fr>")
        if info.field_name == "bounce_address" and len(local) > LONGEST_RETURN:
            raise ValueError(f"has more than {LONGEST_RETURN} characters before the @: ours come behind them")
        return value

    @model_validator(mode="after")
    def _returns_have_a_signed_address(self) -> Self:
        if self.bounce_imap_host and self.return_path is None:
            raise ValueError(
                "BOUNCE_IMAP_HOST needs BOUNCE_ADDRESS and LINK_SIGNING_KEY: a return counts only at an "
                "address that we signed"
            )
        return self

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Self:
        for host, tls, password, name in (
            (self.smtp_host, self.smtp_tls, self.smtp_password, "SMTP"),
            (self.bounce_imap_host, self.bounce_imap_tls, self.bounce_imap_password, "BOUNCE_IMAP"),
        ):
            if password and tls is Tls.NONE and host not in LOOPBACK:
                raise ValueError(f"{name}_PASSWORD would travel in the clear: set {name}_TLS")
        return self
