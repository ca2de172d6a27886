"""The DNS records that make other servers believe our mails. Nothing is looked up.

Sources: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489), one-click unsubscription (RFC 8058).
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parseaddr

from services.notifier.settings import Settings, Tls
from shared.oidc.settings import LOOPBACK


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """The parts of ``value`` in ``<…>`` are not in the settings."""

    purpose: str
    name: str
    kind: str
    value: str

    def __str__(self) -> str:
        value = f'"{self.value}"' if self.kind == "TXT" else self.value
        return f"{self.name}. IN {self.kind} {value}"


def records(settings: Settings, selector: str, reports: str | None) -> list[DnsRecord]:
    sender, envelope = _domains(settings)
    to = reports or "<mailbox for reports>"
    found = [
        DnsRecord("mails that come back are accepted", envelope, "MX", "10 <server of that mailbox>."),
        DnsRecord("SPF: who may send for the envelope", envelope, "TXT", f"v=spf1 {_relay(settings)} -all"),
        DnsRecord(
            "DKIM: the key that the relay signs with",
            f"{selector}._domainkey.{sender}",
            "TXT",
            "v=DKIM1; k=rsa; p=<public key of the relay>",
        ),
        DnsRecord(
            "DMARC: what becomes of mails without either",
            f"_dmarc.{sender}",
            "TXT",
            f"v=DMARC1; p=none; rua=mailto:{to}",
        ),
    ]
    elsewhere = (reports or "").rpartition("@")[2].lower()
    if elsewhere and not _related(sender, elsewhere):
        name = f"{sender}._report._dmarc.{elsewhere}"
        found.append(DnsRecord("DMARC: that domain takes our reports", name, "TXT", "v=DMARC1"))
    return found


def implications(settings: Settings) -> Iterator[str]:
    sender, envelope = _domains(settings)
    yield f"Letters are from {settings.sender[1]}: the relay has to sign them (DKIM) as d={sender}."
    if settings.return_path is None:
        missing = "LINK_SIGNING_KEY" if settings.bounce_address else "BOUNCE_ADDRESS"
        yield (
            f"{missing} is empty, so the envelope has the sender's address: SPF is that of {sender}, and "
            "mails come back to its mailbox."
        )
    elif _related(sender, envelope):
        yield f"The envelope's domain {envelope} goes with {sender}: SPF alone can pass DMARC."
    else:
        yield (
            f"The envelope's domain {envelope} is neither above nor below {sender}: SPF passes DMARC only "
            "where both belong to one registered domain; otherwise DKIM alone does, and each mail needs it."
        )
    if settings.smtp_host in LOOPBACK:
        yield "SMTP_HOST is this machine: the SPF record needs the public address that mails leave from."
    elif settings.smtp_tls is Tls.NONE:
        yield f"Mails travel to {settings.smtp_host} in the clear: SMTP_TLS is none."
    yield from _unsubscription(settings)


def _unsubscription(settings: Settings) -> Iterator[str]:
    if settings.links is None:
        yield "News are unsubscribed from by mail alone, not by one click: LINK_SIGNING_KEY is empty."
    elif not settings.public_url("notifier").startswith("https://"):
        yield (
            f"One-click unsubscription leads to {settings.public_url('notifier')}, and mail programs take it "
            "over https alone: set NOTIFIER_PUBLIC_URL or PUBLIC_BASE_URL."
        )


def _domains(settings: Settings) -> tuple[str, str]:
    seen = settings.sender[1]
    envelope = seen if settings.return_path is None else parseaddr(settings.bounce_address)[1]
    return seen.rpartition("@")[2].lower(), envelope.rpartition("@")[2].lower()


def _related(domain: str, other: str) -> bool:
    return domain == other or domain.endswith(f".{other}") or other.endswith(f".{domain}")


def _relay(settings: Settings) -> str:
    """Return the SPF mechanism for the relay, if the relay also delivers."""
    if settings.smtp_host in LOOPBACK:
        return "ip4:<public address of this machine>"
    try:
        address = ipaddress.ip_address(settings.smtp_host)
    except ValueError:
        return f"a:{settings.smtp_host}"
    return f"ip{address.version}:{address}"
