from collections.abc import Sequence
from dataclasses import dataclass

from services.console.doctor import brokers, databases, employers, mails, webhooks
from services.console.doctor.databases import DiskOptions
from services.console.doctor.mails import DnsOptions
from services.console.doctor.settings import load_all
from services.console.findings import Finding
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier.settings import Settings as NotifierSettings
from shared.cli.definition import Definition
from shared.messaging.portals import registry
from shared.messaging.portals.registry import Portals, UnreadablePortals
from shared.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    dns: DnsOptions
    disk: DiskOptions


async def look(services: Sequence[Definition], options: DoctorOptions) -> list[Finding]:
    loaded = load_all(services)
    findings = list(loaded.findings)
    cluster_id = None
    for settings in list(loaded.settings.values())[:1]:  # all services share one broker
        cluster_id, found = await brokers.look(settings, _portals(settings))
        findings += found
    for definition in services:
        if (its_own := loaded.settings.get(definition.name)) is not None:
            findings += await databases.look(definition, its_own, cluster_id, options.disk)
            if isinstance(its_own, EnrolmentSettings):
                findings += await webhooks.look(its_own, _portals(its_own))
                findings += await employers.look(its_own)
            if isinstance(its_own, NotifierSettings):
                findings += [*await mails.relay(its_own), *await mails.records(its_own, options.dns)]
    return findings


def _portals(settings: ServiceSettings) -> Portals:
    """A file with a mistake has its own line: return no portals."""
    try:
        return registry.read(settings.portals_file, trial=settings.parcours_trial)
    except UnreadablePortals:
        return Portals([])
