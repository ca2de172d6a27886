"""The form of a session: a new draft, or a change of a stored one."""

from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import form_errors, form_rows, series_form, session_form
from services.catalogue.pages.manage import session_page
from services.catalogue.rules.consequences import reaches_people, without_new_names
from services.catalogue.rules.lifecycle import shifted
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import offers, session_lists, sessions, templates
from services.catalogue.service.commands import SessionChange, SessionDraft
from services.catalogue.service.failures import Impossible
from shared.events.catalogue import Module
from shared.events.zones import PARIS
from shared.web.form_errors import FormError, shown_errors
from shared.web.forms import moment_in
from shared.web.logins import StaffVisit


async def new_session(visit: StaffVisit) -> Response:
    """The form of a draft, and what comes of it."""
    async with visit.database.quiet_transaction() as tx:
        every = await offers.every(tx)
        named = await templates.all_own(tx, visit.who)
    errors: dict[str, FormError] = {}
    button = visit.form.get(form_rows.BUTTON, "")
    if visit.request.method == "POST" and not button:
        drafted = await _draft(visit, every)
        if isinstance(drafted, ListedSession):
            return session_page.to(drafted.session.session_id, "creee")
        errors = drafted
    values = dict.fromkeys((*session_form.FIELDS, session_form.SIRETS), "")
    values |= session_form.kept(visit.form, await beginning(visit))
    # A delegation's token says which delegation organises: its form has no field for it.
    order = [name for name in session_form.ORDER if name != "organiser" or not visit.who.delegation]
    return visit.page(
        "gestion-nouvelle.html",
        status=422 if errors else 200,
        offers=every,
        templates=named,
        requirable={offer.offer_id: offer.title for offer in every},
        values=values,
        rows=form_rows.shown(values, button, blank=1 if visit.form else form_rows.BLANK),
        settled=frozenset(),
        form_name=session_page.form_name(visit),
        unfolded=session_form.unfolded(values, errors, button),
        **shown_errors(visit.rendering, errors, order),
    )


async def beginning(visit: StaffVisit) -> dict[str, str]:
    """What the form of a new session begins with, as its address says: an offer, or a session of their own.

    The dates of that session move with the start that the address gives, as for a copy.
    """
    query = visit.request.query_params
    session_id = _session_id(query.get("depuis", ""))
    if session_id is None:
        return {"offer_id": query.get("offre", "")}
    async with visit.database.quiet_transaction() as tx:
        session = (await session_lists.show_own(tx, session_id, visit.who)).session
    with suppress(ValueError):
        starts_at = moment_in(query.get("debut", ""), session.plan.timezone)
        session = replace(session, plan=shifted(session.plan, starts_at))
    values = session_form.shown(replace(session, reference=None))
    return values | {"offer_id": session.offer_id, "organiser": session.organiser}


def _session_id(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text)
    return None


async def _draft(visit: StaffVisit, every: list[Offer]) -> ListedSession | dict[str, FormError]:
    """The draft that a form requests, or by field why there is none."""
    chosen = next((offer for offer in every if offer.offer_id == visit.form.get("offer_id")), None)
    typed = session_form.read(visit.form, {}, timezone=chosen.terms.timezone if chosen else PARIS)
    try:
        draft = SessionDraft.model_validate(typed.fields)
    except ValidationError as error:
        return form_errors.of_request(error) | typed.errors
    if typed.errors:
        return typed.errors
    try:
        async with visit.database.transaction() as tx:
            return await sessions.draft(tx, visit.who, draft, key=session_page.form_name(visit))
    except Impossible as error:
        return form_errors.of_rules(error.violations)


async def show_session(visit: StaffVisit) -> Response:
    """A session with its form, and what may be done with it."""
    listed = await session_page.own(visit)
    if visit.request.method != "POST" or form_rows.BUTTON in visit.form:
        return await session_page.page(visit, listed)
    plan = listed.session.plan
    before = session_form.shown(listed.session)
    typed = session_form.read(visit.form, before, timezone=plan.timezone, plan=plan)
    try:
        change = SessionChange.model_validate(typed.fields)
    except ValidationError as error:
        return await session_page.page(visit, listed, errors=form_errors.of_request(error) | typed.errors)
    if typed.errors:
        return await session_page.page(visit, listed, errors=typed.errors)

    digest = series_form.digest(session_form.kept(visit.form, before))
    is_confirmed = "confirmer" in visit.form and visit.form.get("apercu") == digest
    modules = [Module(**module.model_dump()) for module in change.modules or ()]
    changed = without_new_names(plan.modules, modules, change.model_fields_set)
    dry_run = reaches_people(listed, changed) and not is_confirmed

    async def action() -> None:
        tags, session_id = session_page.tags(visit), listed.session.session_id
        async with visit.database.transaction() as tx:
            await sessions.change(tx, visit.who, session_id, change, tags=tags, dry_run=dry_run)

    tried = session_page.TriedChange(digest, change, changed) if dry_run else None
    # To publish: saved as it was typed, then it is asked whether it is meant.
    leads_to = f"{visit.request.url.path}/publier" if "publier" in visit.form else None
    return await session_page.page_after(visit, listed, action, "modifiee", leads_to=leads_to, tried=tried)
