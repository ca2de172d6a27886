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


def published(**given: str) -> list[str]:
    return [str(record) for record in records(settings(**given), "parcours", None)]


def report(**given: str) -> str:
    return "\n".join(implications(settings(**given)))


def test_spf_is_of_the_envelope_and_dkim_and_dmarc_of_who_readers_see() -> None:
    assert published() == [
        "retours.cnfpt.example. IN MX 10 <server of that mailbox>.",
        'retours.cnfpt.example. IN TXT "v=spf1 a:relais.cnfpt.example -all"',
        'parcours._domainkey.cnfpt.example. IN TXT "v=DKIM1; k=rsa; p=<public key of the relay>"',
        '_dmarc.cnfpt.example. IN TXT "v=DMARC1; p=none; rua=mailto:<mailbox for reports>"',
    ]


@pytest.mark.parametrize("given", [{"bounce_address": ""}, {"link_signing_key": ""}])
def test_without_a_return_path_of_our_own_the_envelope_has_the_sender(given: dict[str, str]) -> None:
    assert 'cnfpt.example. IN TXT "v=spf1 a:relais.cnfpt.example -all"' in published(**given)
    assert f"{next(iter(given)).upper()} is empty" in report(**given)


@pytest.mark.parametrize(
    ("host", "mechanism"),
    [
        ("192.0.2.7", "ip4:192.0.2.7"),
        ("2001:db8::7", "ip6:2001:db8::7"),
        ("localhost", "ip4:<public address of this machine>"),
    ],
)
def test_spf_names_the_relay_as_the_settings_do(host: str, mechanism: str) -> None:
    assert f'retours.cnfpt.example. IN TXT "v=spf1 {mechanism} -all"' in published(smtp_host=host)


def test_reports_to_another_domain_need_its_consent() -> None:
    def of(reports: str) -> list[str]:
        return [str(record) for record in records(settings(), "parcours", reports)]

    assert 'cnfpt.example._report._dmarc.rapports.example. IN TXT "v=DMARC1"' in of("dmarc@rapports.example")
    assert not any("_report" in line for line in of("dmarc@dmarc.cnfpt.example"))
    assert any("rua=mailto:dmarc@dmarc.cnfpt.example" in line for line in of("dmarc@dmarc.cnfpt.example"))


def test_an_envelope_of_another_domain_leaves_dmarc_to_dkim() -> None:
    assert "SPF alone can pass DMARC" in report()
    assert "otherwise DKIM alone does" in report(bounce_address="retours@prestataire.example")


def test_what_keeps_mails_from_being_believed_is_said() -> None:
    assert "SMTP_TLS is none" in report(smtp_tls="none")
    assert "this machine" in report(smtp_host="localhost", smtp_tls="none")
    assert "by mail alone" in report(link_signing_key="")
    assert "over https alone" in report(public_base_url="http://parcours.cnfpt.example")
    assert "unsubscription" not in report()


def test_the_command_prints_a_zone_file_and_connects_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings().model_dump(mode="json", exclude_unset=True).items():
        monkeypatch.setenv(name.upper(), value)
    printed = CliRunner().invoke(app, ["mails", "dns", "--selector", "s2026", "--reports", "d@cnfpt.example"])
    assert printed.exit_code == 0, printed.output
    zone, _, sentences = printed.output.partition("\n\n")
    assert [line.split()[0] for line in zone.splitlines() if not line.startswith(";")] == [
        "retours.cnfpt.example.",
        "retours.cnfpt.example.",
        "s2026._domainkey.cnfpt.example.",
        "_dmarc.cnfpt.example.",
    ]
    assert "rua=mailto:d@cnfpt.example" in zone
    assert all(line.startswith("- ") for line in sentences.splitlines())
