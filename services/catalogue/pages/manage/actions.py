"""What is done with a session by a button: publish, cancel, copy, delete, open its replay."""

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import complaints, forms
from services.catalogue.pages.manage import session_page
from services.catalogue.rules import changes
from services.catalogue.rules.refusals import Refused
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import resources, sessions
from services.catalogue.service.commands import ReplayRequest, SessionCopy
from services.catalogue.service.failures import Impossible, PublishedDifferently
from shared import clock
from shared.web.logins import Visit


async def publish(visit: Visit) -> Response:
    """Publish a draft."""
    listed = await session_page.own(visit)

    async def do() -> ListedSession:
        session_id = listed.session.session_id
        async with visit.database.transaction() as tx:
            return await sessions.publish(tx, visit.who, session_id, tags=session_page.tags(visit))

    return await session_page.doing(visit, listed, do, "publiee")


async def cancel(visit: Visit) -> Response:
    """Ask whether it is meant, then cancel."""
    listed = await session_page.own(visit)
    if visit.request.method != "POST":
        return await _meant(
            visit, listed, changes.uncancellable(listed.session, clock.now()), "gestion-annuler.html"
        )

    async def do() -> ListedSession:
        session_id = listed.session.session_id
        async with visit.database.transaction() as tx:
            return await sessions.cancel(tx, visit.who, session_id, tags=session_page.tags(visit))

    return await session_page.doing(visit, listed, do, "annulee")


async def delete(visit: Visit) -> Response:
    """Ask whether it is meant, then delete a draft."""
    listed = await session_page.own(visit)
    if visit.request.method != "POST":
        return await _meant(visit, listed, changes.undeletable(listed.session), "gestion-supprimer.html")
    session_id = listed.session.session_id

    async def do() -> None:
        async with visit.database.transaction() as tx:
            await sessions.delete(tx, visit.who, session_id, tags=session_page.tags(visit))

    return await session_page.doing(visit, listed, do, "supprimee", leads_to="/gestion")


async def _meant(visit: Visit, listed: ListedSession, refused: Refused | None, template: str) -> Response:
    """Ask whether it is meant; or say why it is not possible, rather than promise it."""
    if refused is not None:
        return await session_page.page(
            visit, listed, said=complaints.of_rules(Impossible(*refused.violations))
        )
    return visit.page(template, listed=listed, tag=session_page.tag(listed))


async def copy(visit: Visit) -> Response:
    """A draft like this session, at another time."""
    listed = await session_page.own(visit)
    try:
        starts_at = forms.moment(visit.form.get("copie", ""), listed.session.plan.timezone)
        asked = SessionCopy.model_validate({"starts_at": starts_at})
        async with visit.database.transaction() as tx:
            made = await sessions.duplicate(tx, visit.who, listed.session.session_id, asked)
    except ValueError:
        said = {"copie": complaints.of_field("starts_at")}
    except Impossible as error:
        said = {"copie": " ".join(dict.fromkeys(complaints.of_rules(error).values()))}
    else:
        return session_page.to(made.session.session_id, "copiee")
    return await session_page.page(visit, listed, said=said, keep=False)


async def replay(visit: Visit) -> Response:
    """Open the recording of this session to everyone."""
    listed = await session_page.own(visit)
    fields: dict[str, Any] = {
        "session_id": listed.session.session_id,
        "title": visit.form.get("replay_title", "").strip(),
        "url": visit.form.get("replay_url", "").strip(),
        "summary": visit.form.get("replay_summary", "").strip() or None,
    }
    theme = visit.form.get("replay_theme", "").strip()
    if theme:
        fields["themes"] = [theme]
    try:
        request = ReplayRequest.model_validate(fields)
        async with visit.database.transaction() as tx:
            await resources.publish(tx, visit.who, request)
    except ValidationError as error:
        said = complaints.of_request(error)
    except Impossible as error:
        said = complaints.of_rules(error)
    except PublishedDifferently:
        said = {
            "url": "Un replay est en ligne à cette adresse, avec un autre titre ou une autre session\u00a0: "
            "corrigez-le."
        }
    else:
        return session_page.to(listed.session.session_id, "replay")
    named = {session_page.REPLAY_FIELDS.get(field, ""): text for field, text in said.items()}
    return await session_page.page(visit, listed, said=named, keep=False)
