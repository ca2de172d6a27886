"""What is done with a session by a button: publish, cancel, copy, delete, open its replay."""

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue import rules
from services.catalogue.desk import resources as resource_desk
from services.catalogue.desk import sessions as desk
from services.catalogue.desk.failures import Impossible, Invalid, PublishedDifferently
from services.catalogue.desk.requests import ReplayRequest, SessionCopy
from services.catalogue.pages import complaints, forms
from services.catalogue.pages.logins import Visit
from services.catalogue.pages.manage import one
from services.catalogue.rules import Refused
from services.catalogue.store.sessions import Listed
from shared import clock


async def publish(visit: Visit) -> Response:
    """Publish a draft."""
    listed = await one.own(visit)

    async def do() -> Listed:
        session_id = listed.session.session_id
        return await desk.publish(visit.database, visit.who, session_id, tags=one.tags(visit))

    return await one.doing(visit, listed, do, "publiee")


async def cancel(visit: Visit) -> Response:
    """Ask whether it is meant, then cancel."""
    listed = await one.own(visit)
    if visit.request.method != "POST":
        return await _meant(visit, listed, rules.cancel(listed.session, clock.now()), "gestion-annuler.html")

    async def do() -> Listed:
        session_id = listed.session.session_id
        return await desk.cancel(visit.database, visit.who, session_id, tags=one.tags(visit))

    return await one.doing(visit, listed, do, "annulee")


async def delete(visit: Visit) -> Response:
    """Ask whether it is meant, then delete a draft."""
    listed = await one.own(visit)
    if visit.request.method != "POST":
        return await _meant(visit, listed, rules.announced(listed.session), "gestion-supprimer.html")
    session_id = listed.session.session_id

    async def do() -> None:
        await desk.delete(visit.database, visit.who, session_id, tags=one.tags(visit))

    return await one.doing(visit, listed, do, "supprimee", leads_to="/gestion")


async def _meant(visit: Visit, listed: Listed, decided: object, template: str) -> Response:
    """Ask whether it is meant; or say why it is not possible, rather than promise it."""
    if isinstance(decided, Refused):
        return await one.page(visit, listed, said=complaints.of_rules(Impossible(decided)))
    return visit.page(template, listed=listed, tag=one.tag(listed))


async def copy(visit: Visit) -> Response:
    """A draft like this session, at another time."""
    listed = await one.own(visit)
    try:
        starts_at = forms.moment(visit.form.get("copie", ""), listed.session.plan.timezone)
        asked = SessionCopy.model_validate({"starts_at": starts_at})
        made = await desk.duplicate(visit.database, visit.who, listed.session.session_id, asked)
    except ValueError:
        said = {"copie": complaints.of_field("starts_at")}
    except Impossible as error:
        said = {"copie": " ".join(dict.fromkeys(complaints.of_rules(error).values()))}
    else:
        return one.to(made.session.session_id, "copiee")
    return await one.page(visit, listed, said=said, keep=False)


async def replay(visit: Visit) -> Response:
    """Open the recording of this session to everyone."""
    listed = await one.own(visit)
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
        await resource_desk.publish(visit.database, visit.who, ReplayRequest.model_validate(fields))
    except ValidationError as error:
        said = complaints.of_request(error)
    except (Impossible, Invalid) as error:
        said = complaints.of_rules(error)
    except PublishedDifferently:
        said = {
            "url": "Un replay est en ligne à cette adresse, avec un autre titre ou une autre session\u00a0: "
            "corrigez-le."
        }
    else:
        return one.to(listed.session.session_id, "replay")
    named = {one.REPLAY_FIELDS.get(field, ""): text for field, text in said.items()}
    return await one.page(visit, listed, said=named, keep=False)
