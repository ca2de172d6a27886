"""Another number of seats, or other dates: what follows for people is shown before it is done."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import form_errors, session_form
from services.catalogue.pages.manage import session_page
from services.catalogue.rules.consequences import of_capacity, postponed
from services.catalogue.rules.sessions import ListedSession, Plan
from services.catalogue.service import sessions
from services.catalogue.service.commands import SessionChange
from services.catalogue.service.failures import Impossible, Stale
from shared import clock
from shared.web.form_errors import FormError, shown_errors
from shared.web.forms import moment_in
from shared.web.logins import StaffVisit

DATES = ("enrolment_opens_at", "enrolment_closes_at", "starts_at", "ends_at")


async def change_capacity(visit: StaffVisit) -> Response:
    """Ask for another number of seats, show what follows, do it."""
    listed = await session_page.own(visit)
    if visit.request.method != "POST":
        before = listed.session.plan.capacity
        return _page(visit, listed, "gestion-places.html", typed="" if before is None else str(before))
    typed, unlimited = visit.form.typed("capacity"), "illimite" in visit.form
    try:
        change = SessionChange.model_validate({"capacity": None if unlimited else typed})
    except ValidationError as error:
        errors = form_errors.of_request(error)
        return _page(visit, listed, "gestion-places.html", typed=typed, unlimited=unlimited, errors=errors)
    return await _tried_or_done(
        visit,
        listed,
        change,
        "gestion-places.html",
        typed=typed,
        unlimited=unlimited,
        capacity=change.capacity,
        after=of_capacity(listed.session.plan, listed.occupancy, change.capacity),
    )


async def postpone(visit: StaffVisit) -> Response:
    """Ask for another start, show all dates that follow from it, do it."""
    listed = await session_page.own(visit)
    plan = listed.session.plan
    if visit.request.method != "POST":
        shown = session_form.shown(listed.session)["starts_at"]
        return _page(visit, listed, "gestion-reporter.html", typed=shown)
    typed = visit.form.typed("starts_at")
    try:
        moved = postponed(plan, moment_in(typed, plan.timezone), clock.now())
        change = SessionChange.model_validate(_dates(moved))
    except ValueError:
        errors = {"starts_at": FormError("starts_at")}
        return _page(visit, listed, "gestion-reporter.html", typed=typed, errors=errors)
    return await _tried_or_done(visit, listed, change, "gestion-reporter.html", typed=typed, moved=moved)


def _dates(plan: Plan) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(plan, name) for name in DATES}
    fields["modules"] = [module.model_dump() for module in plan.modules]
    fields["reserved_seats"] = [reserved.model_dump() for reserved in plan.reserved_seats]
    return fields


async def _tried_or_done(
    visit: StaffVisit, listed: ListedSession, change: SessionChange, template: str, **values: Any
) -> Response:
    """The page that shows what follows; or the session's, once that was confirmed."""
    session_id, is_confirmed = listed.session.session_id, "confirmer" in visit.form
    tags = session_page.tags(visit)
    try:
        async with visit.database.transaction() as tx:
            await sessions.change(tx, visit.who, session_id, change, tags=tags, dry_run=not is_confirmed)
    except Impossible as error:
        return _page(visit, listed, template, errors=form_errors.of_rules(error.violations), **values)
    except Stale:
        return _page(visit, await session_page.own(visit), template, stale=True, **values)
    if not is_confirmed:
        return _page(visit, listed, template, tried=True, **values)
    return session_page.to(session_id, "modifiee")


def _page(
    visit: StaffVisit,
    listed: ListedSession,
    template: str,
    *,
    errors: Mapping[str, FormError] | None = None,
    stale: bool = False,
    **values: Any,
) -> Response:
    tag = session_page.tag(listed)
    known = {"tried": False, "unlimited": listed.session.plan.capacity is None, "after": None, "moved": None}
    shown = shown_errors(visit.rendering, errors or {}, session_form.ORDER)
    return visit.page(
        template,
        status=412 if stale else 422 if errors else 200,
        listed=listed,
        tag=tag if stale else visit.form.get("version", tag),
        stale=stale,
        **(known | values | shown),
    )
