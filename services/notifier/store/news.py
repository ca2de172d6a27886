from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.notifier.letters import Interest, NewsItem, NewsKind
from services.notifier.tables import NewsRow
from shared.database import Transaction


async def save(tx: Transaction, event_id: UUID, item: NewsItem) -> bool:
    """A newer version corrects what is still to be sent. Returns whether the item is new."""
    is_new: bool | None = await tx.scalar(
        _SAVE,
        {
            "item_id": item.item_id,
            "event_id": event_id,
            "kind": item.kind.value,
            "title": item.title,
            "summary": item.summary,
            "url": item.url,
            "interests": [str(interest) for interest in item.interests],
            "session_id": item.session_id,
            "published_at": item.published_at,
        },
    )
    return bool(is_new)


async def find(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, NewsItem]:
    return {
        row.item_id: NewsItem(
            row.item_id,
            NewsKind(row.kind),
            row.title,
            row.summary,
            row.url,
            tuple(map(Interest.parse, row.interests)),
            row.published_at,
            row.session_id,
        )
        for row in await tx.scalars(select(NewsRow).where(col(NewsRow.item_id).in_(ids)))
    }


async def communities(tx: Transaction) -> dict[str, str]:
    """A community is followed by its first theme (`letters.news_of`)."""
    return {row.interest: row.title for row in await tx.execute(_COMMUNITIES)}


_SAVE = text(
    """
    INSERT INTO news (item_id, event_id, kind, title, summary, url, interests, session_id, published_at)
    VALUES (:item_id, :event_id, :kind, :title, :summary, :url, :interests, :session_id, :published_at)
        ON CONFLICT (item_id) DO UPDATE
           SET title = excluded.title, summary = excluded.summary, url = excluded.url
    RETURNING xmax = 0"""  # an existing row has the xmax of this transaction
)
_COMMUNITIES = text(
    "SELECT DISTINCT ON (interest) interest, title FROM news CROSS JOIN LATERAL ("
    "SELECT interest FROM unnest(interests) WITH ORDINALITY AS theme (interest, place) "
    "WHERE interest LIKE 'community:%' ORDER BY place LIMIT 1) AS named "
    "WHERE kind = 'community' ORDER BY interest, published_at, item_id"
)
