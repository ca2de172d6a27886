from uuid import UUID

from sqlalchemy import insert

from services.enrolment.tables import NewAddressRow
from shared.database import Transaction
from shared.events.enrolment import NewAddressGiven


async def keep(tx: Transaction, given: NewAddressGiven) -> None:
    row = {
        "request_id": given.request_id,
        "enrolment_id": given.enrolment_id,
        **given.agent.key._asdict(),
        "present": given.agent.email,
        "address": given.new_address,
        "given_at": given.given_at,
    }
    await tx.execute(insert(NewAddressRow).values(row))


async def find(tx: Transaction, request_id: UUID) -> NewAddressRow | None:
    return await tx.get(NewAddressRow, request_id)
