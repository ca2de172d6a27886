from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.enrolment.rules.groups import ReceivedList
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.tables import EMPLOYER, LastNominationRow
from shared.database import Transaction
from shared.statements import insert_many


async def load(tx: Transaction, rosters: Collection[SessionRoster]) -> None:
    if not rosters:
        return
    by_session: dict[UUID, SessionRoster] = {roster.session.session_id: roster for roster in rosters}
    for row in await tx.scalars(
        select(LastNominationRow).where(col(LastNominationRow.session_id).in_(by_session))
    ):
        by_session[row.session_id].last_nominations[row.siret, row.issuer] = row.received_at


async def of_session(tx: Transaction, session_id: UUID) -> list[ReceivedList]:
    rows = await tx.execute(_OF_SESSION, {"session": session_id})
    return [ReceivedList(row.siret, row.authority, row.received_at) for row in rows]


async def save(tx: Transaction, rosters: Iterable[SessionRoster]) -> None:
    rows = [
        {
            "session_id": roster.session.session_id,
            "siret": siret,
            "issuer": issuer,
            "received_at": received_at,
        }
        for roster in rosters
        for (siret, issuer), received_at in roster.last_nominations.items()
    ]
    if rows:
        await insert_many(
            tx,
            LastNominationRow,
            rows,
            then="ON CONFLICT (session_id, siret, issuer) DO UPDATE SET received_at = excluded.received_at",
        )


_OF_SESSION = text(
    f"SELECT siret, received_at, (SELECT {EMPLOYER} FROM enrolment "  # noqa: S608 our own words
    "WHERE session_id = :session AND agent -> 'employer' ->> 'siret' = siret "
    "ORDER BY enrolment.received_at DESC LIMIT 1) AS authority "
    "FROM last_nomination WHERE session_id = :session ORDER BY siret, issuer"
)
