"""Consumer groups as Kafka sees them: who is a member of which."""

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from shared.messaging.broker import KafkaSettings, client_options

_SECONDS = 5.0
"""How long an answer may take; a healthy broker takes milliseconds."""


class ConsumerGroups:
    """Asks Kafka about its groups, by a connection that is none of a consumer's.

    A connection that fails is made anew, and asked once more: if it was at fault, Kafka is not.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None

    async def members(self, group_ids: Iterable[str]) -> Collection[str] | None:
        """Return the ids of all members of these groups; None: Kafka does not answer."""
        groups = list(group_ids)
        for _ in range(2):
            try:
                async with asyncio.timeout(_SECONDS):
                    admin = await self._connected()
                    return {member for group in groups for member in await _members(admin, group)}
            except (KafkaError, OSError, TimeoutError):
                await self.close()
        return None

    async def close(self) -> None:
        """Close the connection, if there is any."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    await admin.close()

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(**client_options(self._settings, "parcours-groups"))
            await self._admin.start()
        return self._admin


async def _members(admin: AIOKafkaAdminClient, group_id: str) -> list[str]:
    # One group a request: aiokafka 0.14 reads version 3 as if it were 2, and loses its way after the first.
    [answer] = await admin.describe_consumer_groups([group_id])
    [(error, _, _, _, _, members, *_)] = answer.groups
    if error:
        raise for_code(error)(group_id)
    return [member_id for member_id, *_ in members]
