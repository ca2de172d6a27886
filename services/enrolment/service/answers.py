import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.enrolment.store import answers
from shared import read_log
from shared.database import Transaction
from shared.events import cloudevents
from shared.events.vocabulary import AgentKey
from shared.messaging.tables import OutboxRow
from shared.read_log import Reading, ReadKind


@dataclass(frozen=True, slots=True)
class FeedPage:
    answers: Sequence[OutboxRow]
    next: int


class NeverGiven(LookupError):
    """The feed has not reached the given number; ``last`` is its newest."""

    def __init__(self, last: int) -> None:
        super().__init__(last)
        self.last = last


class Forgotten(LookupError):
    """The answers up to ``kept_after`` are no longer kept."""

    def __init__(self, kept_after: int) -> None:
        super().__init__(kept_after)
        self.kept_after = kept_after


async def page(
    tx: Transaction, portal: str, after: int, limit: int, reading: Reading | None = None
) -> FeedPage:
    """Return the answers after the number ``after``; 0 starts at the oldest.

    Numbers have no gaps, so a gap means that answers were lost. Answers about erased agents are left out,
    but their numbers count. Raises :class:`NeverGiven`, :class:`Forgotten`.
    """
    last = await answers.last_number(tx, portal)  # before the answers, because more may be numbered meanwhile
    found = await answers.page(tx, portal, after, limit)
    before = found[0].number - 1 if found else last
    if after > before:
        raise NeverGiven(before)
    if 0 < after < before:
        raise Forgotten(before)
    known = [numbered.answer for numbered in found if numbered.answer.key]
    if reading is not None and (agents := _agents_in(known)):
        await read_log.record(tx, reading, ReadKind.ANSWERS, agents=agents, of_a_list=True)
    return FeedPage(known, found[-1].number if found else before)


def _agents_in(found: Sequence[OutboxRow]) -> list[AgentKey]:
    agents = [json.loads(answer.data).get("agent") for answer in found]
    return [AgentKey(agent["issuer"], agent["agent_id"]) for agent in agents if agent is not None]


def as_cloudevent(answer: OutboxRow) -> dict[str, Any]:
    """Return the CloudEvent in structured mode."""
    attributes: dict[str, Any] = cloudevents.attributes(
        event_id=answer.event_id,
        event_type=answer.type,
        source=answer.source,
        time=answer.created_at,
        subject=answer.key,
        traceparent=answer.traceparent,
    )
    misrouted = {"misrouted": True} if answer.misrouted else {}
    return attributes | misrouted | {"data": json.loads(answer.data)}


async def last_numbers(tx: Transaction) -> dict[str, int]:
    return await answers.last_numbers(tx)
