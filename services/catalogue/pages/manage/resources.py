"""The replays, dossiers and communities of a delegation: listed, and corrected by a form."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import complaints
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.parts import resource_place
from services.catalogue.rules.resources import Resource
from services.catalogue.service import resources
from services.catalogue.service.commands import ResourceChange
from services.catalogue.service.failures import Impossible, PublishedDifferently, Stale
from shared.web.forms import in_order
from shared.web.logins import Visit
from shared.web.paging import part_after, place_in

PAGE = 30
FIELDS = ("title", "url", "summary")


async def own_resources(visit: Visit) -> Response:
    """What the delegation has put online, the newest first."""
    after = place_in(visit.request.query_params.get("apres"))
    async with visit.database.quiet_transaction() as tx:
        found = await resources.page(tx, after, PAGE + 1, organiser=visit.who.delegation)
    return visit.page("gestion-ressources.html", part=part_after(after, found, PAGE, place=resource_place))


async def one_resource(visit: Visit) -> Response:
    """A resource with its form, and its history."""
    resource = await _own(visit)
    if visit.request.method != "POST":
        return await _page(visit, resource)
    try:
        asked = ResourceChange.model_validate({name: _typed(visit, name) for name in FIELDS})
        async with visit.database.transaction() as tx:
            await resources.correct(tx, visit.who, resource.resource_id, asked, tags=session_page.tags(visit))
    except ValidationError as error:
        return await _page(visit, resource, said=complaints.of_request(error))
    except Impossible as error:
        return await _page(visit, resource, said=complaints.of_rules(error))
    except PublishedDifferently:
        said = {"url": "Une autre de vos ressources est en ligne à cette adresse."}
        return await _page(visit, resource, said=said)
    except Stale:
        return await _page(visit, await _own(visit), stale=True)
    return session_page.lead(f"/gestion/ressources/{resource.resource_id}", "corrigee")


def _typed(visit: Visit, name: str) -> str | None:
    """What was typed; no summary rather than an empty one."""
    typed = visit.form.get(name, "").strip()
    return None if name == "summary" and not typed else typed


async def _own(visit: Visit) -> Resource:
    """The resource of the address. Raises Missing: what belongs to others does not exist."""
    resource_id: UUID = visit.request.path_params["resource_id"]
    async with visit.database.quiet_transaction() as tx:
        return await resources.show_own(tx, resource_id, visit.who)


async def _page(
    visit: Visit, resource: Resource, *, said: Mapping[str, str] | None = None, stale: bool = False
) -> Response:
    said = said or {}
    tag = resources.tag_of(resource)
    async with visit.database.quiet_transaction() as tx:
        history = await resources.history(tx, resource.resource_id, session_page.HISTORY)
    return visit.page(
        "gestion-ressource.html",
        status=412 if stale else 422 if said else 200,
        resource=resource,
        values={name: visit.form.get(name, getattr(resource, name) or "") for name in FIELDS},
        errors=said,
        listed_errors=in_order(said, FIELDS),
        stale=stale,
        tag=tag if stale else visit.form.get("version", tag),
        done=session_page.done_before(visit),
        history=history,
    )
