"""The way to Kafka, or to Postgres, stalls: no connection is closed, new ones are taken, and nothing comes.

A service stands behind proxies that stall. What it must say of itself meanwhile, and how soon it must answer
afterwards, is as in :mod:`tests.proof.trials.outages`.
"""

import asyncio

from sqlalchemy import make_url

from local.ports import LOOPBACK, free_port
from tests.proof.proxy import TcpProxy, proxied_kafka
from tests.proof.trials.installation import Installation, TrialResult, an_installation
from tests.proof.trials.outages import Trial


def play() -> TrialResult:
    behind_proxy = free_port()
    to_kafka = TcpProxy(lambda: behind_proxy)
    with an_installation("enrolment", broker=proxied_kafka(to_kafka.port, behind_proxy)) as installation:
        return asyncio.run(_play(installation, to_kafka))


async def _play(installation: Installation, to_kafka: TcpProxy) -> TrialResult:
    async with to_kafka, TcpProxy(lambda: installation.postgres.port) as to_postgres:
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
