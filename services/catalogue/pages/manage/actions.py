"""What is done with a session by a button: cancel, copy, delete, open its replay."""

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import form_errors
from services.catalogue.pages.manage import session_page
from services.catalogue.rules import changes
from services.catalogue.rules.refusals import RefusedByRule
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import resources, sessions, templates
from services.catalogue.service.commands import Cancellation, ReplayRequest, SessionCopy, TemplateRequest
from services.catalogue.service.failures import Impossible, PublishedDifferently, Stale
from shared import clock
from shared.web.form_errors import FormError, FormErrors, shown_errors
from shared.web.forms import moment_in
from shared.web.logins import StaffVisit


async def cancel(visit: StaffVisit) -> Response:
    """Ask for confirmation and a reason, then cancel."""
    listed = await session_page.own(visit)
    template = "gestion-annuler.html"
    if visit.request.method != "POST":
        refused = changes.uncancellable(listed.session, clock.now())
        return await _confirmation(visit, listed, refused, template)
    try:
        cancellation = Cancellation(reason=visit.form.typed("reason") or None)
    except ValidationError:
        return _asked(visit, listed, template, {"reason": FormError("cancellation_reason")})

    session_id = listed.session.session_id
    try:
        async with visit.database.transaction() as tx:
            await sessions.cancel(tx, visit.who, session_id, cancellation, tags=session_page.tags(visit))
    except Impossible as error:
        return await session_page.page(visit, listed, errors=form_errors.of_rules(error.violations))
    except Stale:
        newest = await session_page.own(visit)
        if changes.uncancellable(newest.session, clock.now()) is not None:
            return await session_page.page(visit, newest, stale=True)
        return _asked(visit, newest, template, {}, stale=True)
    return session_page.to(session_id, "annulee")


async def delete(visit: StaffVisit) -> Response:
    """Ask for confirmation, then delete a draft."""
    listed = await session_page.own(visit)
    if visit.request.method != "POST":
        refused = changes.undeletable(listed.session)
        return await _confirmation(visit, listed, refused, "gestion-supprimer.html")

    async def action() -> None:
        session_id = listed.session.session_id
        async with visit.database.transaction() as tx:
            await sessions.delete(tx, visit.who, session_id, tags=session_page.tags(visit))

    return await session_page.page_after(visit, listed, action, "supprimee", leads_to="/gestion")


async def _confirmation(
    visit: StaffVisit, listed: ListedSession, refused: RefusedByRule | None, template: str
) -> Response:
    """The page that asks for confirmation; or the session's, which says why it is not possible."""
    if refused is not None:
        return await session_page.page(visit, listed, errors=form_errors.of_rules(refused.violations))
    return _asked(visit, listed, template, {})


def _asked(
    visit: StaffVisit, listed: ListedSession, template: str, errors: FormErrors, *, stale: bool = False
) -> Response:
    tag = session_page.tag(listed)
    return visit.page(
        template,
        status=412 if stale else 422 if errors else 200,
        listed=listed,
        stale=stale,
        tag=tag if stale else visit.form.get("version", tag),
        typed={"reason": visit.form.get("reason", "")},
        **shown_errors(visit.rendering, errors, ("reason",)),
    )


async def copy(visit: StaffVisit) -> Response:
    """A draft like this session, at another time."""
    listed = await session_page.own(visit)
    try:
        starts_at = moment_in(visit.form.get("copie", ""), listed.session.plan.timezone)
        request = SessionCopy.model_validate({"starts_at": starts_at})
        async with visit.database.transaction() as tx:
            key, session_id = session_page.form_name(visit), listed.session.session_id
            made = await sessions.duplicate(tx, visit.who, session_id, request, key=key)
    except ValueError:
        error = FormError("starts_at")
    except Impossible as refused:
        # All dates of a copy follow from this one, and all violations from its dates.
        error = next(iter(form_errors.of_rules(refused.violations).values()))
    else:
        return session_page.to(made.session.session_id, "copiee")
    return await session_page.page(visit, listed, errors={"copie": error}, keep=False)


async def name_template(visit: StaffVisit) -> Response:
    """Give a session a name, to begin others from it; or take it away, where none is typed."""
    listed = await session_page.own(visit)
    try:
        request = TemplateRequest.model_validate({"template_name": visit.form.typed("modele") or None})
        async with visit.database.transaction() as tx:
            seen = visit.form.get("avant-modele") or None
            session_id = listed.session.session_id
            await templates.name(tx, visit.who, session_id, request.template_name, seen=seen)
    except ValidationError:
        error = FormError("modele")
    except Stale:
        return await session_page.page(visit, await session_page.own(visit), stale=True, keep=False)
    except Impossible as refused:
        error = next(iter(form_errors.of_rules(refused.violations).values()))
    else:
        done = "modele" if request.template_name else "sans-modele"
        return session_page.to(listed.session.session_id, done)
    return await session_page.page(visit, listed, errors={"modele": error}, keep=False)


async def replay(visit: StaffVisit) -> Response:
    """Open the recording of this session to everyone."""
    listed = await session_page.own(visit)
    fields: dict[str, Any] = {
        "session_id": listed.session.session_id,
        "title": visit.form.typed("replay_title"),
        "url": visit.form.typed("replay_url"),
        "summary": visit.form.typed("replay_summary") or None,
        "themes": [theme] if (theme := visit.form.typed("replay_theme")) else [],
    }
    try:
        request = ReplayRequest.model_validate(fields)
        async with visit.database.transaction() as tx:
            await resources.publish(tx, visit.who, request)
    except ValidationError as error:
        errors = form_errors.of_request(error)
    except Impossible as error:
        errors = form_errors.of_rules(error.violations)
    except PublishedDifferently:
        errors = {"url": FormError("replay_address_taken")}
    else:
        return session_page.to(listed.session.session_id, "replay")
    named = {session_page.REPLAY_FIELDS.get(field, ""): error for field, error in errors.items()}
    return await session_page.page(visit, listed, errors=named, keep=False)
