"""The feeds of portals: what each hears over HTTP, in the order of its numbers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from services.enrolment.store import answers
from shared import read_log
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.messaging.tables import OutboxRow
from shared.read_log import Reading, ReadKind


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Answers in order, and the number to ask after next."""

    answers: Sequence[OutboxRow]
    next: int


class NeverGiven(LookupError):
    """A number that the feed has not reached; ``last`` is the last that it gave."""

    def __init__(self, last: int) -> None:
        super().__init__(last)
        self.last = last


class Forgotten(LookupError):
    """Answers that follow the number are kept no more; those after ``kept_after`` are."""

    def __init__(self, kept_after: int) -> None:
        super().__init__(kept_after)
        self.kept_after = kept_after


async def page(
    tx: Transaction, portal: str, after: int, limit: int, reading: Reading | None = None
) -> FeedPage:
    """Return the answers of a portal that follow a number; 0: from the oldest that is kept.

    Those about an agent who was erased since are left out; their numbers are passed over. Who of the staff
    reads is recorded. Raises :class:`NeverGiven`, and :class:`Forgotten`: numbers have no gaps, so that a gap
    shows what is lost.
    """
    last = await answers.last_number(tx, portal)  # before the answers: more may be numbered meanwhile
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
    """Return the agents whom these answers are about; a rejection is about none."""
    agents = [json.loads(answer.data).get("agent") for answer in found]
    return [AgentKey(agent["issuer"], agent["agent_id"]) for agent in agents if agent is not None]


async def last_numbers(tx: Transaction) -> dict[str, int]:
    """Return the last number of each portal's feed that has any."""
    return await answers.last_numbers(tx)
