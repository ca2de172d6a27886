from uuid import UUID

from services.catalogue.definition import DEFINITION as CATALOGUE
from services.catalogue.service import session_lists
from services.console.asking import ConsoleSettings, ask_service
from services.console.findings import Finding, Mark
from services.console.trace.request_trace import RequestTrace
from services.notifier.definition import DEFINITION as NOTIFIER
from services.notifier.service import sessions as notifier_sessions
from shared.database import Transaction


async def add_sessions(settings: ConsoleSettings, traced: RequestTrace) -> None:
    session_id = traced.known_id
    if session_id is None:
        return
    of_catalogue = await ask_service(CATALOGUE, settings, lambda tx: session_lists.find(tx, session_id))
    if of_catalogue.value is None and str(session_id) not in traced.sessions:
        return
    of_notifier = await ask_service(NOTIFIER, settings, lambda tx: _version_heard(tx, session_id))
    newest = None
    if (session := of_catalogue.value) is not None:
        status = session.status.value
        traced.steps.append(Finding("catalogue", "session", Mark.OK, f"{status}, version {session.version}"))
        newest = None if status == "draft" else session.version
    known = {"enrolment": traced.sessions.get(str(session_id)), "notifier": of_notifier.value}
    unasked = {line.about for line in traced.unanswered} | ({"notifier"} if of_notifier.why_not else set())
    traced.steps += [
        _knows(service, version, newest) for service, version in known.items() if service not in unasked
    ]


async def _version_heard(tx: Transaction, session_id: UUID) -> int | None:
    known = (await notifier_sessions.find(tx, [session_id])).get(session_id)
    return None if known is None else known.version


def _knows(service: str, version: int | None, newest: int | None) -> Finding:
    found = "does not know it" if version is None else f"knows version {version}"
    if newest is None or version == newest:
        return Finding(service, "session", Mark.OK, found)
    remedy = f"parcours lag; then python -m services.{service} projections verify"
    return Finding(service, "session", Mark.ACT, f"{found}; published is {newest}", remedy)
