"""A stack whose services reach Postgres, Kafka and the mail relay through proxies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from sqlalchemy import make_url

from local.kafka import KafkaBroker
from local.ports import LOOPBACK, free_port
from local.stack import Stack, StackOptions
from tests.proof.proxy import ProxiedKafka, TcpProxy


@dataclass(frozen=True)
class Proxies:
    """``behind_kafka`` is the port of Kafka for those who come through its proxy."""

    postgres: TcpProxy
    kafka: TcpProxy
    mail_relay: TcpProxy
    behind_kafka: int


class ProxiedStack(Stack):
    proxies: Proxies

    @classmethod
    @asynccontextmanager
    async def prepare(cls, options: StackOptions, mail_relay: int) -> AsyncIterator["ProxiedStack"]:
        """Open the ways. The stack is not started yet."""
        behind_kafka = free_port()
        async with (
            TcpProxy(lambda: stack.postgres.port) as to_postgres,
            TcpProxy(lambda: behind_kafka) as to_kafka,
            TcpProxy(lambda: mail_relay) as to_mail_relay,
        ):
            smtp = {"SMTP_HOST": LOOPBACK, "SMTP_PORT": str(to_mail_relay.port), "SMTP_TLS": "none"}
            stack = cls(replace(options, environment={**options.environment, **smtp}), say=say)
            stack.proxies = Proxies(to_postgres, to_kafka, to_mail_relay, behind_kafka)
            yield stack

    def environment(self, service: str) -> dict[str, str]:
        url = make_url(self.database_url(service)).set(port=self.proxies.postgres.port)
        return {
            **super().environment(service),
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{self.proxies.kafka.port}",
            f"{service.upper()}_DATABASE_URL": url.render_as_string(hide_password=False),
        }

    def new_broker(self, port: int) -> KafkaBroker:
        data = self.options.data or self.directory
        kafka = ProxiedKafka(data / "kafka", port, self.directory / "logs" / "kafka-1.log")
        kafka.proxy, kafka.behind_proxy = self.proxies.kafka.port, self.proxies.behind_kafka
        return kafka


def say(event: str) -> None:
    print(f"        {event}", flush=True)
