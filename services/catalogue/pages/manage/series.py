"""A series by a form: what its sessions have in common, a row for each town; seen before it is made."""

from collections.abc import Mapping

from starlette.responses import Response

from services.catalogue.pages import form_rows, series_form, session_form
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.editing import beginning
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.searching import SessionOrder
from services.catalogue.service import offers, series, templates
from services.catalogue.service.series import Series
from shared.events.vocabulary import Status
from shared.web.form_errors import FormError, shown_errors
from shared.web.logins import StaffVisit

_BLANK = 3
"""Blank rows that the form begins with."""
SEEN, CONFIRM = "apercu", "confirmer"


async def new_series(visit: StaffVisit) -> Response:
    """The form, then what would be made of it, then what was made."""
    async with visit.database.quiet_transaction() as tx:
        every = await offers.every(tx)
    # The place of the session that it begins with is in one town: it is none of the others'.
    values = series_form.kept(visit.form, await beginning(visit) | {"venue": ""})
    button = visit.form.get(form_rows.BUTTON, "")
    if visit.request.method != "POST" or button:
        return await _page(visit, every, values, button=button)
    typed = series_form.read(values, every, visit.who.delegation)
    if typed.errors:
        return await _page(visit, every, values, errors=typed.errors)
    confirmed = CONFIRM in visit.form
    seen = visit.form.get(SEEN) == series_form.digest(values)
    act = series.create if confirmed and seen else series.plan
    published = series_form.PUBLISHED in values
    async with visit.database.transaction() as tx:
        planned = await act(tx, visit.who, typed.rows, key=session_page.form_name(visit), published=published)
    if planned.made:
        done, state = ("serie-publiee", Status.PUBLISHED) if published else ("serie", Status.DRAFT)
        listed = {"etat": state, "tri": SessionOrder.CHANGED, "nombre": str(len(planned.sessions))}
        return session_page.lead("/gestion", done, **listed)
    errors = series_form.refused(values, planned.sessions)
    return await _page(visit, every, values, errors=errors, planned=planned, changed=confirmed and not seen)


async def _page(
    visit: StaffVisit,
    every: list[Offer],
    values: Mapping[str, str],
    *,
    button: str = "",
    errors: Mapping[str, FormError] | None = None,
    planned: Series | None = None,
    changed: bool = False,
) -> Response:
    errors = errors or {}
    async with visit.database.quiet_transaction() as tx:
        named = await templates.all_own(tx, visit.who)
    values = dict.fromkeys((*session_form.FIELDS, session_form.SIRETS), "") | dict(values)
    begun = bool(visit.form)
    return visit.page(
        "gestion-serie.html",
        status=422 if errors else 200,
        offers=every,
        requirable={offer.offer_id: offer.title for offer in every},
        templates=named,
        values=values,
        rows=form_rows.shown(values, button, blank=1 if begun else form_rows.BLANK),
        towns=form_rows.shown(values, button, blank=1 if begun else _BLANK, groups=form_rows.TOWNS)["towns"],
        settled=frozenset(),
        unfolded=session_form.unfolded(values, errors, button),
        planned=planned,
        changed=changed,
        form_name=session_page.form_name(visit),
        digest=series_form.digest(values),
        **shown_errors(visit.rendering, errors, series_form.ORDER),
    )
