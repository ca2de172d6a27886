from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.responses import Response

from services.catalogue.pages import form_errors
from services.catalogue.pages.form_errors import WrongForm
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.frame import FormPage, FormState, lead
from services.catalogue.rules import changes
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import resources, sessions, templates
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import Cancellation, ReplayRequest, SessionCopy, TemplateRequest
from services.catalogue.service.failures import PublishedDifferently
from shared import clock
from shared.web.form_errors import FormError
from shared.web.forms import Form, moment_in
from shared.web.logins import StaffVisit


async def _cancel(acting: Acting, listed: ListedSession, form: Form) -> str:
    cancellation = form_errors.command(Cancellation, {"reason": form.typed("reason") or None}, {})
    session_id = listed.session.session_id
    await sessions.cancel(acting, session_id, cancellation)
    return session_page.to(session_id, "annulee")


async def _ask_to_cancel(visit: StaffVisit, listed: ListedSession, state: FormState) -> Response:
    why_not = changes.uncancellable(listed.session, clock.now())
    if why_not is not None and not (state.stale or state.errors):
        state = FormState(form_errors.of_rules(why_not.violations))
    if why_not is not None or state.errors.keys() - {"reason"}:
        return await session_page.show(visit, listed, state)
    return visit.page(
        "gestion-annuler.html",
        listed=listed,
        typed={"reason": visit.form.get("reason", "")},
        **state.shown(visit, session_page.tag(listed), ("reason",)),
    )


async def _delete(acting: Acting, listed: ListedSession, _form: Form) -> str:
    await sessions.delete(acting, listed.session.session_id)
    return lead("/gestion", "supprimee")


async def _ask_to_delete(visit: StaffVisit, listed: ListedSession, state: FormState) -> Response:
    why_not = changes.undeletable(listed.session)
    if why_not is not None and state == FormState():
        state = FormState(form_errors.of_rules(why_not.violations))
    if state != FormState():
        return await session_page.show(visit, listed, state)
    return visit.page("gestion-supprimer.html", listed=listed, **state.shown(visit, session_page.tag(listed)))


async def _copy(acting: Acting, listed: ListedSession, form: Form) -> str:
    fields: dict[str, Any] = {}
    with suppress(ValueError):
        fields["starts_at"] = moment_in(form.get("copie", ""), listed.session.plan.timezone)
    errors = {} if fields else {"starts_at": FormError("starts_at")}
    request = form_errors.command(SessionCopy, fields, errors)
    key = session_page.form_name(form)
    made = await sessions.duplicate(acting, listed.session.session_id, request, key=key)
    return session_page.to(made.session.session_id, "copiee")


async def _name_template(acting: Acting, listed: ListedSession, form: Form) -> str:
    fields = {"template_name": form.typed("modele") or None}
    request = form_errors.command(TemplateRequest, fields, {})
    session_id, before = listed.session.session_id, form.get("avant-modele") or None
    await templates.name(acting, session_id, request.template_name, before=before)
    return session_page.to(session_id, "modele" if request.template_name else "sans-modele")


async def _replay(acting: Acting, listed: ListedSession, form: Form) -> str:
    fields: dict[str, Any] = {
        "session_id": listed.session.session_id,
        "title": form.typed("replay_title"),
        "url": form.typed("replay_url"),
        "summary": form.typed("replay_summary") or None,
        "themes": [theme] if (theme := form.typed("replay_theme")) else [],
    }
    try:
        await resources.publish(acting, form_errors.command(ReplayRequest, fields, {}))
    except PublishedDifferently as error:
        raise WrongForm({"url": FormError("replay_address_taken")}) from error
    return session_page.to(listed.session.session_id, "replay")


def _always(field: str) -> Callable[[str], str]:
    return lambda _name: field


def _replay_field(name: str) -> str:
    return session_page.REPLAY_FIELDS.get(name, "")


cancel = FormPage(session_page.own, _cancel, _ask_to_cancel)
delete = FormPage(session_page.own, _delete, _ask_to_delete)
copy = FormPage(session_page.own, _copy, session_page.show, field_of=_always("copie"))
name_template = FormPage(session_page.own, _name_template, session_page.show, field_of=_always("modele"))
replay = FormPage(session_page.own, _replay, session_page.show, field_of=_replay_field)
