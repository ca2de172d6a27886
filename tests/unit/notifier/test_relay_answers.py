"""What is kept of a relay's answers, and the settings of mail that are refused at the start."""

import time
from uuid import uuid4

import pytest
from aiosmtplib import SMTPResponse
from pydantic import ValidationError

from services.notifier.delivery.pool import Outage
from services.notifier.delivery.providers import provider_of
from services.notifier.delivery.results import message_of, refusal
from services.notifier.settings import Settings


def test_the_address_that_a_relay_quotes_is_not_kept() -> None:
    response = SMTPResponse(550, "5.1.1 <zoe.durand@ville-exemple.fr>: User\r\nunknown\0")
    assert refusal(response).reply == "5.1.1 (address) User unknown"
    assert "@" not in message_of(ConnectionError("lost while writing to zoe@ville.fr"))


def test_no_reply_takes_long_to_be_kept() -> None:
    """A search for addresses took 0.2 s for the longest line that aiosmtplib reads, and a reply has four."""
    begun = time.process_time()
    assert refusal(SMTPResponse(550, "x" * 8_000 + " a@ @b @")).reply.endswith("x a@ @b @")
    assert time.process_time() - begun < 0.05


def test_workers_that_find_the_relay_away_together_make_one_short_pause() -> None:
    outage, begun = Outage(), time.monotonic()
    for _ in range(20):
        outage.failed(begun)
    assert outage.failures == 1
    assert outage.pause() <= 0.5
    outage.failed(outage._known_at + 0.001)
    assert outage.failures == 2
    outage.over()
    assert (outage.failures, outage.pause()) == (0, 0.0)


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("zoe@gmail.com", "google"),
        ("zoe@Wanadoo.FR", "orange"),
        ("zoe@ville-rennes.fr", "other"),
        ("zoe@mail.gmail.com.example", "other"),
    ],
)
def test_metrics_name_large_providers_and_no_domain(address: str, provider: str) -> None:
    assert provider_of(address) == provider


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "NOTIFIER_DATABASE_URL": "postgresql://x@y/z",
        "SMTP_HOST": "relay",
        "UNPROTECTED_ACCEPTED": "kafka,database,mails",
        "SMTP_SENDER": "Formations <formations@cnfpt.example>",
    }.items():
        monkeypatch.setenv(name, value)


def test_a_return_path_that_would_be_too_long_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 5321, 4.5.3.1.1: 64 octets before the @; a relay that keeps to it would refuse every mail."""
    monkeypatch.setenv("LINK_SIGNING_KEY", "k" * 32)
    monkeypatch.setenv("BOUNCE_ADDRESS", f"{'r' * 18}@cnfpt.example")
    path = Settings().return_path
    assert path is not None
    assert len(path.of(uuid4()).rpartition("@")[0]) == 64
    monkeypatch.setenv("BOUNCE_ADDRESS", f"{'r' * 19}@cnfpt.example")
    with pytest.raises(ValidationError, match="more than 18 characters"):
        Settings()


def test_a_mailbox_of_returns_without_signed_addresses_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOUNCE_IMAP_HOST", "mx")
    for name, value in (("BOUNCE_ADDRESS", "retours@cnfpt.example"), ("LINK_SIGNING_KEY", "k" * 32)):
        with pytest.raises(ValidationError, match="BOUNCE_IMAP_HOST needs"):
            Settings()
        monkeypatch.setenv(name, value)
    assert Settings().imap_server is not None


@pytest.mark.parametrize(("prefix", "host"), [("SMTP", "SMTP_HOST"), ("BOUNCE_IMAP", "BOUNCE_IMAP_HOST")])
def test_a_password_never_travels_in_the_clear(
    prefix: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOUNCE_ADDRESS", "retours@cnfpt.example")
    monkeypatch.setenv("LINK_SIGNING_KEY", "k" * 32)
    monkeypatch.setenv(f"{prefix}_PASSWORD", "secret")
    for server, tls in (("relay", "starttls"), ("localhost", "none")):
        monkeypatch.setenv(host, server)
        monkeypatch.setenv(f"{prefix}_TLS", tls)
        Settings()
    monkeypatch.setenv(host, "relay")
    with pytest.raises(ValidationError, match=f"{prefix}_PASSWORD would travel in the clear"):
        Settings()
