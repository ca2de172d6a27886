"""Templates: sessions with a name, from which their organiser begins others; else as any session."""

from uuid import UUID

from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.sessions import SessionTemplate
from services.catalogue.service.failures import Impossible
from services.catalogue.service.sessions import lock_own
from services.catalogue.store import sessions, templates
from shared.auth import Principal
from shared.database import Transaction


async def name(tx: Transaction, who: Principal, session_id: UUID, name: str | None) -> None:
    """Give a session of their own a name as a template; None takes it away.

    Raises :class:`Impossible` where another template of its organiser has this name.
    """
    await sessions.lock_references(tx)
    session = await lock_own(tx, session_id, who)
    if name is None:
        await templates.remove(tx, session_id)
        return
    if any(
        known.name == name and known.session_id != session_id
        for known in await templates.of(tx, session.organiser)
    ):
        detail = f"another template of this delegation is called {name}"
        raise Impossible(Violation(RefusalCode.TEMPLATE_NAME_TAKEN, "name", detail))
    await templates.save(tx, SessionTemplate(session_id, name, session.organiser, session.plan.title))


async def name_of(tx: Transaction, session_id: UUID) -> str | None:
    """The name of a session as a template, if it has one."""
    return await templates.name_of(tx, session_id)


async def all_own(tx: Transaction, who: Principal) -> list[SessionTemplate]:
    """Their templates by name; of who acts for all, everyone's."""
    return await templates.of(tx, who.delegation)
