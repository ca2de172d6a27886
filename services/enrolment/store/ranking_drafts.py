from datetime import datetime
from uuid import UUID

from services.enrolment.rules.ranking import RankingDraft
from services.enrolment.tables import RankingDraftRow
from shared.database import Transaction


async def find(tx: Transaction, session_id: UUID) -> RankingDraftRow | None:
    return await tx.get(RankingDraftRow, session_id, populate_existing=True)


def draft_of(row: RankingDraftRow | None) -> RankingDraft:
    if row is None:
        return RankingDraft()
    return RankingDraft(
        row.version,
        {UUID(enrolment_id): rank for enrolment_id, rank in row.ranks.items()},
        frozenset(map(UUID, row.not_selected)),
    )


async def save(tx: Transaction, session_id: UUID, draft: RankingDraft, author: str, now: datetime) -> None:
    """Replace the draft. The caller has locked the session's row."""
    await tx.merge(
        RankingDraftRow(
            session_id=session_id,
            version=draft.version,
            ranks={str(enrolment_id): rank for enrolment_id, rank in draft.ranks.items()},
            not_selected=sorted(map(str, draft.not_selected)),
            author=author,
            saved_at=now,
        )
    )
    await tx.flush()
