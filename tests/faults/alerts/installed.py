"""What a cause of an alert acts on, and what an operator does about it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.installation import until
from tests.faults.users import TOKEN, Users


@dataclass(frozen=True)
class Installed:
    """The installation, with those who use it."""

    users: Users

    @property
    def folder(self) -> Path:
        return self.users.installation.folder

    def sql(self, service: str, statement: str) -> str:
        """Run a statement in a service's database, as its superuser. Returns what it prints."""
        return self.users.installation.postgres.execute(statement, service)

    async def until_sql(self, service: str, condition: str) -> None:
        """Wait until this condition holds in a service's database."""

        async def holds() -> bool:
            return await asyncio.to_thread(self.sql, service, f"SELECT {condition}") == "t"

        await until(holds, condition)

    async def restart(self, service: str) -> None:
        """Start a service again, whether it died or runs."""
        process = self.users.services[service]
        await asyncio.to_thread(process.stop)
        await asyncio.to_thread(process.start)

    async def read_rosters(self, number: int) -> None:
        """Read the same list of participants so many times at once, whatever is answered."""
        async with httpx.AsyncClient(
            base_url=self.users.services["enrolment"].url,
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=90,
        ) as client:
            path = f"/api/v1/sessions/{self.users.sessions['large']}/roster"
            await asyncio.gather(*(client.get(path) for _ in range(number)), return_exceptions=True)

    @asynccontextmanager
    async def open_transaction(self, service: str, statement: str) -> AsyncIterator[None]:
        """Hold what a statement locks until an operator ends the session, as their page says."""
        holder = await asyncpg.connect(self.users.installation.postgres.url(service))
        try:
            await holder.execute("BEGIN")
            await holder.execute(statement)
            yield
            holds = f"state = 'idle in transaction' AND query = $q${statement}$q$"
            end = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {holds}"
            assert int(await asyncio.to_thread(self.sql, service, end)) == 1
        finally:
            holder.terminate()

    @asynccontextmanager
    async def kafka_admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Give a client that changes topics."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.users.installation.kafka.bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


@dataclass(frozen=True)
class AlertCause:
    """What has these alerts fire; on the way out it is ended as their pages say."""

    alerts: tuple[str, ...]
    caused: Callable[[Installed], AbstractAsyncContextManager[None]]
