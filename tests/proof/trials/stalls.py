"""The way to Kafka, or to Postgres, stalls: no connection is closed, new ones are taken, and nothing comes.

A service stands behind proxies that stall. What it must say of itself meanwhile, and how soon it must answer
afterwards, is as in :mod:`tests.proof.trials.outages`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from sqlalchemy import make_url

from local.kafka import KafkaBroker
from local.ports import LOOPBACK, free_port
from tests.proof.trials.installation import Installation, TrialResult, an_installation
from tests.proof.trials.outages import Trial

_LISTENERS = """
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},PROXIED://{host}:{proxied}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},PROXIED://{host}:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
"""


class StallingProxy:
    """Hands on what comes to its port, unless it stalls."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self._flows = asyncio.Event()
        self._flows.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Keep all connections, and hand nothing on."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            there, to_there = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._copy(reader, to_there), self._copy(there, writer))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while content := await source.read(65_536):
                await self._flows.wait()
                target.write(content)
                await target.drain()
        target.close()


class _ProxiedKafka(KafkaBroker):
    """A broker that tells who comes by the port ``proxied`` to come by that of the proxy."""

    proxied, proxy = 0, 0

    def properties(self) -> str:
        return super().properties() + _LISTENERS.format(
            host=LOOPBACK,
            port=self.port,
            controller_port=self._controller_port,
            proxied=self.proxied,
            proxy=self.proxy,
        )


def play() -> TrialResult:
    to_kafka = StallingProxy(free_port())
    with an_installation("enrolment", broker=_proxied(to_kafka)) as installation:
        return asyncio.run(_play(installation, to_kafka))


@contextmanager
def _proxied(proxy: StallingProxy) -> Iterator[KafkaBroker]:
    with TemporaryDirectory(prefix="parcours-stalls-") as folder:
        kafka = _ProxiedKafka(Path(folder))
        kafka.proxied, kafka.proxy = proxy.target, proxy.port
        with kafka.start():
            yield kafka


async def _play(installation: Installation, to_kafka: StallingProxy) -> TrialResult:
    async with to_kafka, StallingProxy(installation.postgres.port) as to_postgres:
        url = make_url(installation.urls["enrolment"]).set(port=to_postgres.port)
        service = installation.service(
            "enrolment",
            ENROLMENT_DATABASE_URL=url.render_as_string(hide_password=False),
            KAFKA_BOOTSTRAP_SERVERS=f"{LOOPBACK}:{to_kafka.port}",
        )
        await asyncio.to_thread(service.start)
        trial = Trial(installation.kafka, installation.postgres, service)
        try:
            await trial.begins()
            await trial.without_kafka("the way to Kafka stalls", to_kafka.stalled())
            await trial.without_postgres("the way to Postgres stalls", to_postgres.stalled())
        finally:
            await asyncio.to_thread(service.stop)
            if trial.result.faults:
                print(service.log.read_text()[-6000:], flush=True)
        return trial.result
