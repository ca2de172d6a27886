from collections.abc import Sequence
from typing import NamedTuple

from services.notifier.service import near_names
from services.notifier.store import enrolments, mails, people
from services.notifier.store.people import KnownPerson
from shared import read_log
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.read_log import Reading, ReadKind
from shared.references import ids_of

__all__ = [
    "MOST",
    "Found",
    "KnownPerson",
    "agents_by_identifier_or_reference",
    "find",
]

MOST = 50


class Found(NamedTuple):
    """``is_near``: the persons have a similar name, because nobody has the typed one."""

    persons: list[KnownPerson]
    is_near: bool


async def find(tx: Transaction, typed: str, reading: Reading) -> Found:
    """Return at most one person more than :data:`MOST`.

    The read log gets a line for each person found, or one line if nobody was. The typed text is not stored.
    """
    by_name = is_near = False
    if "@" in typed:
        found = await people.with_address(tx, typed, most=MOST + 1)
    else:
        found = list(dict.fromkeys(await agents_by_identifier_or_reference(tx, typed, None)))[: MOST + 1]
        if not found:
            by_name = True
            found = await people.with_name(tx, typed, most=MOST + 1)
            if not found:
                found = await near_names.agents_nearly_called(tx, typed, most=MOST + 1)
                is_near = bool(found)
    await read_log.record(tx, reading, ReadKind.PERSON, agents=found[:MOST], of_a_list=by_name)
    return Found(await people.known(tx, found), is_near)


async def agents_by_identifier_or_reference(
    tx: Transaction, agent_id: str, issuer: str | None
) -> list[AgentKey]:
    known = [*await enrolments.agents_called(tx, agent_id), *await mails.called(tx, agent_id)]
    if (called := _by_issuer(known, issuer)) or (ids := ids_of(agent_id)) is None:
        return called
    return _by_issuer(await enrolments.agents_between(tx, *ids), issuer)


def _by_issuer(agents: Sequence[AgentKey], issuer: str | None) -> list[AgentKey]:
    return [agent for agent in agents if issuer in (None, agent.issuer)]
