"""Templates: sessions with a name, from which their organiser begins others; else as any session."""

from uuid import UUID

from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.sessions import SessionTemplate
from services.catalogue.service.failures import Impossible
from services.catalogue.service.sessions import lock_own
from services.catalogue.store import sessions, templates
from shared.auth import Principal
from shared.database import Transaction

MOST = 50
"""Templates of one organiser: more is a list that nobody reads [choice]."""


async def name(tx: Transaction, who: Principal, session_id: UUID, name: str | None) -> None:
    """Give a session of their own a name as a template; None takes it away.

    Raises :class:`Impossible` where another template of its organiser has this name, or they have many.
    """
    await sessions.lock_references(tx)
    session = await lock_own(tx, session_id, who)
    if name is None:
        await templates.remove(tx, session_id)
        return
    if await templates.named(tx, session.organiser, name) not in (None, session_id):
        detail = f"another template of this delegation is called {name}"
        raise Impossible(Violation(RefusalCode.TEMPLATE_NAME_TAKEN, "name", detail))
    is_new = await templates.name_of(tx, session_id) is None
    if is_new and await templates.count(tx, session.organiser) >= MOST:
        detail = f"this delegation has {MOST} templates: take its name away from one that is not used"
        raise Impossible(Violation(RefusalCode.TOO_MANY_TEMPLATES, "name", detail))
    await templates.save(tx, SessionTemplate(session_id, name, session.organiser, session.plan.title))


async def name_of(tx: Transaction, session_id: UUID) -> str | None:
    """The name of a session as a template, if it has one."""
    return await templates.name_of(tx, session_id)


async def all_own(tx: Transaction, who: Principal) -> list[SessionTemplate]:
    """Their templates by name; of who acts for all, everyone's."""
    return await templates.of(tx, who.delegation)
