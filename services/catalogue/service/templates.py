from uuid import UUID

from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.sessions import SessionTemplate
from services.catalogue.service.acting import Acting
from services.catalogue.service.failures import Impossible, Stale
from services.catalogue.service.sessions import lock_own
from services.catalogue.store import audit_log, sessions, templates
from services.catalogue.store.audit_log import Action, AuditEntry
from shared.database import Transaction

MOST = 50
"""Templates of one organiser [choice]."""


async def name(acting: Acting, session_id: UUID, name: str | None, *, before: str | None) -> None:
    """Replace the name ``before``. None removes the name.

    Raises :class:`Stale` if the session has another name by now, :class:`Impossible` if another template of
    the organiser has this name, or the organiser has too many.
    """
    await sessions.lock_references(acting.tx)
    session = await lock_own(acting, session_id)
    known = await templates.name_of(acting.tx, session_id)
    if name == known:
        return
    if before != known:
        raise Stale("name of the template", known or "")
    if name is None:
        await templates.remove(acting.tx, session_id)
    else:
        await _check(acting.tx, session.organiser, name, is_new=known is None)
        template = SessionTemplate(session_id, name, session.organiser, session.plan.title)
        await templates.save(acting.tx, template)
    entry = AuditEntry(acting.name, Action.CHANGED, session_id, session.version, {"template": [known, name]})
    await audit_log.record(acting.tx, [entry])


async def _check(tx: Transaction, organiser: str, name: str, *, is_new: bool) -> None:
    if await templates.named(tx, organiser, name) is not None:
        detail = f"another template of this delegation is called {name}"
        raise Impossible(Violation(RefusalCode.TEMPLATE_NAME_TAKEN, "name", detail))
    if is_new and await templates.count(tx, organiser) >= MOST:
        detail = f"this delegation has {MOST} templates: take its name away from one that is not used"
        raise Impossible(Violation(RefusalCode.TOO_MANY_TEMPLATES, "name", detail))


async def name_of(tx: Transaction, session_id: UUID) -> str | None:
    return await templates.name_of(tx, session_id)


async def all_own(acting: Acting) -> list[SessionTemplate]:
    return await templates.of(acting.tx, acting.delegation)
