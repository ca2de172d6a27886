"""Agents open their enrolments by a log-in, once the mailbox of its address has confirmed it.

The issuer says who the person is and which address is theirs. Portals say which agents have this address.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from services.notifier.service import lost_links
from services.notifier.service.lost_links import AGENTS_OF_A_MAILBOX
from services.notifier.service.subscriptions import Digest
from services.notifier.store import agent_log_ins
from services.notifier.store.agent_log_ins import AgentOfAddress, LoggedInAgent
from shared.database import Transaction


async def agents_of(
    tx: Transaction, who: LoggedInAgent, log_in: UUID, now: datetime
) -> Sequence[AgentOfAddress]:
    """Return the agents whose enrolments the log-in opens: none until it is confirmed."""
    if not await agent_log_ins.use(tx, who, log_in, now):
        return ()
    return await agent_log_ins.agents_with(tx, who.address, AGENTS_OF_A_MAILBOX)


async def write(tx: Transaction, who: LoggedInAgent, digest: Digest, now: datetime) -> None:
    """Ask the mailbox to confirm the log-in. Raises ``NoLetterSent``."""
    request_id = uuid4()
    await lost_links.send(tx, who.address, digest, log_in=request_id)
    await agent_log_ins.ask(tx, who, request_id, now)


async def confirm(tx: Transaction, request_id: UUID, browser: str, now: datetime) -> bool:
    return await agent_log_ins.confirm(tx, request_id, browser, now)


async def end(tx: Transaction, log_in: UUID, browser: str) -> tuple[str, str] | None:
    return await agent_log_ins.end(tx, log_in, browser)


__all__ = ["AgentOfAddress", "LoggedInAgent", "agents_of", "confirm", "end", "write"]
