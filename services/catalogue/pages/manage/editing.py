from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from starlette.responses import Response

from services.catalogue.pages import form_errors, form_rows, series_form, session_form, session_steps
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.frame import FormPage, FormState, looking
from services.catalogue.rules.consequences import reaches_people, without_new_names
from services.catalogue.rules.lifecycle import shifted
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.sessions import ListedSession, Session
from services.catalogue.service import offers, overviews, session_lists, sessions, templates
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import SessionChange, SessionDraft
from shared import clock
from shared.events.catalogue import Module
from shared.events.zones import PARIS, zone_of
from shared.web.forms import Form, moment_in, typed_moment
from shared.web.logins import StaffVisit


async def all_offers(visit: StaffVisit) -> list[Offer]:
    async with looking(visit) as organiser:
        return await offers.every(organiser.tx)


async def what_to_begin_with(visit: StaffVisit) -> dict[str, Any]:
    query = visit.request.query_params
    async with looking(visit) as organiser:
        named = await templates.all_own(organiser)
        if (session_id := _session_id(query.get("depuis", ""))) is None:
            return {"templates": named, "values": {"offer_id": query.get("offre", "")}}
        session = (await session_lists.show_own(organiser, session_id)).session
    with suppress(ValueError):
        starts_at = moment_in(query.get("debut", ""), session.plan.timezone)
        session = replace(session, plan=shifted(session.plan, starts_at))
    values = session_form.shown(replace(session, reference=None))
    return {
        "templates": named,
        "values": values | {"offer_id": session.offer_id, "organiser": session.organiser},
    }


def _session_id(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text)
    return None


async def _draft(acting: Acting, every: list[Offer], form: Form) -> str | Session:
    chosen = next((offer for offer in every if offer.offer_id == form.get("offer_id")), None)
    typed = session_form.read(form, {}, timezone=chosen.terms.timezone if chosen else PARIS)
    draft = form_errors.command(SessionDraft, typed.fields, typed.errors)
    if session_steps.target(form) is not None:
        return await sessions.planned(acting, draft)
    drafted = await sessions.draft(acting, draft, key=session_page.form_name(form))
    if "publier" in form:
        return session_page.publication(drafted.session.session_id, "creee")
    return session_page.to(drafted.session.session_id, "creee")


async def _show_new(visit: StaffVisit, every: list[Offer], state: FormState) -> Response:
    begun = await what_to_begin_with(visit)
    form = visit.form
    values = session_form.empty() | session_form.kept(form, _opening(visit) | begun["values"])
    step, state = session_page.step_of(visit, values, state)
    button = form.get(form_rows.BUTTON, "")
    # The token of a delegation names the organiser, so the form has no field for it.
    order = [name for name in session_form.ORDER if name != "organiser" or not visit.who.delegation]
    async with looking(visit) as organiser:
        warnings = state.tried and await overviews.warnings_of(organiser.tx, state.tried)
    return visit.page(
        "gestion-nouvelle.html",
        offers=every,
        offer=next((offer for offer in every if offer.offer_id == values["offer_id"]), None),
        templates=begun["templates"],
        requirable={offer.offer_id: offer.title for offer in every},
        values=values,
        rows=form_rows.shown(values, button),
        settled=frozenset(),
        form_name=session_page.form_name(form),
        unfolded=session_form.unfolded(values, state.errors, button),
        step=step,
        planned=state.tried,
        warnings=warnings,
        **state.shown(visit, order=order),
    )


def _opening(visit: StaffVisit) -> dict[str, str]:
    """Enrolment opens at once, unless another moment is typed."""
    zone = zone_of(visit.who.delegation or "")
    opening = {"enrolment_opens_at": typed_moment(clock.now(), zone)}
    return opening if zone == PARIS else opening | {"timezone": zone}


async def _change(acting: Acting, listed: ListedSession, form: Form) -> str | session_page.TriedChange:
    session_id, plan = listed.session.session_id, listed.session.plan
    before = session_form.shown(listed.session)
    typed = session_form.read(form, before, timezone=plan.timezone, plan=plan)
    change = form_errors.command(SessionChange, typed.fields, typed.errors)
    digest = series_form.digest(session_form.kept(form, before))
    is_confirmed = "confirmer" in form and form.get("apercu") == digest
    modules = [Module(**module.model_dump()) for module in change.modules or ()]
    changed = without_new_names(plan.modules, modules, change.model_fields_set)
    asks = session_steps.target(form) is None and reaches_people(listed, changed) and not is_confirmed
    dry_run = asks or session_steps.target(form) is not None
    await sessions.change(acting, session_id, change, dry_run=dry_run)
    if dry_run:
        return session_page.TriedChange(digest, change, changed, asks=asks)
    # To publish: save the form, then ask for confirmation.
    if "publier" in form:
        return session_page.publication(session_id, "modifiee")
    return session_page.to(session_id, "modifiee")


new_session = FormPage(all_offers, _draft, _show_new)
show_session = FormPage(session_page.own, _change, session_page.show)
