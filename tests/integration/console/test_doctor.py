"""``parcours doctor``: each thing that can be wrong is made wrong, and named with what mends it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from aiokafka import AIOKafkaProducer
from dns.resolver import NoResolverConfiguration
from sqlalchemy import make_url, text

from local.postgres import PostgresServer
from local.tansu import TansuBroker
from services.console.doctor import brokers, certificates, databases, dns, employers, mails, webhooks
from services.console.doctor.databases import DiskOptions
from services.console.doctor.mails import DnsOptions
from services.console.findings import Finding, Mark, exit_code
from services.enrolment.definition import DEFINITION as ENROLMENT
from services.enrolment.settings import Settings as EnrolmentSettings
from shared import clock
from shared.database import Database
from shared.messaging import acls
from shared.messaging.portals.registry import Portal, Portals
from shared.messaging.portals.signatures import new_secret
from tests.conftest import create_topics
from tests.integration.console.conftest import NOWHERE, RunConsole
from tests.support.certificates import Authority
from tests.support.dns import name_server
from tests.support.metrics import metric
from tests.support.secured_kafka import ADMIN, SecuredKafka, a_portal_by_kafka
from tests.support.smtp import Reply, ScriptedRelay, scripted_relay
from tests.support.state_register import state_register
from tests.unit.notifier.test_sender_dns import settings as of_notifier

ENOUGH = DiskOptions(percent=0, gib=0)


@pytest.fixture
async def relay(in_environment: pytest.MonkeyPatch) -> AsyncIterator[ScriptedRelay]:
    async with scripted_relay() as relay:
        in_environment.setenv("SMTP_PORT", str(relay.port))
        yield relay


@pytest.fixture
def whole(in_environment: pytest.MonkeyPatch, tansu: TansuBroker, relay: ScriptedRelay) -> pytest.MonkeyPatch:
    """Settings of which each part answers."""
    in_environment.setenv("KAFKA_BOOTSTRAP_SERVERS", tansu.bootstrap_servers)
    return in_environment


def of_enrolment(kafka: str, **given: object) -> EnrolmentSettings:
    return EnrolmentSettings.model_validate(
        {"kafka_bootstrap_servers": kafka, "enrolment_database_url": NOWHERE, **given}
    )


def line_of(findings: list[Finding], what: str) -> Finding:
    [found] = [finding for finding in findings if finding.what == what]
    return found


def ends_by_metric(certificate: str) -> str:
    end = metric("parcours_certificate_end_timestamp_seconds", certificate=certificate)
    return datetime.fromtimestamp(end, UTC).isoformat()


async def test_where_nothing_is_wrong_the_doctor_ends_with_0_and_sends_no_mail(
    console: RunConsole, whole: pytest.MonkeyPatch, relay: ScriptedRelay
) -> None:
    done = await console("doctor")
    assert {line["mark"] for line in done.findings} == {"ok", "skipped"}
    assert done.code == 0
    assert relay.taken == []


async def test_a_search_of_employers_that_fails_is_named() -> None:
    def search(**settings: str) -> Awaitable[list[Finding]]:
        return employers.look(of_enrolment("127.0.0.1:1", **settings))

    assert await search() == []
    with state_register() as register:
        [finding] = await search(employer_search_url=register.url)
        assert finding.mark is Mark.OK
        register.status = 503
        [finding] = await search(employer_search_url=register.url)
        assert (finding.mark, finding.found) == (Mark.ACT, "fails: status 503")


async def test_a_webhook_that_fails_is_named_with_its_reason(database: Database, enrolment_url: str) -> None:
    entry = {"portal": "iel", "issuer": "iel", "contact": "equipe@portail.example"}
    webhook = {"url": "https://portail.example/", "secrets": [new_secret()]}
    portals = Portals([Portal.model_validate(entry | {"webhook": webhook})])
    settings = of_enrolment("127.0.0.1:1", enrolment_database_url=enrolment_url)
    assert await webhooks.look(settings, Portals([Portal.model_validate(entry)])) == []
    [finding] = await webhooks.look(settings, portals)
    assert finding.mark is Mark.OK
    async with database.quiet_transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO webhook (portal, cursor, failures, failing_since, reason) "
                "VALUES ('iel', 7, 3, '2026-12-01T09:00Z', 'status 503')"
            )
        )
    [finding] = await webhooks.look(settings, portals)
    assert (finding.what, finding.mark) == ("webhook of iel", Mark.ACT)
    assert finding.found == "fails, since 2026-12-01T09:00Z: status 503"


# ------------------------------------------------------------------------------------------ settings

SET, MEND = "set it: docs/settings.md", "mend it: docs/settings.md"
Changes = dict[str, str | None]
Remedies = dict[tuple[str, str], str]
WRONG: dict[str, tuple[Changes, Remedies]] = {
    "a setting, files and certificates": (
        {
            "SMTP_SENDER": None,
            "PORTALS_FILE": "{file}",
            "API_TOKENS_FILE": "{file}",
            "KAFKA_CA_FILE": "{authority}",
            "PGSSLROOTCERT": "{authority}",
        },
        {
            ("notifier", "settings"): SET,
            ("enrolment", "portals file"): "mend it: parcours portals check",
            ("enrolment", "tokens file"): "mend it: parcours tokens check",
            ("enrolment", "KAFKA_CA_FILE"): "renew it",
            ("enrolment", "PGSSLROOTCERT"): "renew it",
        },
    ),
    "nothing answers": (
        {
            "SMTP_TLS": "perhaps",
            "PGSSLROOTCERT": "{file}",
            "ENROLMENT_DATABASE_URL": NOWHERE,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        },
        {
            ("notifier", "settings"): SET,
            ("enrolment", "PGSSLROOTCERT"): MEND,
            ("enrolment", "database"): "start it, or mend ENROLMENT_DATABASE_URL",
            ("kafka", "broker"): (
                "start it, or mend KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL and what goes with it"
            ),
        },
    ),
    "a secret without its file": (
        {"ENROLMENT_DATABASE_URL": None, "ENROLMENT_DATABASE_URL_FILE": "/nowhere"},
        {("enrolment", "settings"): SET},
    ),
    "an empty database": (
        {"ENROLMENT_DATABASE_URL": "{empty}"},
        {("enrolment", "migrations"): "run 'python -m services.enrolment migrate'"},
    ),
}


@pytest.mark.parametrize(("changes", "remedies"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_named_with_what_mends_it(
    *,
    console: RunConsole,
    whole: pytest.MonkeyPatch,
    postgres: PostgresServer,
    tmp_path: Path,
    changes: Changes,
    remedies: Remedies,
) -> None:
    file = tmp_path / "file.json"
    file.write_text(json.dumps([{"portal": "IEL"}]))
    given = {"file": file, "authority": Authority(tmp_path).file}
    for name, value in changes.items():
        if value is None:
            whole.delenv(name)
        else:
            empty = postgres.create_database("doctor_empty") if value == "{empty}" else ""
            whole.setenv(name, value.format(**given, empty=empty))
    done = await console("doctor")
    found = {(line["about"], line["what"]): line["remedy"] for line in done.findings if line["mark"] == "act"}
    assert done.code == 1
    assert {about: found.get(about) for about in remedies} == remedies


async def test_a_service_that_is_not_set_up_here_was_not_asked(
    console: RunConsole, whole: pytest.MonkeyPatch
) -> None:
    whole.delenv("NOTIFIER_DATABASE_URL")
    done = await console("doctor")
    assert (done.code, done.about("notifier", "settings")["mark"]) == (2, "unknown")
    assert done.about("enrolment", "migrations")["mark"] == "ok"
    assert (await console("doctor", "--service", "enrolment")).code == 0


# ------------------------------------------------------------------------------------------ databases


async def look_at(
    database_url: str, *, answers: str | None = None, disk: DiskOptions = ENOUGH
) -> list[Finding]:
    """Look at a database, while this Kafka cluster answers."""
    settings = of_enrolment("127.0.0.1:1", enrolment_database_url=database_url)
    return await databases.look(ENROLMENT, settings, answers, disk)


@pytest.mark.parametrize("seconds", [-60, 60])
async def test_a_clock_that_differs_from_the_databases_is_named(
    console: RunConsole, whole: pytest.MonkeyPatch, seconds: int
) -> None:
    whole.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(seconds=seconds))
    line = (await console("doctor", "--service", "enrolment")).about("enrolment", "clock")
    assert (line["mark"], line["seconds"]) == ("act", pytest.approx(60, abs=10))


async def test_an_outbox_of_another_cluster_is_named(database: Database, enrolment_url: str) -> None:
    async with database.quiet_transaction() as tx:
        await tx.execute(text("INSERT INTO cluster (id, cluster_id) VALUES (1, 'before')"))
    known, other = [
        line_of(await look_at(enrolment_url, answers=answers), "kafka cluster")
        for answers in ("before", "now")
    ]
    assert (known.mark, other.mark) == (Mark.OK, Mark.ACT)
    assert other.remedy.endswith("parcours enrolment outbox accept-cluster")


async def test_a_disk_that_is_nearly_full_is_named_where_the_data_directory_is_known(
    postgres: PostgresServer, enrolment_url: str
) -> None:
    full = DiskOptions(101, 0)
    as_superuser = postgres.url(enrolment_url.rpartition("/")[2].partition("?")[0])
    for disk, mark in ((ENOUGH, Mark.OK), (full, Mark.ACT), (DiskOptions(0, 1e9), Mark.ACT)):
        assert line_of(await look_at(as_superuser, disk=disk), "disk").mark is mark
    assert line_of(await look_at(enrolment_url, disk=full), "disk").mark is Mark.SKIPPED


async def test_a_database_whose_certificate_ends_soon_is_named(
    tmp_path: Path, enrolment_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("PGSSLROOTCERT", str(authority.file))
    plain = make_url(enrolment_url)
    async with behind_tls(plain.port or 5432, authority.server("IP:127.0.0.1")) as port:
        url = plain.set(host="127.0.0.1", port=port).update_query_dict({"sslmode": "verify-full"})
        findings = await look_at(url.render_as_string(hide_password=False))
    certificate = line_of(findings, "certificate")
    assert "TLSv1.3" in line_of(findings, "database").found
    assert certificate.mark is Mark.ACT
    assert ends_by_metric("database") == certificate.figures["not_after"]


@asynccontextmanager
async def behind_tls(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Have the Postgres at this port answer by TLS, which the embedded build cannot; gives where."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == _SSL_REQUEST
        writer.write(b"S")
        await writer.start_tls(context)
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, to_there), _copy(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


_SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await source.read(65_536):
            target.write(content)
    target.close()


# ------------------------------------------------------------------------------------------ Kafka


async def test_a_record_from_the_future_shows_that_the_brokers_clock_is_ahead(
    console: RunConsole, whole: pytest.MonkeyPatch, spoilt: TansuBroker
) -> None:
    await asyncio.to_thread(create_topics, spoilt)
    whole.setenv("KAFKA_BOOTSTRAP_SERVERS", spoilt.bootstrap_servers)
    producer = AIOKafkaProducer(bootstrap_servers=spoilt.bootstrap_servers)
    await producer.start()
    for _ in range(2):  # the embedded broker does not tell of the last
        now = clock.now().timestamp()
        await producer.send_and_wait("portal.agents", b"{}", partition=3, timestamp_ms=int(now + 600) * 1000)
    await producer.stop()
    line = (await console("doctor")).about("kafka", "clock")
    assert line["mark"] == "act"
    assert line["seconds"] == pytest.approx(600, abs=60)


@pytest.mark.timeout(180)
async def test_what_a_user_may_not_do_and_a_certificate_that_ends_soon_are_named(
    secured_kafka: SecuredKafka,
) -> None:
    late = Portals([Portal.model_validate(a_portal_by_kafka("late"))])
    admin = secured_kafka.settings(ADMIN)
    given = admin.model_dump()
    as_admin = of_enrolment(given.pop("kafka_bootstrap_servers"), **given)
    _, findings = await brokers.look(as_admin, late)
    rights = line_of(findings, "rights")
    assert (rights.mark, list(rights.figures["lacking"])) == (Mark.ACT, ["portal-late"])
    assert line_of(findings, "certificate").mark is Mark.ACT

    await acls.apply(admin, acls.users(late))
    _, findings = await brokers.look(as_admin, late)
    assert line_of(findings, "rights").mark is Mark.OK

    given = secured_kafka.settings("parcours-enrolment").model_dump()
    as_enrolment = of_enrolment(given.pop("kafka_bootstrap_servers"), **given)
    _, findings = await brokers.look(as_enrolment, late)
    assert line_of(findings, "rights").mark is Mark.SKIPPED


# ------------------------------------------------------------------------------------------ mails


async def test_a_relay_that_does_not_answer_or_wants_a_log_in_is_named(
    console: RunConsole, whole: pytest.MonkeyPatch, relay: ScriptedRelay
) -> None:
    about = f"smtp 127.0.0.1:{relay.port}"
    relay.script("MAIL", Reply("530 5.7.0 log in first"))
    line = (await console("doctor", "--service", "notifier")).about(about, "relay")
    assert (line["mark"], line["found"]) == ("act", "5.7.0 log in first")
    await relay.stop()
    line = (await console("doctor", "--service", "notifier")).about(about, "relay")
    assert line["mark"] == "act"
    assert "SMTP_HOST" in line["remedy"]


async def test_a_relay_whose_certificate_ends_soon_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with scripted_relay(tls=authority.server("IP:127.0.0.1")) as relay:
        settings = of_notifier(smtp_host="127.0.0.1", smtp_port=str(relay.port), smtp_tls="implicit")
        findings = await mails.relay(settings)
    assert [finding.mark for finding in findings] == [Mark.OK, Mark.ACT]
    assert "renew it" in findings[1].remedy
    assert ends_by_metric("smtp") == findings[1].figures["not_after"]


@pytest.mark.parametrize(("days", "mark"), [(20, Mark.ACT), (22, Mark.OK)])
def test_a_certificate_is_to_be_renewed_three_weeks_before_its_end(days: int, mark: Mark) -> None:
    end = datetime(2027, 1, 1, tzinfo=UTC)
    presented = {"notAfter": "Jan  1 00:00:00 2027 GMT"}
    assert certificates.finding("x", presented, end - timedelta(days=days)).mark is mark


# ------------------------------------------------------------------------------------------ DNS

ENVELOPE, SENDER = "retours.cnfpt.example", "cnfpt.example"
PUBLISHED = {
    (ENVELOPE, "MX"): ["10 mx.cnfpt.example."],
    (ENVELOPE, "TXT"): ['"a text of others"', '"v=spf1 a:relais.cnfpt.example -all"'],
    (f"parcours._domainkey.{SENDER}", "TXT"): [f'"v=DKIM1; k=rsa; p=" "{"A" * 250}" "{"A" * 142}"'],
    (f"_dmarc.{SENDER}", "TXT"): ['"v=DMARC1; p=none"'],
}


async def looked_up(zone: dict[tuple[str, str], list[str]], **server: bool) -> list[Finding]:
    async with name_server(zone, **server) as port:
        return await mails.records(of_notifier(), DnsOptions("127.0.0.1", port, "parcours"))


@pytest.mark.parametrize(
    ("name", "kind", "instead", "found"),
    [
        (ENVELOPE, "MX", [], "there is none"),
        (ENVELOPE, "TXT", ['"a text of others"'], "there is none"),
        (ENVELOPE, "TXT", ['"v=spf1 -all"', '"v=spf1 mx -all"'], "there are 2"),
        (ENVELOPE, "TXT", ['"v=spf1 a:other.example -all"'], "does not name a:relais.cnfpt.example"),
        (f"parcours._domainkey.{SENDER}", "TXT", [], "is --selector right?"),
        (f"parcours._domainkey.{SENDER}", "TXT", ['"v=DKIM1; p="'], "revoked"),
        (f"_dmarc.{SENDER}", "TXT", ['"v=spf1 -all"'], "there is none"),
    ],
)
async def test_a_record_that_is_missing_or_wrong_is_named_with_the_right_one(
    name: str, kind: str, instead: list[str], found: str
) -> None:
    findings = await looked_up(PUBLISHED | {(name, kind): instead})
    [wrong] = [finding for finding in findings if finding.mark is not Mark.OK]
    assert (wrong.what, wrong.mark, len(findings)) == (f"{kind} {name}", Mark.ACT, 4)
    assert found in wrong.found
    assert f"{name}. IN {kind}" in wrong.remedy


@pytest.mark.parametrize(("zone", "mark"), [(PUBLISHED, Mark.OK), ({}, Mark.ACT)], ids=["all", "none"])
async def test_all_records_are_looked_up(zone: dict[tuple[str, str], list[str]], mark: Mark) -> None:
    assert [finding.mark for finding in await looked_up(zone)] == [mark] * 4


async def test_a_long_answer_is_asked_for_by_tcp_and_a_mail_exchanger_is_named_whole() -> None:
    zone = {("example.fr", "TXT"): ['"xxx"' * 200], ("example.fr", "MX"): ["10 mx.example.fr."]}
    async with name_server(zone) as port:
        ask = dns.resolver("localhost", port)
        assert await dns.records("example.fr", "TXT", ask) == ["x" * 600]
        assert await dns.records("example.fr", "MX", ask) == ["10 mx.example.fr"]


@pytest.mark.parametrize("server", [{"silent": True}, {"garbage": True}])
async def test_a_name_server_that_answers_nothing_is_no_reason_to_publish_anything(
    server: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "_SECONDS", 0.05)
    findings = await looked_up(PUBLISHED, **server)
    assert {finding.mark for finding in findings} == {Mark.UNKNOWN}
    assert exit_code(findings) == 2


async def test_a_machine_without_a_name_server_is_no_reason_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "Resolver", Mock(side_effect=NoResolverConfiguration))
    [finding] = await mails.records(of_notifier(), DnsOptions(None, 53, "parcours"))
    assert finding.mark is Mark.UNKNOWN
