"""The offers that sessions are made of: listed for every delegation; made and changed by who acts for all."""

from collections.abc import Mapping
from functools import partial

from starlette.responses import Response

from services.catalogue.pages import filters, form_errors, offer_form
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.history import history_part
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.service import offers, session_lists
from services.catalogue.service.access import viewer_of
from services.catalogue.service.commands import OfferRequest
from services.catalogue.service.failures import Impossible, Stale
from shared import clock
from shared.web.form_errors import FormError, sentences, shown_errors
from shared.web.logins import StaffVisit
from shared.web.paging import part_around

PAGE = 30


async def all_offers(visit: StaffVisit) -> Response:
    """Every offer by its id, filtered, with how many sessions of it are to come for who looks."""
    query, now = visit.request.query_params, clock.now()
    chosen = filters.read(query)
    after, before = (
        place if place and filters.is_slug(place) else None
        for place in (query.get("apres"), query.get("avant"))
    )
    ahead = SessionSearch(now=now, viewer=viewer_of(visit.who), own=True, ends_after=now)
    async with visit.database.quiet_transaction() as tx:
        load = partial(
            offers.page, tx, text=chosen.text or None, session_format=chosen.format, withdrawn_too=True
        )
        part = await part_around(after, before, PAGE, load=load, position=lambda offer: offer.offer_id)
        counts = await session_lists.groups(tx, ahead, "offer_id")
    return visit.page(
        "gestion-offres.html",
        filters=chosen,
        errors=sentences(visit.rendering, chosen.errors),
        used={"recherche": chosen.text or None, "format": chosen.format},
        part=part,
        counts={offer_id: group.sessions for offer_id, group in counts.items()},
        may_change=offers.may_change(visit.who),
    )


async def new_offer(visit: StaffVisit) -> Response:
    """The form of an offer, and what comes of it. Raises NotYours for who may make none."""
    offers.require_all(visit.who)
    errors: Mapping[str, FormError] = {}
    if visit.request.method == "POST":
        requested = offer_form.read_new(visit.form)
        if isinstance(requested, OfferRequest):
            try:
                async with visit.database.transaction() as tx:
                    made = await offers.create(tx, visit.who, requested)
            except Impossible as error:
                errors = offer_form.of_rules(form_errors.of_rules(error.violations))
            else:
                return session_page.lead(f"/gestion/offres/{made.offer_id}", "offre-creee")
        else:
            errors = requested
    return await _page(visit, None, errors=errors)


async def show_offer(visit: StaffVisit) -> Response:
    """An offer with its form, for who may change it."""
    offer = await _offer(visit)
    if visit.request.method != "POST":
        return await _page(visit, offer)
    requested = offer_form.read_change(visit.form)
    if isinstance(requested, dict):
        return await _page(visit, offer, errors=requested)
    try:
        async with visit.database.transaction() as tx:
            await offers.change(tx, visit.who, offer.offer_id, requested, tags=session_page.tags(visit))
    except Impossible as error:
        return await _page(visit, offer, errors=offer_form.of_rules(form_errors.of_rules(error.violations)))
    except Stale:
        return await _page(visit, await _offer(visit), stale=True)
    return session_page.lead(f"/gestion/offres/{offer.offer_id}", "offre-modifiee")


async def withdraw_offer(visit: StaffVisit) -> Response:
    """Ask for confirmation, then take an offer back that should not be there."""
    offers.require_all(visit.who)
    offer, stale = await _offer(visit), False
    if visit.request.method == "POST":
        try:
            async with visit.database.transaction() as tx:
                await offers.withdraw(tx, visit.who, offer.offer_id, tags=session_page.tags(visit))
        except Impossible as error:
            errors = offer_form.of_rules(form_errors.of_rules(error.violations))
            return await _page(visit, await _offer(visit), errors=errors)
        except Stale:
            offer, stale = await _offer(visit), True
        else:
            return session_page.lead(f"/gestion/offres/{offer.offer_id}", "offre-retiree")
    tag = offers.tag_of(offer)
    return visit.page(
        "gestion-offre-retirer.html", status=412 if stale else 200, offer=offer, stale=stale, tag=tag
    )


async def restore_offer(visit: StaffVisit) -> Response:
    """Have an offer again that was taken back."""
    offer = await _offer(visit)
    try:
        async with visit.database.transaction() as tx:
            await offers.restore(tx, visit.who, offer.offer_id, tags=session_page.tags(visit))
    except Stale:
        return await _page(visit, await _offer(visit), stale=True)
    return session_page.lead(f"/gestion/offres/{offer.offer_id}", "offre-remise")


async def offer_history(visit: StaffVisit) -> Response:
    """The changes of an offer, each field before and after."""
    offer = await _offer(visit)
    async with visit.database.quiet_transaction() as tx:
        part = await history_part(visit, partial(offers.history, tx, offer.offer_id))
    return visit.page("gestion-offre-historique.html", offer=offer, part=part)


async def _offer(visit: StaffVisit) -> Offer:
    """The offer of the address. Raises Missing."""
    async with visit.database.quiet_transaction() as tx:
        return await offers.show(tx, visit.request.path_params["offer_id"])


async def _page(
    visit: StaffVisit,
    offer: Offer | None,
    *,
    errors: Mapping[str, FormError] | None = None,
    stale: bool = False,
) -> Response:
    errors = errors or {}
    stored = offer_form.shown(offer)
    values = offer_form.kept(visit.form, stored)
    tag = "" if offer is None else offers.tag_of(offer)
    async with visit.database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
    return visit.page(
        "gestion-offre.html",
        status=412 if stale else 422 if errors else 200,
        offer=offer,
        values=values,
        themes=themes,
        may_change=offers.may_change(visit.who),
        unfolded={"audience"} if any(name.startswith("audience-") for name in errors) else (),
        differing=offer_form.differing(values, stored),
        stale=stale,
        tag=tag if stale else visit.form.get("version", tag),
        done=visit.done,
        **shown_errors(visit.rendering, errors, offer_form.ORDER),
    )
