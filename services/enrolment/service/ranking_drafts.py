"""Organisers draft a ranking, alone or several at once, before they decide by it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.ranking import RankingDraft
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service.sessions import find_own
from services.enrolment.store import ranking_drafts, roster_lines, sessions
from services.enrolment.store.ranking_drafts import draft_of
from shared import read_log
from shared.auth import Principal
from shared.database import Transaction
from shared.read_log import Reading, ReadKind


@dataclass(frozen=True, slots=True)
class CandidatesToRank:
    """The candidates of a session in order of receipt, and the draft of their ranking.

    ``author`` and ``saved_at`` are those of the draft; None: none was saved.
    """

    lines: Sequence[RosterLine]
    draft: RankingDraft
    author: str | None
    saved_at: datetime | None


async def show(
    tx: Transaction, session_id: UUID, organiser: Principal, reading: Reading
) -> CandidatesToRank | None:
    """Return the candidates of a session and its draft; None: it is not the organiser's. It is recorded."""
    if await find_own(tx, session_id, organiser) is None:
        return None
    await read_log.record(tx, reading, ReadKind.ROSTER, session_id=session_id)
    row = await ranking_drafts.find(tx, session_id)
    return CandidatesToRank(
        lines=[line async for line in roster_lines.stream(tx, session_id, states=[State.PENDING_SELECTION])],
        draft=draft_of(row),
        author=None if row is None else row.author,
        saved_at=None if row is None else row.saved_at,
    )


async def save(
    tx: Transaction, session_id: UUID, draft: RankingDraft, organiser: Principal, now: datetime
) -> RankingDraft | None:
    """Keep a draft if nobody has saved another since its version; return it with its new one.

    None: somebody has, and nothing is kept. The session is known to be the organiser's.
    """
    await sessions.lock(tx, [session_id])
    stored = draft_of(await ranking_drafts.find(tx, session_id))
    if stored.version != draft.version:
        return None
    saved = replace(draft, version=draft.version + 1)
    await ranking_drafts.save(tx, session_id, saved, organiser.name, now)
    return saved


async def lock(tx: Transaction, session_id: UUID) -> None:
    """Keep others from saving a draft, or deciding, until the transaction ends."""
    await sessions.lock(tx, [session_id])


async def clear(
    tx: Transaction, session_id: UUID, draft: RankingDraft, organiser: Principal, now: datetime
) -> None:
    """Empty the draft of a session, since it was decided by it; its versions go on. The session is locked."""
    await ranking_drafts.save(tx, session_id, RankingDraft(draft.version + 1), organiser.name, now)
