import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.portal.envelope import SigningKey


@dataclass(frozen=True)
class Settings:
    """Without a `key`, requests are not signed; only `essai` may send such requests, in a trial.

    `catalogue` is the API's address. `catalogue_pages` and `mails` are addresses for links in pages, or "".
    """

    portal: str
    key: SigningKey | None
    catalogue: str
    catalogue_pages: str
    mails: str
    kafka: Mapping[str, Any]

    @property
    def source(self) -> str:
        return f"/portals/{self.portal}"

    @property
    def answers(self) -> str:
        return f"portal.answers.{self.portal}"

    @property
    def group(self) -> str:
        return f"portal.{self.portal}.answers"


def from_environment(given: Mapping[str, str] = os.environ) -> Settings:
    """Raises `KeyError` for a missing setting, `ValueError` for an invalid secret."""
    secret = given.get("SECRET", "")
    catalogue = given["CATALOGUE_URL"].rstrip("/")
    return Settings(
        portal=given["PORTAL"],
        key=SigningKey.of(given["KEY_ID"], secret) if secret else None,
        catalogue=catalogue,
        catalogue_pages=given.get("CATALOGUE_PUBLIC_URL", catalogue).rstrip("/"),
        mails=given.get("MAILBOX_URL", ""),
        kafka=_kafka(given),
    )


def _kafka(given: Mapping[str, str]) -> dict[str, Any]:
    protocol = given.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    options: dict[str, Any] = {
        "bootstrap_servers": given["KAFKA_BOOTSTRAP_SERVERS"].split(","),
        "client_id": f"portal-{given['PORTAL']}",
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=given.get("KAFKA_CA_FILE"))
    if protocol.startswith("SASL"):
        options["sasl_mechanism"] = given.get("KAFKA_SASL_MECHANISM", "PLAIN")
        options["sasl_plain_username"] = given.get("KAFKA_SASL_USERNAME")
        options["sasl_plain_password"] = given.get("KAFKA_SASL_PASSWORD")
    return options
