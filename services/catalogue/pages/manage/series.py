from starlette.responses import Response

from services.catalogue.pages import form_rows, series_form, session_form, session_steps
from services.catalogue.pages.form_errors import WrongForm
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.editing import all_offers, what_to_begin_with
from services.catalogue.pages.manage.frame import FormPage, FormState, lead, looking
from services.catalogue.rules.date_warnings import DateWarnings
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.refusals import RefusedByRule
from services.catalogue.rules.searching import SessionOrder
from services.catalogue.rules.series import SeriesSession
from services.catalogue.service import overviews, series
from services.catalogue.service.acting import Acting
from services.catalogue.service.series import Series
from shared.events.vocabulary import Status
from shared.web.forms import Form
from shared.web.logins import StaffVisit

_BLANK = 3
SEEN, CONFIRM = "apercu", "confirmer"


async def _make(acting: Acting, every: list[Offer], form: Form) -> str | Series:
    values = series_form.kept(form, {})
    typed = series_form.read(values, every, acting.delegation)
    if typed.errors:
        raise WrongForm(typed.errors)
    is_confirmed = CONFIRM in form and _is_seen(form) and session_steps.target(form) is None
    make = series.create if is_confirmed else series.plan
    published = series_form.PUBLISHED in values
    key = session_page.form_name(form)
    planned = await make(acting, typed.rows, key=key, published=published)
    if not planned.made:
        return planned
    done, status = ("serie-publiee", Status.PUBLISHED) if published else ("serie", Status.DRAFT)
    listed = {"etat": status, "tri": SessionOrder.CHANGED, "nombre": str(len(planned.sessions))}
    return lead("/gestion", done, **listed)


def _is_seen(form: Form) -> bool:
    return form.get(SEEN) == series_form.digest(series_form.kept(form, {}))


async def _show(visit: StaffVisit, every: list[Offer], state: FormState) -> Response:
    form, planned = visit.form, state.tried
    is_on_its_way = session_steps.target(form) is not None
    begun = await what_to_begin_with(visit)
    # The place of the first session is in one town: the other towns need another place.
    values = session_form.empty() | series_form.kept(
        form, begun["values"] | dict.fromkeys(("venue", *session_form.ADDRESS, "directions"), "")
    )
    warnings: list[DateWarnings] = []
    if planned is not None:
        state = FormState(series_form.refused(values, planned.sessions))
        async with looking(visit) as organiser:
            warnings = [await _warnings(organiser, session) for session in planned.sessions]
    step, state = session_page.step_of(visit, values, state)
    button = form.get(form_rows.BUTTON, "")
    sessions = [] if planned is None else planned.sessions
    made = [session.done.session for session in sessions if isinstance(session, SeriesSession)]
    towns = form_rows.shown(values, button, blank=_BLANK, groups=form_rows.TOWNS)
    return visit.page(
        "gestion-serie.html",
        offers=every,
        offer=next((offer for offer in every if offer.offer_id == values["offer_id"]), None),
        requirable={offer.offer_id: offer.title for offer in every},
        templates=begun["templates"],
        values=values,
        rows=form_rows.shown(values, button),
        towns=towns["towns"],
        settled=frozenset(),
        unfolded=session_form.unfolded(values, state.errors, button),
        step=step,
        series=None if is_on_its_way else planned,
        planned=made[0] if made else None,
        warnings=warnings,
        changed=planned is not None and CONFIRM in form and not _is_seen(form),
        form_name=session_page.form_name(form),
        digest=series_form.digest(values),
        **state.shown(visit, order=series_form.ORDER),
    )


async def _warnings(organiser: Acting, session: SeriesSession | RefusedByRule) -> DateWarnings:
    if isinstance(session, RefusedByRule):
        return DateWarnings()
    return await overviews.warnings_of(organiser.tx, session.done.session)


new_series = FormPage(all_offers, _make, _show)
