import asyncio
import ssl
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from services.console import newest
from services.console.asking import Unanswered, broker_answers
from services.console.broker import of_topic
from services.console.doctor import certificates
from services.console.doctor.databases import CLOCKS_DIFFER
from services.console.findings import Finding, Mark
from shared import clock
from shared.messaging import acls, cluster, topics
from shared.messaging.acls import NoAuthorizer, RightsNotListed
from shared.messaging.broker import tls_context
from shared.messaging.portals.registry import Portals
from shared.messaging.topics import REPLICAS, TopicState
from shared.settings import ServiceSettings

_KAFKA = "kafka"
_TLS_SECONDS = 10.0
_PORT = 9092


async def look(settings: ServiceSettings, portals: Portals) -> tuple[str | None, list[Finding]]:
    """Return the cluster's id, or None if it does not answer, and the lines about it."""
    cluster_id = await broker_answers(settings, cluster.id_at(settings))
    if isinstance(cluster_id, Unanswered):
        remedy = "start it, or mend KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL and what goes with it"
        return None, [Finding(_KAFKA, "broker", Mark.ACT, cluster_id.why, remedy)]
    how = f"answers, cluster {cluster_id}, by {settings.kafka_security_protocol}"
    findings = [Finding(_KAFKA, "broker", Mark.OK, how), *await _certificates(settings)]
    states = await broker_answers(settings, topics.states(settings, portals))
    if isinstance(states, Unanswered):
        findings.append(Finding(_KAFKA, "topics", Mark.UNKNOWN, states.why))
    else:
        findings += _topics(settings, states, cluster_id)
        findings.append(await _clock(settings, states))
    return cluster_id, [*findings, await _rights(settings, portals, cluster_id)]


async def _certificates(settings: ServiceSettings) -> list[Finding]:
    context = tls_context(settings)
    if context is None:
        return []
    return [await _certificate(server, context) for server in settings.servers]


async def _certificate(server: str, context: ssl.SSLContext) -> Finding:
    address = urlsplit(f"//{server}")
    about = f"kafka {server}"
    try:
        async with asyncio.timeout(_TLS_SECONDS):
            _, writer = await asyncio.open_connection(address.hostname, address.port or _PORT, ssl=context)
    except (OSError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        return Finding(about, "certificate", Mark.ACT, why, "start that broker, or take it out of the list")
    presented = writer.get_extra_info("peercert")
    writer.transport.abort()
    return certificates.finding(about, presented, clock.now())


def _topics(settings: ServiceSettings, states: Sequence[TopicState], cluster_id: str) -> list[Finding]:
    findings = [line for line in map(of_topic, states) if line.mark is not Mark.OK]
    if not findings:
        findings = [Finding(_KAFKA, "topics", Mark.OK, f"{len(states)}, all as agreed")]
    few = [state.name for state in states if 0 < state.replicas < REPLICAS]
    if few and not settings.parcours_trial and cluster_id != cluster.EMBEDDED:
        findings.append(
            Finding(
                _KAFKA,
                "replicas",
                Mark.ACT,
                f"{len(few)} topics are on fewer than {REPLICAS} brokers: events may be lost with one disk",
                "kafka-reassign-partitions to three brokers, then min.insync.replicas=2",
            )
        )
    return findings


async def _rights(settings: ServiceSettings, portals: Portals, cluster_id: str) -> Finding:
    what = "rights"
    if cluster_id == cluster.EMBEDDED:
        return Finding(_KAFKA, what, Mark.SKIPPED, "the embedded broker has none")
    try:
        lacking = await broker_answers(settings, acls.missing(settings, acls.users(portals)))
    except NoAuthorizer as error:
        if settings.parcours_trial or "kafka" in settings.unprotected:
            return Finding(_KAFKA, what, Mark.SKIPPED, f"{error}, and this is accepted")
        remedy = "set authorizer.class.name, then topics acls --apply: docs/operations.md, Secure Kafka"
        return Finding(_KAFKA, what, Mark.ACT, f"{error}: whoever reaches it may write everything", remedy)
    except RightsNotListed as error:
        return Finding(_KAFKA, what, Mark.SKIPPED, f"not told: {error}; one who may alter the cluster may")
    if isinstance(lacking, Unanswered):
        return Finding(_KAFKA, what, Mark.UNKNOWN, lacking.why)
    if not lacking:
        return Finding(_KAFKA, what, Mark.OK, "each user has those that it needs")
    found = "; ".join(f"{user} may not {', '.join(rights)}" for user, rights in lacking.items())
    remedy = "python -m services.catalogue topics acls --apply"
    return Finding(_KAFKA, what, Mark.ACT, found, remedy, {"lacking": lacking})


async def _clock(settings: ServiceSettings, states: Sequence[TopicState]) -> Finding:
    """Check the broker's clock, by which deadlines are judged.

    Kafka reports no time, but stamps portals' records. A stamp from the future shows that the broker's clock
    is ahead of this machine's. A clock that is behind cannot be seen.
    """
    stamped = [state.name for state in states if state.agreed.broker_stamped and state.partitions]
    stamp = await broker_answers(settings, newest.stamp(settings, stamped))
    if isinstance(stamp, Unanswered):
        return Finding(_KAFKA, "clock", Mark.UNKNOWN, stamp.why)
    ahead = timedelta(0) if stamp is None else stamp - clock.now()
    if ahead <= CLOCKS_DIFFER:
        return Finding(_KAFKA, "clock", Mark.OK, "no portal's record is from the future")
    return Finding(
        _KAFKA,
        "clock",
        Mark.ACT,
        f"a record's stamp is {ahead.total_seconds():.1f} s ahead of this machine's clock",
        "have both machines follow NTP",
        {"seconds": round(ahead.total_seconds(), 3)},
    )
