"""The settings of the connection to Kafka, and the options of aiokafka's clients."""

import contextlib
import re
import ssl
from typing import Any, Literal

from pydantic import Field, FilePath, field_validator
from pydantic_settings import BaseSettings

_SERVER = re.compile(r"[^\s:]+(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?")


class KafkaSettings(BaseSettings):
    """How to reach Kafka, from the environment."""

    kafka_bootstrap_servers: str = Field(description="host:port[,host:port …]", min_length=1)
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Whether Kafka asks for TLS, and for a name and password."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="How the password is proved to Kafka."
    )
    kafka_sasl_username: str = Field(default="", description="Our name at Kafka, by SASL.")
    kafka_sasl_password: str = Field(default="", repr=False, description="Our password at Kafka.")
    kafka_ca_file: FilePath | None = Field(
        default=None, description="CA certificates (PEM); default: the system's."
    )
    kafka_group_instance_id: str | None = Field(
        default=None,
        description="Name of this replica, only where one of that name is back within 10 s of its stop.",
    )

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.kafka_bootstrap_servers.split(",")]

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _hosts_and_ports(cls, value: str) -> str:
        for server in value.split(","):
            if not _SERVER.fullmatch(server.strip()):
                raise ValueError(f"has {server.strip()!r}, which is not host:port")
        return value


class _HangsUp(ssl.SSLObject):
    """A TLS connection that closes without waiting for the other side (RFC 8446, 6.1).

    A broker closes only after it has answered earlier requests. uvloop waits 30 seconds for that, and a
    service could not stop.
    """

    def unwrap(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            super().unwrap()


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return None if the connection has no TLS."""
    if settings.kafka_security_protocol not in ("SSL", "SASL_SSL"):
        return None
    context = ssl.create_default_context(cafile=settings.kafka_ca_file)
    context.sslobject_class = _HangsUp
    return context


def client_options(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Return the keyword arguments of aiokafka's clients."""
    options = {
        "bootstrap_servers": settings.servers,
        "client_id": client_id,
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": tls_context(settings),
    }
    if not settings.kafka_security_protocol.startswith("SASL"):
        return options
    return options | {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password,
    }
