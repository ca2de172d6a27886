"""The settings of the connection to Kafka, for FastStream and aiokafka."""

import contextlib
import re
import ssl
from typing import Any, Literal

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
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


def security_of(settings: KafkaSettings) -> BaseSecurity:
    """Return TLS and SASL for FastStream."""
    protocol = settings.kafka_security_protocol
    tls = protocol in ("SSL", "SASL_SSL")
    context = ssl.create_default_context(cafile=settings.kafka_ca_file) if tls else None
    if context is not None:
        context.sslobject_class = _HangsUp
    if not protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=tls)
    mechanisms: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
        "PLAIN": SASLPlaintext,
        "SCRAM-SHA-256": SASLScram256,
        "SCRAM-SHA-512": SASLScram512,
    }
    return mechanisms[settings.kafka_sasl_mechanism](
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password,
        ssl_context=context,
        use_ssl=tls,
    )


def client_options(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Return the keyword arguments of aiokafka's clients."""
    return {
        "bootstrap_servers": settings.servers,
        "client_id": client_id,
        **parse_security(security_of(settings)),
    }
