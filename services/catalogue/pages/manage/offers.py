from functools import partial

from starlette.responses import Response

from services.catalogue.pages import filters, offer_form
from services.catalogue.pages.manage.frame import FormPage, FormState, lead, looking
from services.catalogue.pages.manage.history import history_part
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.service import offers, session_lists
from services.catalogue.service.acting import Acting
from shared import clock
from shared.permissions import Permission
from shared.web.form_errors import sentences
from shared.web.forms import Form
from shared.web.logins import StaffVisit
from shared.web.paging import part_around

PAGE = 30


async def all_offers(visit: StaffVisit) -> Response:
    query, now = visit.request.query_params, clock.now()
    chosen = filters.read(query)
    after, before = (
        place if place and filters.is_slug(place) else None
        for place in (query.get("apres"), query.get("avant"))
    )
    async with looking(visit) as organiser:
        ahead = SessionSearch(now=now, viewer=organiser.viewer, own=True, ends_after=now)
        load = partial(
            offers.page,
            organiser.tx,
            text=chosen.text or None,
            session_format=chosen.format,
            withdrawn_too=True,
        )
        part = await part_around(after, before, PAGE, load=load, position=lambda offer: offer.offer_id)
        counts = await session_lists.groups(organiser.tx, ahead, "offer_id")
    return visit.page(
        "gestion-offres.html",
        filters=chosen,
        errors=sentences(visit.rendering, chosen.errors),
        used={"recherche": chosen.text or None, "format": chosen.format},
        part=part,
        counts={offer_id: group.sessions for offer_id, group in counts.items()},
        may_change=visit.who.may(Permission.CHANGE_OFFERS),
    )


async def offer_history(visit: StaffVisit) -> Response:
    offer = await _offer(visit)
    async with looking(visit) as organiser:
        part = await history_part(visit, partial(offers.history, organiser.tx, offer.offer_id))
    return visit.page("gestion-offre-historique.html", offer=offer, part=part)


async def _none(_visit: StaffVisit) -> None:
    pass


async def _offer(visit: StaffVisit) -> Offer:
    async with looking(visit) as organiser:
        return await offers.show(organiser.tx, visit.request.path_params["offer_id"])


async def _create(acting: Acting, _none: None, form: Form) -> str:
    made = await offers.create(acting, offer_form.read_new(form))
    return lead(f"/gestion/offres/{made.offer_id}", "offre-creee")


async def _change(acting: Acting, offer: Offer, form: Form) -> str:
    await offers.change(acting, offer.offer_id, offer_form.read_change(form))
    return lead(f"/gestion/offres/{offer.offer_id}", "offre-modifiee")


async def _withdraw(acting: Acting, offer: Offer, _form: Form) -> str:
    await offers.withdraw(acting, offer.offer_id)
    return lead(f"/gestion/offres/{offer.offer_id}", "offre-retiree")


async def _restore(acting: Acting, offer: Offer, _form: Form) -> str:
    await offers.restore(acting, offer.offer_id)
    return lead(f"/gestion/offres/{offer.offer_id}", "offre-remise")


async def _show(visit: StaffVisit, offer: Offer | None, state: FormState) -> Response:
    stored = offer_form.shown(offer)
    values = offer_form.kept(visit.form, stored)
    async with looking(visit) as organiser:
        themes = await offers.themes(organiser.tx)
    return visit.page(
        "gestion-offre.html",
        offer=offer,
        values=values,
        themes=themes,
        may_change=visit.who.may(Permission.CHANGE_OFFERS),
        unfolded={"audience"} if any(name.startswith("audience-") for name in state.errors) else (),
        differing=offer_form.differing(values, stored),
        **state.shown(visit, "" if offer is None else offers.tag_of(offer), offer_form.ORDER),
    )


async def _ask_to_withdraw(visit: StaffVisit, offer: Offer, state: FormState) -> Response:
    if state.errors:
        return await _show(visit, offer, state)
    return visit.page("gestion-offre-retirer.html", offer=offer, **state.shown(visit, offers.tag_of(offer)))


new_offer = FormPage(_none, _create, _show, field_of=offer_form.field_of)
show_offer = FormPage(_offer, _change, _show, field_of=offer_form.field_of)
withdraw_offer = FormPage(_offer, _withdraw, _ask_to_withdraw, field_of=offer_form.field_of)
restore_offer = FormPage(_offer, _restore, _show)
