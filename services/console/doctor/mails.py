from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dns.asyncresolver import Resolver

from services.console.doctor import certificates, dns
from services.console.doctor.dns import NoAnswer
from services.console.findings import Finding, Mark
from services.notifier.delivery.connection import SmtpConnection
from services.notifier.delivery.results import RelayUnreachable, Timeouts
from services.notifier.service import sender_dns
from services.notifier.service.sender_dns import DnsRecord
from services.notifier.settings import Settings
from shared import clock

_TIMEOUTS = Timeouts(connect=10, command=10)
_PUBLISH = "publish it: python -m services.notifier mails dns"


@dataclass(frozen=True, slots=True)
class DnsOptions:
    """``server`` None is this machine's name server. ``selector`` names the DKIM key."""

    server: str | None
    port: int
    selector: str


async def relay(settings: Settings) -> list[Finding]:
    about = f"smtp {settings.smtp_host}:{settings.smtp_port}"
    connection = SmtpConnection(settings.smtp_server, _TIMEOUTS)
    try:
        await connection.open()
        presented = connection.peer_certificate
        await connection.probe()
    except RelayUnreachable as error:
        remedy = "start it, or mend SMTP_HOST, SMTP_PORT, SMTP_TLS, SMTP_USERNAME, SMTP_PASSWORD"
        return [Finding(about, "relay", Mark.ACT, str(error), remedy)]
    await connection.quit()
    return [
        Finding(about, "relay", Mark.OK, f"takes mails, TLS {settings.smtp_tls}"),
        certificates.finding(about, presented, clock.now()),
    ]


async def records(settings: Settings, options: DnsOptions) -> list[Finding]:
    if settings.parcours_trial and options.server is None:
        return [Finding("dns", "sender", Mark.SKIPPED, "a trial's mails go to nobody")]
    try:
        resolver = dns.resolver(options.server, options.port)
    except NoAnswer as error:
        return [Finding("dns", "sender", Mark.UNKNOWN, str(error))]
    wanted = sender_dns.records(settings, options.selector, None)
    return [await _look_up(record, resolver) for record in wanted]


async def _look_up(record: DnsRecord, resolver: Resolver) -> Finding:
    what = f"{record.kind} {record.name}"
    try:
        published = await dns.records(record.name, record.kind, resolver)
    except NoAnswer as error:
        return Finding("dns", what, Mark.UNKNOWN, str(error))
    wrong = _judge(record)(record, published)
    if wrong is None:
        return Finding("dns", what, Mark.OK, record.purpose)
    return Finding("dns", what, Mark.ACT, f"{wrong} ({record.purpose})", f"{_PUBLISH}: {record}")


_Judge = Callable[[DnsRecord, Sequence[str]], str | None]
"""Returns the fault of the published records, or None."""


def _judge(record: DnsRecord) -> _Judge:
    version = record.value.partition(";")[0].split(" ")[0]
    return {"v=spf1": _spf, "v=DKIM1": _dkim, "v=DMARC1": _dmarc}.get(version, _any)


def _any(_: DnsRecord, published: Sequence[str]) -> str | None:
    return None if published else "there is none"


def _spf(record: DnsRecord, published: Sequence[str]) -> str | None:
    found = [text for text in published if text.split(" ")[0].lower() == "v=spf1"]
    if not found:
        return "there is none"
    if len(found) > 1:
        return f"there are {len(found)}, and a domain may have one"  # RFC 7208, 4.5
    mechanism = record.value.split(" ")[1]
    if "<" in mechanism or mechanism in found[0].split(" ") or "include:" in found[0]:
        return None
    return f"it does not name {mechanism}: {found[0]}"


def _dkim(_: DnsRecord, published: Sequence[str]) -> str | None:
    keys = [tag.strip() for text in published for tag in text.split(";") if tag.strip().startswith("p=")]
    if not keys:
        return "there is none: is --selector right?"
    return None if any(key != "p=" for key in keys) else "its key was revoked"  # RFC 6376, 3.6.1


def _dmarc(_: DnsRecord, published: Sequence[str]) -> str | None:
    return None if any(text.startswith("v=DMARC1") for text in published) else "there is none"
