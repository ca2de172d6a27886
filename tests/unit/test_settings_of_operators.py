"""Every setting reaches a container; what is set there exists."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from services.catalogue.settings import Settings as Catalogue
from services.deployment import all_fields, is_secret
from services.enrolment.settings import Settings as Enrolment
from services.notifier.settings import Settings as Notifier
from shared.messaging import inbox
from shared.retention_settings import EnrolmentRetention
from shared.settings import UNPROTECTED

ROOT = Path(__file__).parents[2]
SERVICES = [("catalogue", Catalogue), ("enrolment", Enrolment), ("notifier", Notifier)]
SECRETS = {name for name, field in all_fields().items() if is_secret(name, field)}
NOT_IN_COMPOSE = {
    "HTTP_HOST",  # the image's own
    "PARCOURS_COMMIT",  # the same
    "PUBLIC_BASE_URL",  # each service has an address of its own there
    "KAFKA_GROUP_INSTANCE_ID",  # must differ from replica to replica
}


@pytest.mark.parametrize(("name", "settings"), SERVICES)
def test_compose_hands_on_every_setting_of_a_service_and_no_other(
    name: str, settings: type[BaseSettings]
) -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][name]
    handed_on = {setting: setting for setting in _names(settings) - NOT_IN_COMPOSE}
    for setting in SECRETS & set(handed_on):
        handed_on[setting] = f"{setting}_FILE"
    assert set(service["environment"]) == set(handed_on.values())


def _names(settings: type[BaseSettings]) -> set[str]:
    return {field.upper() for field in settings.model_fields}


SAFE: dict[str, Any] = {
    "kafka_bootstrap_servers": "kafka-1:9093,kafka-2:9093",
    "kafka_security_protocol": "SASL_SSL",
    "notifier_database_url": "postgresql://notifier@db/notifier?sslmode=verify-full",
    "smtp_host": "relais",
    "smtp_tls": "starttls",
    "smtp_sender": "a@b.example",
}


@pytest.mark.parametrize(
    ("set_so", "named"),
    [
        ({}, []),
        ({"kafka_security_protocol": "PLAINTEXT", "kafka_bootstrap_servers": "[::1]:9092,localhost"}, []),
        ({"notifier_database_url": "postgresql://notifier@db/notifier?sslmode=require"}, ["sslmode"]),
        ({"notifier_database_url": "postgresql:///notifier"}, []),
        ({"notifier_database_url": "postgresql:///notifier?host=/run/postgresql"}, []),
        ({"notifier_database_url": "postgresql:///notifier?host=127.0.0.1&host=db"}, ["sslmode"]),
        ({"notifier_database_url": "postgresql://notifier@127.0.0.1/notifier?host=db"}, ["sslmode"]),
        ({"smtp_tls": "none"}, ["SMTP_TLS"]),
        ({"smtp_tls": "none", "smtp_host": "localhost"}, []),
    ],
)
def test_what_others_on_the_network_may_read_is_named(set_so: dict[str, Any], named: list[str]) -> None:
    unprotected = Notifier(**(SAFE | set_so), parcours_trial=True).unprotected
    assert len(unprotected) == len(named)
    assert all(name in line for name, line in zip(named, unprotected.values(), strict=True))


@pytest.mark.parametrize(
    ("set_so", "name"),
    [
        ({"kafka_security_protocol": "PLAINTEXT"}, "kafka"),
        ({"notifier_database_url": "postgresql://notifier@db/notifier"}, "database"),
        ({"notifier_database_url": "postgresql:///notifier?host=db"}, "database"),
        ({"smtp_tls": "none"}, "mails"),
    ],
)
def test_outside_a_trial_nothing_is_sent_for_others_to_read_but_what_is_named(
    set_so: dict[str, Any], name: str
) -> None:
    for accepted in ("", ",".join(UNPROTECTED - {name})):
        with pytest.raises(ValidationError, match=f"UNPROTECTED_ACCEPTED={name}"):
            Notifier(**(SAFE | set_so), unprotected_accepted=accepted)
    assert name in Notifier(**(SAFE | set_so), unprotected_accepted=f"{name}, kafka").unprotected


@pytest.mark.parametrize(
    "everybody",
    ["*", "10.0.0.1, *", "0.0.0.0/00", "0.0.0.0/0.0.0.0", "10.0.0.1,::/0", "0.0.0.0/1, 128.0.0.0/1"],
)
def test_outside_a_trial_only_proxies_say_who_the_visitor_is(everybody: str) -> None:
    with pytest.raises(ValidationError, match="FORWARDED_ALLOW_IPS believes everybody"):
        Notifier(**SAFE, forwarded_allow_ips=everybody)
    Notifier(**SAFE, forwarded_allow_ips="10.0.0.1, 192.168.0.0/16")
    Notifier(**SAFE, forwarded_allow_ips=everybody, parcours_trial=True)


def test_requests_are_kept_as_long_as_an_inbox() -> None:
    days = inbox.KEPT.days
    assert EnrolmentRetention(enrolment_ended_kept_days=days).enrolment_ended_kept_days == days
    with pytest.raises(ValidationError, match="greater than or equal to 90"):
        EnrolmentRetention(enrolment_ended_kept_days=days - 1)
