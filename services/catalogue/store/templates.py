from uuid import UUID

from sqlalchemy import delete, func, select
from sqlmodel import col

from services.catalogue.rules.sessions import SessionTemplate
from services.catalogue.tables import SessionRow, SessionTemplateRow
from shared.database import Transaction
from shared.statements import insert_many

_RENAME = "ON CONFLICT (session_id) DO UPDATE SET name = excluded.name"


async def of(tx: Transaction, organiser: str | None) -> list[SessionTemplate]:
    query = (
        select(
            col(SessionTemplateRow.session_id),
            col(SessionTemplateRow.name),
            col(SessionTemplateRow.organiser),
            col(SessionRow.title),
        )
        .join(SessionRow, col(SessionRow.session_id) == col(SessionTemplateRow.session_id))
        .order_by(col(SessionTemplateRow.name), col(SessionTemplateRow.session_id))
    )
    if organiser is not None:
        query = query.where(col(SessionTemplateRow.organiser) == organiser)
    return [
        SessionTemplate(row.session_id, row.name, row.organiser, row.title) for row in await tx.execute(query)
    ]


async def count(tx: Transaction, organiser: str) -> int:
    query = select(func.count()).where(col(SessionTemplateRow.organiser) == organiser)
    return int((await tx.execute(query)).scalar_one())


async def named(tx: Transaction, organiser: str, name: str) -> UUID | None:
    query = select(col(SessionTemplateRow.session_id)).where(
        col(SessionTemplateRow.organiser) == organiser, col(SessionTemplateRow.name) == name
    )
    return await tx.scalar(query)


async def name_of(tx: Transaction, session_id: UUID) -> str | None:
    query = select(col(SessionTemplateRow.name)).where(col(SessionTemplateRow.session_id) == session_id)
    return await tx.scalar(query)


async def save(tx: Transaction, template: SessionTemplate) -> None:
    row = {"session_id": template.session_id, "organiser": template.organiser, "name": template.name}
    await insert_many(tx, SessionTemplateRow, [row], then=_RENAME)


async def remove(tx: Transaction, session_id: UUID) -> None:
    await tx.execute(delete(SessionTemplateRow).where(col(SessionTemplateRow.session_id) == session_id))
