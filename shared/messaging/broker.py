"""Connecting to Kafka: the settings, the FastStream broker of a service, and plain clients.

Every choice here is one that the libraries make otherwise by default and that loses events when made
otherwise: where to start, what to acknowledge, who creates topics.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Sequence
from typing import Any, Literal

from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaRouter
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from pydantic import Field, FilePath, field_validator
from pydantic_settings import BaseSettings

from shared.messaging import header_names

_SERVER = re.compile(r"[^\s:]+(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?")
"""host, host:port, or an IPv6 address in brackets."""

GRACEFUL_SECONDS = 15.0
"""How long a stop waits for the batch in hand."""


class KafkaSettings(BaseSettings):
    """How to reach Kafka, from the environment."""

    kafka_bootstrap_servers: str = Field(description="host:port[,host:port …]", min_length=1)
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str = ""
    kafka_sasl_password: str = Field(default="", repr=False)
    kafka_ca_file: FilePath | None = Field(
        default=None, description="CA certificates (PEM); default: the system's."
    )
    kafka_group_instance_id: str | None = Field(
        default=None, description="Stable name of this replica: a rolling restart then moves no partitions."
    )

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers, one by one."""
        return [server.strip() for server in self.kafka_bootstrap_servers.split(",")]

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _hosts_and_ports(cls, value: str) -> str:
        for server in value.split(","):
            if not _SERVER.fullmatch(server.strip()):
                raise ValueError(f"has {server.strip()!r}, which is not host:port")
        return value


def security_of(settings: KafkaSettings) -> BaseSecurity:
    """TLS and SASL as FastStream wants them."""
    protocol = settings.kafka_security_protocol
    tls = protocol in ("SSL", "SASL_SSL")
    context = ssl.create_default_context(cafile=settings.kafka_ca_file) if tls else None
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
    """Keyword arguments of aiokafka's own clients."""
    return {
        "bootstrap_servers": settings.servers,
        "client_id": client_id,
        **parse_security(security_of(settings)),
    }


def new_router() -> KafkaRouter:
    """A router whose subscribers commit after the effect, never before.

    The policy must stand here: set on the broker, routers' subscribers silently ignore it.
    """
    return KafkaRouter(ack_policy=AckPolicy.NACK_ON_ERROR)


class ConcurrentKafkaBroker(KafkaBroker):
    """Starts its subscribers together: each waits for its group, and some brokers take 5 s over that."""

    async def start(self) -> None:
        await self.connect()
        await asyncio.gather(*(subscriber.start() for subscriber in self.subscribers))
        self.running = True


def new_broker(settings: KafkaSettings, service: str, routers: Sequence[KafkaRouter]) -> KafkaBroker:
    """The consuming side of a service. It publishes nothing: the relay does."""
    header_names.tolerate()
    return ConcurrentKafkaBroker(
        settings.servers,
        client_id=service,
        security=security_of(settings),
        routers=routers,
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=GRACEFUL_SECONDS,
        apply_types=False,
        logger=logging.getLogger("faststream"),
        # "Received" and "Processed" for each batch: silent unless somebody asks for it.
        log_level=logging.DEBUG,
    )
