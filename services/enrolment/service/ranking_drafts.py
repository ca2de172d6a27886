from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.ranking import DraftChange, RankingDraft, arranged
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import selection
from services.enrolment.service.acting import Acting
from services.enrolment.service.failures import DraftHasChanged, UndecidedCandidates
from services.enrolment.service.selection import Selection
from services.enrolment.service.sessions import lock_own, read_own
from services.enrolment.store import ranking_drafts, roster_lines
from services.enrolment.store.ranking_drafts import draft_of
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.read_log import Reading


@dataclass(frozen=True, slots=True)
class CandidatesToRank:
    """Candidates come in order of receipt. ``author`` and ``saved_at`` are None without a draft."""

    lines: Sequence[RosterLine]
    draft: RankingDraft
    author: str | None
    saved_at: datetime | None


async def show(
    tx: Transaction, session_id: UUID, organiser: Principal, reading: Reading
) -> CandidatesToRank | None:
    if await read_own(tx, session_id, organiser, reading) is None:
        return None
    row = await ranking_drafts.find(tx, session_id)
    return CandidatesToRank(
        lines=[line async for line in _lines(tx, session_id)],
        draft=draft_of(row),
        author=None if row is None else row.author,
        saved_at=None if row is None else row.saved_at,
    )


async def draft_of_session(tx: Transaction, session: SessionState) -> RankingDraft:
    return draft_of(await ranking_drafts.find(tx, session.session_id))


async def save(acting: Acting, session_id: UUID, change: DraftChange) -> int:
    """Raises ``DraftHasChanged`` if another draft was saved since, ``NotFound``. Returns the new version."""
    await lock_own(acting.tx, session_id, acting.who)
    kept = draft_of(await ranking_drafts.find(acting.tx, session_id))
    if kept.version != change.version:
        raise DraftHasChanged
    return await _save(acting, session_id, change.on(kept, [*await _candidates(acting.tx, session_id)]))


async def decide(
    acting: Acting,
    session_id: UUID,
    *,
    version: int,
    dry_run: bool = False,
) -> Selection:
    """Decide about all candidates by the draft, and empty it.

    ``dry_run`` counts the result without storing it, and blocks other drafts until the transaction ends.
    Raises the errors of :func:`selection.select`, ``DraftHasChanged``, ``UndecidedCandidates``.
    """
    await lock_own(acting.tx, session_id, acting.who)
    draft = draft_of(await ranking_drafts.find(acting.tx, session_id))
    if draft.version != version:
        raise DraftHasChanged
    candidates = await _candidates(acting.tx, session_id)
    order = arranged(draft, [*candidates])
    if order.undecided:
        raise UndecidedCandidates(len(order.undecided))
    ranked, not_selected = (
        [candidates[candidate] for candidate in part] for part in (order.ranked, order.not_selected)
    )
    selected = await selection.select(acting, session_id, ranked, not_selected, dry_run=dry_run)
    if not dry_run:
        await _save(acting, session_id, RankingDraft(draft.version))
    return selected


async def _candidates(tx: Transaction, session_id: UUID) -> dict[UUID, NamedAgent]:
    return {
        line.enrolment.enrolment_id: NamedAgent(line.enrolment.agent.agent_id, line.enrolment.agent.issuer)
        async for line in _lines(tx, session_id)
    }


def _lines(tx: Transaction, session_id: UUID) -> AsyncIterator[RosterLine]:
    return roster_lines.stream(tx, session_id, states=[State.PENDING_SELECTION])


async def _save(acting: Acting, session_id: UUID, draft: RankingDraft) -> int:
    saved = replace(draft, version=draft.version + 1)
    await ranking_drafts.save(acting.tx, session_id, saved, acting.who.name, acting.now)
    return saved.version
