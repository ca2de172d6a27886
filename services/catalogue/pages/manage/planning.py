from dataclasses import replace
from typing import Any

from starlette.responses import Response

from services.catalogue.pages import session_form
from services.catalogue.pages.form_errors import WrongForm
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.frame import FormPage, FormState, looking
from services.catalogue.rules.consequences import of_capacity, postponed
from services.catalogue.rules.sessions import ListedSession, Plan
from services.catalogue.service import overviews, sessions
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import SessionChange
from shared import clock
from shared.web.form_errors import FormError
from shared.web.forms import Form, moment_in, typed_moment
from shared.web.logins import StaffVisit

DATES = ("enrolment_opens_at", "enrolment_closes_at", "starts_at", "ends_at")


async def _change_capacity(acting: Acting, listed: ListedSession, form: Form) -> str | SessionChange:
    capacity = None if "illimite" in form else form.typed("capacity")
    return await _try_or_do(acting, listed, SessionChange.model_validate({"capacity": capacity}), form)


async def _show_capacity(visit: StaffVisit, listed: ListedSession, state: FormState) -> Response:
    plan, tried, form = listed.session.plan, state.tried, visit.form
    stored = "" if plan.capacity is None else str(plan.capacity)
    return visit.page(
        "gestion-places.html",
        listed=listed,
        typed=form.typed("capacity") if form else stored,
        unlimited="illimite" in form if form else plan.capacity is None,
        tried=tried,
        capacity=tried and tried.capacity,
        after=tried and of_capacity(plan, listed.occupancy, tried.capacity),
        **state.shown(visit, session_page.tag(listed), session_form.ORDER),
    )


async def _postpone(acting: Acting, listed: ListedSession, form: Form) -> str | SessionChange:
    try:
        moved = _moved(listed.session.plan, form)
        change = SessionChange.model_validate(_dates(moved))
    except ValueError as error:
        raise WrongForm({"starts_at": FormError("starts_at")}) from error
    return await _try_or_do(acting, listed, change, form)


async def _show_postponement(visit: StaffVisit, listed: ListedSession, state: FormState) -> Response:
    plan, form = listed.session.plan, visit.form
    moved = state.tried and _moved(plan, form)
    async with looking(visit) as organiser:
        warnings = moved and await overviews.warnings_of(organiser.tx, replace(listed.session, plan=moved))
    return visit.page(
        "gestion-reporter.html",
        listed=listed,
        typed=form.typed("starts_at") if form else typed_moment(plan.starts_at, plan.timezone),
        tried=state.tried,
        moved=moved,
        warnings=warnings,
        **state.shown(visit, session_page.tag(listed), session_form.ORDER),
    )


def _moved(plan: Plan, form: Form) -> Plan:
    return postponed(plan, moment_in(form.typed("starts_at"), plan.timezone), clock.now())


def _dates(plan: Plan) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(plan, name) for name in DATES}
    fields["modules"] = [module.model_dump() for module in plan.modules]
    fields["reserved_seats"] = [reserved.model_dump() for reserved in plan.reserved_seats]
    return fields


async def _try_or_do(
    acting: Acting, listed: ListedSession, change: SessionChange, form: Form
) -> str | SessionChange:
    is_confirmed = "confirmer" in form
    await sessions.change(acting, listed.session.session_id, change, dry_run=not is_confirmed)
    return session_page.to(listed.session.session_id, "modifiee") if is_confirmed else change


change_capacity = FormPage(session_page.own, _change_capacity, _show_capacity)
postpone = FormPage(session_page.own, _postpone, _show_postponement)
