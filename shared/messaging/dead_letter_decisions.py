"""Decisions on dead letters: redrive through the same handler and inbox, or discard."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.database import Database, is_temporary
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey
from shared.messaging import agents_in_turn, dead_letters, outcomes
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.outbox import Outbox
from shared.messaging.router import Router


@dataclass(frozen=True, slots=True)
class DeadLetterDecisions:
    """``consumer`` returns a consumer of a topic without a broker."""

    database: Database
    router: Router
    consumer: Callable[[Topic], Consumer]

    async def redrive(self, letters: Sequence[DeadLetter], *, actor: str) -> Mapping[int, str]:
        """Redrive in the order of the partitions. After a failure, later records of the same key wait.

        On ``portal.agents`` those of the same agent wait. Returns, by id, why a letter is still parked. A
        failure is kept in the audit log too.
        """
        failed: dict[AgentKey | tuple[str, bytes | None], int] = {}
        why: dict[int, str] = {}
        for letter in letters:
            key = self._agent_of(letter) or (letter.record.topic, letter.record.key)
            if letter.record.key is not None and key in failed:
                why[letter.id] = f"waits for {failed[key]}, which stands before it"
            elif (fault := await self._redrive(letter, actor)) is not None:
                failed[key] = letter.id
                why[letter.id] = fault
            else:
                await self._redrive_due([letter], actor)
        return why

    def _agent_of(self, letter: DeadLetter) -> AgentKey | None:
        if letter.record.topic != Topic.PORTAL_AGENTS:
            return None
        return agents_in_turn.agent_of(self.consumer(Topic.PORTAL_AGENTS).read(letter.record))

    async def _redrive_due(self, settled: Sequence[DeadLetter], actor: str) -> None:
        """Redrive what waited behind the ``settled`` letters only."""
        if agents := {agent for letter in settled if (agent := self._agent_of(letter)) is not None}:
            async with self.database.quiet_transaction() as tx:
                due = await agents_in_turn.now_due(tx, agents, self.consumer(Topic.PORTAL_AGENTS).read)
            await self.redrive(due, actor=actor)

    async def _redrive(self, letter: DeadLetter, actor: str) -> str | None:
        try:
            topic = Topic(letter.record.topic)
            if topic not in self.router.subscriptions:
                raise ValueError(f"{self.router.service} does not listen to {topic}")
            await self.consumer(topic).redrive(letter.id, actor)
        except Exception as error:
            if is_temporary(error):
                raise
            async with self.database.transaction() as tx:
                note = type(error).__name__
                await dead_letters.audit(tx, letter.id, action="redrive failed", actor=actor, note=note)
            return str(error)
        return None

    async def discard(self, letters: Sequence[DeadLetter], *, actor: str, reason: str) -> None:
        """Discard the letters that are still parked, and notify the portals that sent them."""
        async with self.database.transaction() as tx:
            ids = [letter.id for letter in letters]
            discarded = await dead_letters.discard(tx, ids, actor=actor, reason=reason)
            await Outbox(self.router.service).publish(tx, outcomes.of_given_up(self.router, discarded))
        await self._redrive_due(discarded, actor)
