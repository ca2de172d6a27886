from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from services.notifier.store.bounces import digest_of
from services.notifier.tables import AgentLogInRow
from shared.database import Transaction


class LoggedInAgent(NamedTuple):
    """``person`` is the digest of somebody's issuer and subject, ``browser`` that of its cookie.

    ``issuer`` is our name of it, ``sealed_tokens`` are its tokens.
    """

    person: str
    address: str
    browser: str
    issuer: str
    sealed_tokens: str


class AgentOfAddress(NamedTuple):
    """``enrolment_id`` is that of the agent's newest enrolment with the address."""

    enrolment_id: UUID
    given_name: str
    family_name: str
    address: str
    since: datetime


async def use(tx: Transaction, who: LoggedInAgent, log_in: UUID, now: datetime) -> bool:
    """Return whether the mailbox has confirmed the log-in, and keep what its log-out needs."""
    digests = _digests(tx, who)
    used = await tx.execute(
        update(AgentLogInRow)
        .where(
            col(AgentLogInRow.person) == digests["person"],
            col(AgentLogInRow.address) == digests["address"],
            col(AgentLogInRow.is_confirmed),
        )
        .values(
            request_id=log_in,
            browser=who.browser,
            issuer=who.issuer,
            sealed_tokens=who.sealed_tokens,
            used_at=now,
        )
    )
    return used.rowcount == 1


async def ask(tx: Transaction, who: LoggedInAgent, request_id: UUID, now: datetime) -> None:
    """Keep the log-in until its letter confirms it. An earlier letter confirms nothing any more."""
    asked = {"request_id": request_id, "browser": who.browser, "used_at": now}
    await tx.execute(
        insert(AgentLogInRow)
        .values(**_digests(tx, who), **asked)
        .on_conflict_do_update(index_elements=["person", "address"], set_=asked)
    )


async def confirm(tx: Transaction, request_id: UUID, browser: str, now: datetime) -> bool:
    """Return False if another browser logged in, or if the letter was used or another one followed it."""
    confirmed = await tx.execute(
        update(AgentLogInRow)
        .where(
            col(AgentLogInRow.request_id) == request_id,
            col(AgentLogInRow.browser) == browser,
            ~col(AgentLogInRow.is_confirmed),
        )
        .values(is_confirmed=True, used_at=now)
    )
    return confirmed.rowcount == 1


async def end(tx: Transaction, log_in: UUID, browser: str) -> tuple[str, str] | None:
    """Forget the tokens. Returns them and the issuer's name, or None if this browser did not log in last."""
    row = await tx.scalar(
        select(AgentLogInRow)
        .where(
            col(AgentLogInRow.request_id) == log_in,
            col(AgentLogInRow.browser) == browser,
        )
        .with_for_update()
    )
    if row is None or row.issuer is None or row.sealed_tokens is None:
        return None
    tokens, row.sealed_tokens = row.sealed_tokens, None
    await tx.flush()
    return row.issuer, tokens


async def forget(tx: Transaction, addresses: Iterable[str]) -> None:
    digests = [digest_of(tx, address) for address in addresses]
    await tx.execute(delete(AgentLogInRow).where(col(AgentLogInRow.address).in_(digests)))


async def agents_with(tx: Transaction, address: str, most: int) -> list[AgentOfAddress]:
    """Return at most ``most`` agents, those with the newest enrolments first."""
    rows = await tx.execute(_AGENTS, {"address": address, "most": most})
    return [AgentOfAddress(*row) for row in rows]


def _digests(tx: Transaction, who: LoggedInAgent) -> dict[str, bytes]:
    return {"person": digest_of(tx, who.person), "address": digest_of(tx, who.address)}


_AGENTS = text(
    "SELECT enrolment_id, given_name, family_name, address, since FROM ("
    "SELECT DISTINCT ON (issuer, agent_id) * FROM enrolment WHERE lower(address) = lower(:address) "
    "ORDER BY issuer, agent_id, since DESC) AS newest ORDER BY since DESC LIMIT :most"
)
