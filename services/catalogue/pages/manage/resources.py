"""The replays, dossiers and communities of a delegation: listed, and corrected by a form."""

from uuid import UUID

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import form_errors
from services.catalogue.pages.form_errors import FormError, FormErrors
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.paging import resource_position
from services.catalogue.rules.resources import Resource
from services.catalogue.service import resources
from services.catalogue.service.commands import ResourceChange
from services.catalogue.service.failures import Impossible, PublishedDifferently, Stale
from shared.web.logins import StaffVisit
from shared.web.paging import part_after, read_position

PAGE = 30
FIELDS = ("title", "url", "summary")


async def own_resources(visit: StaffVisit) -> Response:
    """What the delegation has put online, the newest first."""
    after = read_position(visit.request.query_params.get("apres"))
    async with visit.database.quiet_transaction() as tx:
        found = await resources.page(tx, after, PAGE + 1, organiser=visit.who.delegation)
    return visit.page(
        "gestion-ressources.html", part=part_after(after, found, PAGE, position=resource_position)
    )


async def show_resource(visit: StaffVisit) -> Response:
    """A resource with its form, and its history."""
    resource = await _own(visit)
    if visit.request.method != "POST":
        return await _page(visit, resource)
    try:
        change = ResourceChange.model_validate({name: _typed(visit, name) for name in FIELDS})
        async with visit.database.transaction() as tx:
            await resources.correct(
                tx, visit.who, resource.resource_id, change, tags=session_page.tags(visit)
            )
    except ValidationError as error:
        return await _page(visit, resource, errors=form_errors.of_request(error))
    except Impossible as error:
        return await _page(visit, resource, errors=form_errors.of_rules(error.violations))
    except PublishedDifferently:
        return await _page(visit, resource, errors={"url": FormError("address_taken")})
    except Stale:
        return await _page(visit, await _own(visit), stale=True)
    return session_page.lead(f"/gestion/ressources/{resource.resource_id}", "corrigee")


def _typed(visit: StaffVisit, name: str) -> str | None:
    """What was typed; no summary rather than an empty one."""
    typed = visit.form.typed(name)
    return None if name == "summary" and not typed else typed


async def _own(visit: StaffVisit) -> Resource:
    """The resource of the address. Raises Missing: what belongs to others does not exist."""
    resource_id: UUID = visit.request.path_params["resource_id"]
    async with visit.database.quiet_transaction() as tx:
        return await resources.show_own(tx, resource_id, visit.who)


async def _page(
    visit: StaffVisit, resource: Resource, *, errors: FormErrors | None = None, stale: bool = False
) -> Response:
    errors = errors or {}
    tag = resources.tag_of(resource)
    async with visit.database.quiet_transaction() as tx:
        history = await resources.history(tx, resource.resource_id, session_page.HISTORY)
    return visit.page(
        "gestion-ressource.html",
        status=412 if stale else 422 if errors else 200,
        resource=resource,
        values={name: visit.form.get(name, getattr(resource, name) or "") for name in FIELDS},
        **form_errors.shown(visit.rendering, errors, FIELDS),
        stale=stale,
        tag=tag if stale else visit.form.get("version", tag),
        done=session_page.done_before(visit),
        history=history,
    )
