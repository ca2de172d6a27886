"""Templates: sessions with a name, from which their organiser begins others; else as any session."""

from uuid import UUID

from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.sessions import SessionTemplate
from services.catalogue.service.failures import Impossible, Stale
from services.catalogue.service.sessions import lock_own
from services.catalogue.store import audit_log, sessions, templates
from services.catalogue.store.audit_log import Action, AuditEntry
from shared.auth import Principal
from shared.database import Transaction

MOST = 50
"""Templates of one organiser: more is a list that nobody reads [choice]."""


async def name(
    tx: Transaction, who: Principal, session_id: UUID, name: str | None, *, seen: str | None
) -> None:
    """Give a session of their own a name as a template, instead of the one that was ``seen``; None: no name.

    Raises :class:`Stale` where it has another by now, :class:`Impossible` where another template of its
    organiser has this name, or they have many.
    """
    await sessions.lock_references(tx)
    session = await lock_own(tx, session_id, who)
    before = await templates.name_of(tx, session_id)
    if name == before:
        return
    if seen != before:
        raise Stale("name of the template", before or "")
    if name is None:
        await templates.remove(tx, session_id)
    else:
        await _check(tx, session.organiser, name, is_new=before is None)
        await templates.save(tx, SessionTemplate(session_id, name, session.organiser, session.plan.title))
    changes = {"template": [before, name]}
    entry = AuditEntry(who.name, Action.CHANGED, session_id, session.version, changes)
    await audit_log.record(tx, [entry])


async def _check(tx: Transaction, organiser: str, name: str, *, is_new: bool) -> None:
    """Raise :class:`Impossible` where the organiser cannot have a template of this name."""
    if await templates.named(tx, organiser, name) is not None:
        detail = f"another template of this delegation is called {name}"
        raise Impossible(Violation(RefusalCode.TEMPLATE_NAME_TAKEN, "name", detail))
    if is_new and await templates.count(tx, organiser) >= MOST:
        detail = f"this delegation has {MOST} templates: take its name away from one that is not used"
        raise Impossible(Violation(RefusalCode.TOO_MANY_TEMPLATES, "name", detail))


async def name_of(tx: Transaction, session_id: UUID) -> str | None:
    """The name of a session as a template, if it has one."""
    return await templates.name_of(tx, session_id)


async def all_own(tx: Transaction, who: Principal) -> list[SessionTemplate]:
    """Their templates by name; of who acts for all, everyone's."""
    return await templates.of(tx, who.delegation)
