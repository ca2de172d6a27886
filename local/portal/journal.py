"""Stores requests and answers in order, in a file, so that a restart loses nothing.

A request is stored before it is sent. After a restart, unacknowledged requests are sent again with the same
id.
"""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from local.people import Agent
from local.portal.envelope import Envelope
from local.portal.people import STAFF, agent_of


@dataclass(frozen=True)
class Travel:
    """A request sent or an answer read. `place` is partition and offset, or None until a broker has it."""

    way: Literal["sent", "heard"]
    envelope: Envelope
    at: datetime
    place: tuple[int, int] | None


class Journal:
    def __init__(self, path: Path) -> None:
        """Raises `ValueError` if the file is no journal."""
        self.travels: list[Travel] = []
        self.newcomers: list[Agent] = []
        self.moves = 0
        self._agent_ids = {agent.agent_id for agent in STAFF}
        self._index: dict[tuple[str, str, str], int] = {}
        self._next_move = asyncio.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        for line in path.read_text().splitlines() if path.exists() else ():
            self._apply(json.loads(line))

    def unacknowledged(self) -> list[Envelope]:
        return [travel.envelope for travel in self.travels if travel.way == "sent" and travel.place is None]

    def add_request(self, envelope: Envelope) -> None:
        self._add({"move": "sent", **asdict(envelope)})

    def acknowledge(self, envelope: Envelope, partition: int, offset: int) -> None:
        self._add({"move": "taken", "id": envelope.id, "place": [partition, offset]})

    def add_answers(self, answers: Sequence[tuple[Envelope, int, int]]) -> None:
        """Store the new answers.

        Leave out answers about agents of other portals of the issuer: everybody who tries `essai` shares one.
        """
        for envelope, partition, offset in answers:
            if self._is_ours(envelope) and _identity("heard", envelope) not in self._index:
                self._add({"move": "heard", **asdict(envelope), "place": [partition, offset]})

    def add_agent(self, agent: Agent) -> None:
        self._add({"move": "agent", "agent": agent.as_json()})

    async def wait_for_more(self, than: int, seconds: float) -> int:
        """Return the journal's number of entries once it differs from `than`, or after this many seconds."""
        if self.moves == than:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._next_move.wait(), seconds)
        return self.moves

    def _is_ours(self, answer: Envelope) -> bool:
        agent = answer.data.get("agent") or {}
        request = ("sent", "", str(answer.data.get("request_id")))
        return agent.get("agent_id") in self._agent_ids or request in self._index

    def _add(self, move: dict[str, Any]) -> None:
        move["at"] = datetime.now(UTC).isoformat()
        with self._path.open("a") as file:
            file.write(json.dumps(move, ensure_ascii=False) + "\n")
        self._apply(move)
        self._next_move.set()
        self._next_move = asyncio.Event()

    def _apply(self, move: dict[str, Any]) -> None:
        self.moves += 1
        match move["move"]:
            case "agent":
                self.newcomers.append(agent_of(move["agent"]))
                self._agent_ids.add(self.newcomers[-1].agent_id)
            case "taken":
                number = self._index["sent", "", move["id"]]
                self.travels[number] = replace(self.travels[number], place=tuple(move["place"]))
            case way:
                headers = tuple((name, value) for name, value in move["headers"])
                envelope = Envelope(move["topic"], move["key"], headers, move["data"])
                self._index[_identity(way, envelope)] = len(self.travels)
                place = move.get("place")
                moment = datetime.fromisoformat(move["at"])
                self.travels.append(Travel(way, envelope, moment, place and tuple(place)))


def _identity(way: str, envelope: Envelope) -> tuple[str, str, str]:
    return way, envelope.attribute("source") if way == "heard" else "", envelope.id
