from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.enrolment.rules.certificates import folded
from services.enrolment.rules.links import RosterLinkState, roster_state
from services.enrolment.rules.states import SEATED
from services.enrolment.store import roster_lines, sessions
from shared import read_log
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.read_log import Reading, ReadKind

MOST = 1_000
"""The most agents shown. Only MOOCs have more, and these need no roll call."""


class TrainerRoster(NamedTuple):
    session: SessionState
    agents: Sequence[Agent]
    is_cut: bool


async def read(
    tx: Transaction, session_id: UUID, trainer_id: UUID, now: datetime
) -> TrainerRoster | RosterLinkState:
    session = await sessions.find(tx, session_id)
    state = roster_state(session, trainer_id, now)
    if session is None or state is not RosterLinkState.OPEN:
        return state
    await read_log.record(tx, Reading.by_trainer(trainer_id), ReadKind.ROSTER, session_id=session_id)
    lines = await roster_lines.page(tx, session_id, None, MOST + 1, states=SEATED)
    agents = [line.enrolment.agent for line in lines[:MOST]]
    by_name = sorted(agents, key=lambda agent: (folded(agent.family_name), folded(agent.given_name)))
    return TrainerRoster(session, by_name, len(lines) > MOST)
