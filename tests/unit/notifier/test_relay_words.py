"""What a relay says is kept for operators, and never an address; a wrong contact is found at the start."""

import pytest
from aiosmtplib import SMTPResponse
from pydantic import ValidationError

from services.notifier.mailer import _negative, _words
from services.notifier.settings import Settings


def test_the_address_that_a_relay_quotes_is_not_kept() -> None:
    refusal = SMTPResponse(550, "5.1.1 <zoe.durand@ville-exemple.fr>: User\r\nunknown\0")
    assert _negative(refusal).answer == "5.1.1 (address) User unknown"
    assert "@" not in _words(ConnectionError("lost while writing to zoe@ville.fr"))


@pytest.mark.parametrize("contact", ["service formation", "@cnfpt.example", "x@"])
def test_a_contact_without_an_address_is_refused_at_the_start(
    contact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "NOTIFIER_DATABASE_URL": "postgresql://x@y/z",
        "SMTP_HOST": "relay",
        "SMTP_SENDER": "Formations <formations@cnfpt.example>",
    }.items():
        monkeypatch.setenv(name, value)
    assert Settings().contact == "formations@cnfpt.example"
    monkeypatch.setenv("SMTP_CONTACT", contact)
    with pytest.raises(ValidationError):
        Settings()
