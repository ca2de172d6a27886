"""The replays, dossiers and communities of a delegation: listed, put online, corrected, withdrawn."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import filters, form_errors
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.paging import resource_position
from services.catalogue.rules.history import field_changes
from services.catalogue.rules.resources import Kind, Resource
from services.catalogue.service import offers, resources
from services.catalogue.service.commands import ReplayRequest, ResourceChange, ResourceRequest
from services.catalogue.service.failures import Impossible, PublishedDifferently, Stale
from shared.database import Transaction
from shared.web.form_errors import FormError, FormErrors, shown_errors
from shared.web.logins import StaffVisit
from shared.web.paging import edges, part_around

PAGE = 30
HISTORY = 50
"""Changes that a resource's page shows: nearly always all."""
FIELDS = ("title", "url", "summary")
NATIONAL = "nationale"
"""What the form sends where a resource is of no delegation."""
_ORDER = ("resource_kind", "organiser", *FIELDS, "themes")


async def own_resources(visit: StaffVisit) -> Response:
    """What the delegation has put online, the newest first; of one kind, or as it is looked for."""
    query = visit.request.query_params
    chosen = filters.read(query)
    named = query.get("type")
    kind = Kind(named) if named in set(Kind) else None
    async with visit.database.quiet_transaction() as tx:
        load = partial(
            resources.page_of_own,
            tx,
            visit.who,
            kind=kind,
            organiser=chosen.delegation,
            text=chosen.text or None,
        )
        part = await part_around(*edges(query), PAGE, load=load, position=resource_position)
    delegation = None if visit.who.delegation else chosen.delegation
    used = {"type": kind, "recherche": chosen.text or None, "delegation": delegation}
    return visit.page("gestion-ressources.html", part=part, kind=kind, used=used)


async def new_resource(visit: StaffVisit) -> Response:
    """The form of a resource to put online, and what comes of it."""
    async with visit.database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
    errors: FormErrors = {}
    if visit.request.method == "POST":
        published = await _publish(visit, themes)
        if not isinstance(published, dict):
            return published
        errors = published
    names = ("resource_kind", "organiser", *FIELDS, *(f"themes-{code}" for code in themes))
    return visit.page(
        "gestion-ressource-nouvelle.html",
        status=422 if errors else 200,
        themes=themes,
        national=NATIONAL,
        values={name: visit.form.get(name, "") for name in names},
        **shown_errors(visit.rendering, errors, _ORDER),
    )


async def _publish(visit: StaffVisit, themes: Iterable[str]) -> Response | dict[str, FormError]:
    """Lead to the page of what is online now; or by field why it is not."""
    kind = visit.form.get("resource_kind", "")
    fields: dict[str, Any] = {name: _typed(visit, name) for name in FIELDS}
    fields["themes"] = _themes(visit, themes)
    if organiser := visit.form.get("organiser"):
        fields["organiser"] = None if organiser == NATIONAL else organiser
    try:
        request: ReplayRequest | ResourceRequest
        if kind == Kind.REPLAY:
            request = ReplayRequest.model_validate(fields)
        else:
            request = ResourceRequest.model_validate(fields | {"kind": kind})
        async with visit.database.transaction() as tx:
            resource, is_new = await resources.publish(tx, visit.who, request)
    except ValidationError as error:
        errors = form_errors.of_request(error)
        # What it is has a name of its own here: a question has a kind too.
        return {"resource_kind": FormError("resource_kind")} | errors if errors.pop("kind", None) else errors
    except Impossible as error:
        return form_errors.of_rules(error.violations)
    except PublishedDifferently:
        return {"url": FormError("address_taken")}
    return session_page.lead(
        f"/gestion/ressources/{resource.resource_id}", "ressource" if is_new else "connue"
    )


def _themes(visit: StaffVisit, known: Iterable[str]) -> tuple[str, ...]:
    return tuple(code for code in known if visit.form.get(f"themes-{code}") == "oui")


async def show_resource(visit: StaffVisit) -> Response:
    """A resource with its form, and its history."""
    resource = await _own(visit)
    if visit.request.method != "POST":
        return await _page(visit, resource)
    async with visit.database.quiet_transaction() as tx:
        themes = await _choices(tx, resource)
    fields: dict[str, Any] = {name: _typed(visit, name) for name in FIELDS}
    try:
        change = ResourceChange.model_validate(fields | {"themes": _themes(visit, themes)})
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


async def withdraw(visit: StaffVisit) -> Response:
    """Ask for confirmation, then take back what was published by mistake."""
    resource, stale = await _own(visit), False
    if visit.request.method == "POST":
        try:
            async with visit.database.transaction() as tx:
                await resources.withdraw(tx, visit.who, resource.resource_id, tags=session_page.tags(visit))
        except Impossible as error:
            return await _page(visit, resource, errors=form_errors.of_rules(error.violations))
        except Stale:
            resource, stale = await _own(visit), True
        else:
            return session_page.lead(f"/gestion/ressources/{resource.resource_id}", "retiree")
    if resource.withdrawn_at is not None:
        return await _page(visit, resource)  # which says that there is nothing to withdraw
    return visit.page(
        "gestion-ressource-retirer.html",
        status=412 if stale else 200,
        resource=resource,
        stale=stale,
        tag=resources.tag_of(resource),
    )


def _typed(visit: StaffVisit, name: str) -> str | None:
    """What was typed; no summary rather than an empty one."""
    typed = visit.form.typed(name)
    return None if name == "summary" and not typed else typed


async def _choices(tx: Transaction, resource: Resource) -> dict[str, str]:
    """The themes that a resource may have, code to title: those of the offer, and its own."""
    return {code: code for code in resource.themes} | await offers.themes(tx)


def _stored(resource: Resource, themes: Iterable[str]) -> dict[str, str]:
    """The resource as its form has it."""
    boxes = {f"themes-{code}": "oui" if code in resource.themes else "" for code in themes}
    return {name: getattr(resource, name) or "" for name in FIELDS} | boxes


def _differing(typed: Mapping[str, str], stored: Mapping[str, str]) -> list[str]:
    """The fields that were typed otherwise than they are stored, in the order of the form."""
    fields = {name.partition("-")[0] for name, value in typed.items() if _lines(value) != stored[name]}
    return [name for name in _ORDER if name in fields]


def _lines(text: str) -> str:
    return text.strip().replace("\r\n", "\n")


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
        themes = await _choices(tx, resource)
        entries = await resources.history(tx, resource.resource_id, HISTORY)
    stored = _stored(resource, themes)
    values = {name: visit.form.get(name, "") for name in stored} if visit.form else stored
    return visit.page(
        "gestion-ressource.html",
        status=412 if stale else 422 if errors else 200,
        resource=resource,
        themes=themes,
        values=values,
        differing=_differing(values, stored),
        **shown_errors(visit.rendering, errors, _ORDER),
        stale=stale,
        tag=tag if stale else visit.form.get("version", tag),
        done=visit.done,
        changes=[(entry, field_changes(entry.changes)) for entry in entries],
    )
