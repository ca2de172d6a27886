from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules.groups import BegunTogether, GroupKind, Replaced
from services.enrolment.rules.requests import RequestKey
from services.enrolment.rules.states import Cause
from services.enrolment.store.enrolments import enrolment_of
from shared.database import Transaction


async def begun(tx: Transaction, session_id: UUID, most: int) -> list[BegunTogether]:
    """Return the enrolments that requests for several agents began, newest first.

    Enrolments whose request is no longer stored are left out.
    """
    parameters = {"session": session_id, "kinds": [kind.value for kind in GroupKind], "most": most}
    return [
        BegunTogether(enrolment_of(row), GroupKind(row.kind)) for row in await tx.execute(_BEGUN, parameters)
    ]


async def replaced(tx: Transaction, session_id: UUID, most: int) -> list[Replaced]:
    parameters = {"session": session_id, "cause": Cause.REPLACED.value, "most": most}
    return [
        Replaced(enrolment_of(row), row.replaced_at, RequestKey(row.by_source, row.by_request))
        for row in await tx.execute(_REPLACED, parameters)
    ]


_BEGUN = text(
    "SELECT enrolment.*, request.kind FROM enrolment JOIN request "
    "ON request.request_id = enrolment.request_id AND request.source = enrolment.request_source "
    "WHERE enrolment.session_id = :session AND request.kind = ANY(CAST(:kinds AS text[])) "
    "ORDER BY enrolment.received_at DESC, enrolment.ticket, enrolment.enrolment_id LIMIT :most"
)
_REPLACED = text(
    "SELECT enrolment.*, change.at AS replaced_at, change.request_id AS by_request, "
    "change.request_source AS by_source FROM enrolment_change AS change JOIN enrolment USING (enrolment_id) "
    "WHERE change.session_id = :session AND change.cause = :cause AND change.request_id IS NOT NULL "
    "ORDER BY change.at DESC, enrolment_id LIMIT :most"
)
