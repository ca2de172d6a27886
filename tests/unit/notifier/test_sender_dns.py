"""What to publish in the DNS, and what the settings imply for those who receive our mails."""

import pytest
from typer.testing import CliRunner

from services.notifier.__main__ import app
from services.notifier.service.sender_dns import implications, records
from services.notifier.settings import Settings

KEY = "k" * 32


def settings(**given: str) -> Settings:
    return Settings.model_validate(
        {
            "kafka_bootstrap_servers": "localhost:9092",
            "notifier_database_url": "postgresql://notifier@localhost/notifier",
            "unprotected_accepted": "mails",
            "smtp_host": "relais.cnfpt.example",
            "smtp_tls": "starttls",
            "smtp_sender": "Formations <formations@cnfpt.example>",
            "bounce_address": "retours@retours.cnfpt.example",
            "link_signing_key": KEY,
            "public_base_url": "https://parcours.cnfpt.example",
            **given,
        }
    )


def published(reports: str | None = None, **given: str) -> list[str]:
    return [str(record) for record in records(settings(**given), "parcours", reports)]


def test_spf_is_of_the_envelope_and_dkim_and_dmarc_of_the_visible_sender() -> None:
    assert published() == [
        "retours.cnfpt.example. IN MX 10 <server of that mailbox>.",
        'retours.cnfpt.example. IN TXT "v=spf1 a:relais.cnfpt.example -all"',
        'parcours._domainkey.cnfpt.example. IN TXT "v=DKIM1; k=rsa; p=<public key of the relay>"',
        '_dmarc.cnfpt.example. IN TXT "v=DMARC1; p=none; rua=mailto:<mailbox for reports>"',
    ]


@pytest.mark.parametrize(
    ("host", "mechanism"),
    [
        ("192.0.2.7", "ip4:192.0.2.7"),
        ("2001:db8::7", "ip6:2001:db8::7"),
        ("localhost", "ip4:<public address of this machine>"),
    ],
)
def test_spf_names_the_relay_and_the_domain_of_the_envelope(host: str, mechanism: str) -> None:
    spf = f'cnfpt.example. IN TXT "v=spf1 {mechanism} -all"'
    assert f"retours.{spf}" in published(smtp_host=host)
    assert spf in published(smtp_host=host, link_signing_key=""), "without a return path, the sender's"


def test_reports_to_another_domain_need_its_consent() -> None:
    consent = 'cnfpt.example._report._dmarc.rapports.example. IN TXT "v=DMARC1"'
    assert consent in published("dmarc@rapports.example")
    own = published("dmarc@dmarc.cnfpt.example")
    assert not any("_report" in line for line in own)
    assert any("rua=mailto:dmarc@dmarc.cnfpt.example" in line for line in own)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "SPF alone can pass DMARC"),
        ({"bounce_address": "retours@prestataire.example"}, "otherwise DKIM alone does"),
        ({"bounce_address": ""}, "BOUNCE_ADDRESS is empty"),
        ({"smtp_tls": "none"}, "SMTP_TLS is none"),
        ({"smtp_host": "localhost", "smtp_tls": "none"}, "this machine"),
        ({"link_signing_key": ""}, "by mail alone"),
        ({"public_base_url": "http://parcours.cnfpt.example"}, "over https alone"),
    ],
)
def test_what_the_settings_imply_for_receivers_is_said(given: dict[str, str], said: str) -> None:
    assert said in "\n".join(implications(settings(**given)))


def test_the_command_prints_the_zone_and_what_it_implies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings().model_dump(mode="json", exclude_unset=True).items():
        monkeypatch.setenv(name.upper(), value)
    printed = CliRunner().invoke(app, ["mails", "dns", "--selector", "s2026", "--reports", "d@cnfpt.example"])
    zone, _, sentences = printed.output.partition("\n\n")
    lines = [line for line in zone.splitlines() if not line.startswith(";")]
    assert lines == [str(record) for record in records(settings(), "s2026", "d@cnfpt.example")]
    assert sentences == "".join(f"- {line}\n" for line in implications(settings()))
