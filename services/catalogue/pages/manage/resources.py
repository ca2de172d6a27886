from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from starlette.responses import Response

from services.catalogue.pages import filters, form_errors
from services.catalogue.pages.manage.frame import FormPage, FormState, lead, looking
from services.catalogue.pages.paging import resource_position
from services.catalogue.rules.history import field_changes
from services.catalogue.rules.resources import Kind, Resource
from services.catalogue.service import offers, resources
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import ReplayRequest, ResourceChange, ResourceRequest
from shared.database import Transaction
from shared.web.form_errors import FormError
from shared.web.forms import Form
from shared.web.logins import StaffVisit
from shared.web.paging import edges, part_around

PAGE = 30
HISTORY = 50
FIELDS = ("title", "url", "summary")
NATIONAL = "nationale"
_ORDER = ("resource_kind", "organiser", *FIELDS, "themes")


async def own_resources(visit: StaffVisit) -> Response:
    query = visit.request.query_params
    chosen = filters.read(query)
    named = query.get("type")
    kind = Kind(named) if named in set(Kind) else None
    async with looking(visit) as organiser:
        load = partial(
            resources.page_of_own,
            organiser,
            kind=kind,
            organiser=chosen.delegation,
            text=chosen.text or None,
        )
        part = await part_around(*edges(query), PAGE, load=load, position=resource_position)
    delegation = None if visit.who.delegation else chosen.delegation
    used = {"type": kind, "recherche": chosen.text or None, "delegation": delegation}
    return visit.page("gestion-ressources.html", part=part, kind=kind, used=used)


async def _all_themes(visit: StaffVisit) -> dict[str, str]:
    async with looking(visit) as organiser:
        return await offers.themes(organiser.tx)


async def _publish(acting: Acting, themes: Mapping[str, str], form: Form) -> str:
    fields = _read(form, themes)
    if organiser := form.get("organiser"):
        fields["organiser"] = None if organiser == NATIONAL else organiser
    request: ReplayRequest | ResourceRequest
    if (kind := form.get("resource_kind", "")) == Kind.REPLAY:
        request = form_errors.command(ReplayRequest, fields, {})
    else:
        errors = {} if kind in set(Kind) else {"kind": FormError("resource_kind")}
        request = form_errors.command(ResourceRequest, fields | {"kind": kind}, errors)
    resource, is_new = await resources.publish(acting, request)
    return lead(f"/gestion/ressources/{resource.resource_id}", "ressource" if is_new else "connue")


async def _show_new(visit: StaffVisit, themes: Mapping[str, str], state: FormState) -> Response:
    names = ("resource_kind", "organiser", *FIELDS, *(f"themes-{code}" for code in themes))
    return visit.page(
        "gestion-ressource-nouvelle.html",
        themes=themes,
        national=NATIONAL,
        values={name: visit.form.get(name, "") for name in names},
        **state.shown(visit, order=_ORDER),
    )


def _read(form: Form, themes: Iterable[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: form.typed(name) for name in FIELDS}
    chosen = tuple(code for code in themes if form.get(f"themes-{code}") == "oui")
    return fields | {"summary": fields["summary"] or None, "themes": chosen}


async def _correct(acting: Acting, resource: Resource, form: Form) -> str:
    fields = _read(form, await _choices(acting.tx, resource))
    change = form_errors.command(ResourceChange, fields, {})
    await resources.correct(acting, resource.resource_id, change)
    return lead(f"/gestion/ressources/{resource.resource_id}", "corrigee")


async def _withdraw(acting: Acting, resource: Resource, _form: Form) -> str:
    await resources.withdraw(acting, resource.resource_id)
    return lead(f"/gestion/ressources/{resource.resource_id}", "retiree")


async def _ask_to_withdraw(visit: StaffVisit, resource: Resource, state: FormState) -> Response:
    if state.errors or resource.withdrawn_at is not None:  # its page says that there is nothing to withdraw
        return await _show(visit, resource, FormState(state.errors))
    return visit.page(
        "gestion-ressource-retirer.html",
        resource=resource,
        **state.shown(visit, resources.tag_of(resource)),
    )


async def _choices(tx: Transaction, resource: Resource) -> dict[str, str]:
    return {code: code for code in resource.themes} | await offers.themes(tx)


def _stored(resource: Resource, themes: Iterable[str]) -> dict[str, str]:
    boxes = {f"themes-{code}": "oui" if code in resource.themes else "" for code in themes}
    return {name: getattr(resource, name) or "" for name in FIELDS} | boxes


def _differing(typed: Mapping[str, str], stored: Mapping[str, str]) -> list[str]:
    fields = {name.partition("-")[0] for name, value in typed.items() if _lines(value) != stored[name]}
    return [name for name in _ORDER if name in fields]


def _lines(text: str) -> str:
    return text.strip().replace("\r\n", "\n")


async def _own(visit: StaffVisit) -> Resource:
    """A resource of another delegation raises Missing too."""
    async with looking(visit) as organiser:
        return await resources.show_own(organiser, visit.request.path_params["resource_id"])


async def _show(visit: StaffVisit, resource: Resource, state: FormState) -> Response:
    async with looking(visit) as organiser:
        themes = await _choices(organiser.tx, resource)
        entries = await resources.history(organiser.tx, resource.resource_id, HISTORY)
    stored = _stored(resource, themes)
    values = {name: visit.form.get(name, "") for name in stored} if visit.form else stored
    return visit.page(
        "gestion-ressource.html",
        resource=resource,
        themes=themes,
        values=values,
        differing=_differing(values, stored),
        changes=[(entry, field_changes(entry.changes)) for entry in entries],
        **state.shown(visit, resources.tag_of(resource), _ORDER),
    )


def _field_of(name: str) -> str:
    """A question has a kind too, so a resource's kind has its own field name."""
    return "resource_kind" if name == "kind" else name


new_resource = FormPage(_all_themes, _publish, _show_new, field_of=_field_of)
show_resource = FormPage(_own, _correct, _show)
withdraw = FormPage(_own, _withdraw, _ask_to_withdraw)
