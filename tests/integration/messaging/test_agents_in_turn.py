"""An agent's records on ``portal.agents`` wait behind the agent's failed erasure or correction."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from faststream import ContextRepo

from services.enrolment import handlers
from services.enrolment.rules.policy import Policy
from services.enrolment.service import corrections
from shared.database import Database
from shared.events.portal import AgentCorrected, AgentErasureRequested, AgentRequest
from shared.events.topics import Topic
from shared.messaging import dead_letters, erasure
from shared.messaging.consumer import Consumer, read
from shared.messaging.dead_letter_decisions import DeadLetterDecisions
from shared.messaging.dead_letters import DeadLetter
from tests.support.consuming import a_record
from tests.support.statements import execute

ERASURE = AgentErasureRequested(
    agent_id="IEL-1", issuer="iel", requested_at=datetime(2026, 11, 3, tzinfo=UTC)
)


def correction(name: str, issuer: str = "iel", agent_id: str = "IEL-1") -> AgentCorrected:
    return AgentCorrected(agent_id=agent_id, issuer=issuer, family_name=name)


class AgentsConsumer:
    """Takes records of ``portal.agents`` as the enrolment service does, at rising offsets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._offset = 0
        self.decisions = DeadLetterDecisions(database, handlers.router, self.consumer)

    def consumer(self, topic: Topic) -> Consumer:
        return Consumer(
            handlers.router.subscriptions[topic], self._database, ContextRepo({"policy": Policy()})
        )

    async def take(self, *events: AgentRequest) -> None:
        records = [
            # The key of a portal's record decides nothing.
            replace(a_record(event), offset=self._offset + number, key=f"{number}".encode())
            for number, event in enumerate(events)
        ]
        self._offset += len(records)
        await self.consumer(Topic.PORTAL_AGENTS).take([read(record) for record in records])

    async def letters(self) -> Sequence[DeadLetter]:
        async with self._database.quiet_transaction() as tx:
            return await dead_letters.find(tx, limit=100)

    async def states(self) -> list[str]:
        return [letter.state for letter in await self.letters()]

    async def actions(self) -> list[str]:
        rows = await execute(self._database, "SELECT action FROM dead_letter_audit ORDER BY id")
        return [row.action for row in rows]

    async def applied(self) -> list[str]:
        rows = await execute(self._database, "SELECT after FROM correction ORDER BY received_at")
        return [row.after["family_name"] for row in rows]


@pytest.fixture
def agents(database: Database) -> AgentsConsumer:
    return AgentsConsumer(database)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Corrections to the name Poison and all erasures fail until :meth:`undo`."""
    applies, keeps = corrections._correct, erasure.keep_requests

    async def correct(tx, agent, after, requested, now):  # type: ignore[no-untyped-def]
        if after["family_name"] == "Poison":
            raise ZeroDivisionError
        await applies(tx, agent, after, requested, now)

    async def keep(tx, received):  # type: ignore[no-untyped-def]
        if any(isinstance(request.event, AgentErasureRequested) for request in received):
            raise ZeroDivisionError
        await keeps(tx, received)

    monkeypatch.setattr(corrections, "_correct", correct)
    monkeypatch.setattr(erasure, "keep_requests", keep)
    return monkeypatch


@pytest.mark.parametrize("failing", [correction("Poison"), ERASURE], ids=["correction", "erasure"])
async def test_only_later_records_of_the_same_agent_wait(
    agents: AgentsConsumer, broken: pytest.MonkeyPatch, failing: AgentRequest
) -> None:
    await agents.take(correction("A"), failing, correction("B"), correction("C", issuer="cdg35"))
    await agents.take(correction("D"), correction("E", agent_id="IEL-2"))

    assert await agents.applied() == ["A", "C", "E"]
    assert [letter.record.offset for letter in await agents.letters()] == [1, 2, 4]


async def test_an_erasure_waits_for_no_correction(
    agents: AgentsConsumer, broken: pytest.MonkeyPatch, database: Database
) -> None:
    await agents.take(correction("Poison"))
    broken.undo()

    await agents.take(correction("B"), ERASURE)

    assert [letter.record.offset for letter in await agents.letters()] == [0, 1]
    assert len(await execute(database, "SELECT FROM erasure")) == 1


async def test_what_waited_is_handled_in_order_after_a_redrive(
    agents: AgentsConsumer, broken: pytest.MonkeyPatch
) -> None:
    await agents.take(correction("Poison"), correction("B"))
    await agents.take(correction("C"))
    broken.undo()

    still_parked = await agents.decisions.redrive((await agents.letters())[:1], actor="nadia")

    assert still_parked == {}
    assert await agents.states() == ["redriven"] * 3
    assert await agents.applied() == ["Poison", "B", "C"]


async def test_what_waits_stays_while_the_redrive_fails(
    agents: AgentsConsumer, broken: pytest.MonkeyPatch
) -> None:
    await agents.take(correction("Poison"), correction("B"))

    await agents.decisions.redrive(await agents.letters(), actor="nadia")

    assert await agents.states() == ["parked"] * 2


async def test_what_waited_is_handled_after_a_discard(
    agents: AgentsConsumer, broken: pytest.MonkeyPatch
) -> None:
    await agents.take(correction("Poison"), correction("B"))

    await agents.decisions.discard((await agents.letters())[:1], actor="nadia", reason="Wrong.")

    assert await agents.states() == ["discarded", "redriven"]
    assert await agents.applied() == ["B"]


async def test_what_waits_behind_two_is_handled_after_both(
    agents: AgentsConsumer, broken: pytest.MonkeyPatch
) -> None:
    await agents.take(correction("Poison"), correction("Poison"), correction("B"))
    failed, waiting, _ = await agents.letters()

    await agents.decisions.discard([waiting], actor="nadia", reason="Wrong.")
    assert await agents.states() == ["parked", "discarded", "parked"]
    assert await agents.actions() == ["discarded"]

    await agents.decisions.discard([failed], actor="nadia", reason="Wrong.")
    assert await agents.states() == ["discarded", "discarded", "redriven"]
    assert await agents.applied() == ["B"]
