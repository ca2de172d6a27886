"""The form of a session: a new draft, or a change of one that is there."""

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import complaints, forms, rows
from services.catalogue.pages.manage import session_page
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import offers, sessions
from services.catalogue.service.commands import SessionChange, SessionDraft
from services.catalogue.service.failures import Impossible
from shared.web.forms import in_order
from shared.web.logins import Visit

PARIS = "Europe/Paris"


async def new_session(visit: Visit) -> Response:
    """The form of a draft, and what comes of it."""
    async with visit.database.quiet_transaction() as tx:
        every = await offers.every(tx)
    said: dict[str, str] = {}
    if visit.request.method == "POST" and rows.BUTTON not in visit.form:
        drafted = await _draft(visit, every)
        if isinstance(drafted, ListedSession):
            return session_page.to(drafted.session.session_id, "creee")
        said = drafted
    values = dict.fromkeys((*forms.FIELDS, forms.SIRETS), "") | forms.kept(visit.form, {})
    # Whose token is a delegation's is not asked for which one.
    order = [name for name in forms.ORDER if name != "organiser" or not visit.who.delegation]
    button = visit.form.get(rows.BUTTON, "")
    return visit.page(
        "gestion-nouvelle.html",
        status=422 if said else 200,
        offers=every,
        values=values,
        rows=rows.shown(values, button, blank=1 if visit.form else rows.BLANK),
        settled=frozenset(),
        unfolded=forms.unfolded(values, said, button),
        errors=said,
        listed_errors=in_order(said, order),
    )


async def _draft(visit: Visit, every: list[Offer]) -> ListedSession | dict[str, str]:
    """The draft that a form asks for, or by field why there is none."""
    chosen = next((offer for offer in every if offer.offer_id == visit.form.get("offer_id")), None)
    typed = forms.read(visit.form, {}, timezone=chosen.terms.timezone if chosen else PARIS)
    try:
        asked = SessionDraft.model_validate(typed.fields)
    except ValidationError as error:
        return complaints.of_request(error) | typed.wrong
    if typed.wrong:
        return typed.wrong
    try:
        async with visit.database.transaction() as tx:
            return await sessions.draft(tx, visit.who, asked)
    except Impossible as error:
        return complaints.of_rules(error)


async def one_session(visit: Visit) -> Response:
    """A session with its form, what may be done with it, and its history."""
    listed = await session_page.own(visit)
    if visit.request.method != "POST" or rows.BUTTON in visit.form:
        return await session_page.page(visit, listed)
    plan = listed.session.plan
    before = forms.shown(listed.session)
    typed = forms.read(visit.form, before, timezone=plan.timezone, plan=plan)
    try:
        asked = SessionChange.model_validate(typed.fields)
    except ValidationError as error:
        return await session_page.page(visit, listed, said=complaints.of_request(error) | typed.wrong)
    if typed.wrong:
        return await session_page.page(visit, listed, said=typed.wrong)

    async def change() -> ListedSession:
        session_id = listed.session.session_id
        async with visit.database.transaction() as tx:
            return await sessions.change(tx, visit.who, session_id, asked, tags=session_page.tags(visit))

    return await session_page.doing(visit, listed, change, "modifiee")
