import re
from functools import partial
from typing import Any
from uuid import UUID

from starlette.responses import Response

from services.catalogue.pages import filters, form_errors, session_form
from services.catalogue.pages.manage.frame import FormPage, FormState, lead, looking
from services.catalogue.rules.bespoke import BespokeRequest, BespokeState, next_answer, possible_answers
from services.catalogue.service import bespoke, offers
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import BespokeAnswerRequest
from services.catalogue.service.failures import Impossible, Stale
from shared.events.catalogue import BespokeAnswer
from shared.events.vocabulary import Contact, Format
from shared.events.zones import PARIS, zone_of
from shared.read_log import reading_of
from shared.web import responses
from shared.web.form_errors import FormError
from shared.web.forms import Form
from shared.web.logins import StaffVisit
from shared.web.paging import edges, part_around, written

PAGE = 30
COLUMN = 20

_SESSION = (
    "offer_id",
    "title",
    "timezone",
    "starts_at",
    "ends_at",
    "enrolment_closes_at",
    "venue",
    "join_url",
    "capacity",
)
HISTORY = 50
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
"""Logins with a verified address have this address as name; other logins have a subject."""
_ADVISOR = ("advisor_name", "advisor_email")
_FIELDS = ("answer", "message", *_ADVISOR, *_SESSION)


async def show_board(visit: StaffVisit) -> Response:
    async with looking(visit) as organiser:
        columns = await bespoke.board(organiser, COLUMN)
        themes = await offers.themes(organiser.tx)
        shown = [request for column in columns for request in column.requests]
        agreed = await bespoke.sessions_of(organiser, shown)
    return visit.page(
        "gestion-tableau.html", columns=columns, agreed=agreed, themes=themes, next_answer=next_answer
    )


async def list_requests(visit: StaffVisit) -> Response:
    query = visit.request.query_params
    state, chosen = query.get("etat"), filters.read(query)
    wanted = BespokeState(state) if state in set(BespokeState) else None
    delegation = None if visit.who.delegation else chosen.delegation
    async with looking(visit) as organiser:
        load = partial(
            bespoke.page,
            organiser,
            reading=None,
            state=wanted,
            delegation=delegation,
            sought=chosen.text,
        )
        part = await part_around(
            *edges(query),
            PAGE,
            load=load,
            position=lambda request: written((request.received_at, request.bespoke_id)),
        )
    used = {"etat": wanted, "recherche": chosen.text or None, "delegation": delegation}
    return visit.page("gestion-demandes.html", part=part, state=wanted, used=used)


async def _own(visit: StaffVisit) -> BespokeRequest:
    bespoke_id: UUID = visit.request.path_params["bespoke_id"]
    async with looking(visit) as organiser:
        return await bespoke.show(organiser, bespoke_id, reading_of(visit.who, None))


async def _answer(acting: Acting, request: BespokeRequest, form: Form) -> str:
    reading = reading_of(acting.who, None)
    await bespoke.answer(acting, request.bespoke_id, _read_answer(form), reading)
    return lead(f"/gestion/demandes/{request.bespoke_id}", "oui")


async def _hand_over(acting: Acting, request: BespokeRequest, form: Form) -> str:
    reading = reading_of(acting.who, None)
    advisor = form_errors.command(Contact, _advisor(form), {})
    try:
        await bespoke.hand_over(acting, request.bespoke_id, advisor, reading)
    except Impossible as error:
        raise Stale("bespoke request", bespoke.tag_of(request)) from error
    return lead(f"/gestion/demandes/{request.bespoke_id}", "confiee")


async def _ask_to_hand_over(visit: StaffVisit, request: BespokeRequest, state: FormState) -> Response:
    if not possible_answers(request) and state == FormState():
        return responses.see_other(f"/gestion/demandes/{request.bespoke_id}")  # the page gives the reason
    return visit.page(
        "gestion-demande-confier.html",
        request=request,
        values={name: visit.form.get(name, "") for name in _ADVISOR},
        **state.shown(visit, bespoke.tag_of(request), _ADVISOR),
    )


def _advisor(form: Form) -> dict[str, str]:
    return {"name": form.get("advisor_name", ""), "email": form.get("advisor_email", "")}


def _read_answer(form: Form) -> BespokeAnswerRequest:
    fields: dict[str, Any] = {
        "answer": form.get("answer", ""),
        "advisor": _advisor(form),
        "message": form.typed("message") or None,
    }
    errors: dict[str, FormError] = {}
    if fields["answer"] == BespokeAnswer.DECLINED and not fields["message"]:
        errors["message"] = form_errors.REQUIRED
    if fields["answer"] == BespokeAnswer.AGREED:
        typed = session_form.read({name: form.get(name, "") for name in _SESSION}, {}, timezone=PARIS)
        fields["session"], errors = typed.fields, typed.errors
    return form_errors.command(BespokeAnswerRequest, fields, errors)


def _field_of(name: str) -> str:
    """The button that names the answer is no field."""
    name = name.removeprefix("session-")
    return "" if name == "answer" else name.replace("advisor-", "advisor_")


async def _show(visit: StaffVisit, request: BespokeRequest, state: FormState) -> Response:
    async with looking(visit) as organiser:
        themes = await offers.themes(organiser.tx)
        every = [offer for offer in await offers.every(organiser.tx) if offer.format is Format.BESPOKE]
        agreed = await bespoke.sessions_of(organiser, [request])
        history = await bespoke.history(organiser.tx, request.bespoke_id, HISTORY)
    possible, values = possible_answers(request), {name: visit.form.get(name, "") for name in _FIELDS}
    chosen = values["answer"] or visit.request.query_params.get("reponse")
    if chosen not in possible:
        # If another organiser has made the typed answer impossible, the text is not used for another answer.
        chosen = None if visit.form else next_answer(request)
    values["timezone"] = values["timezone"] or zone_of(request.delegation)
    if not visit.form and chosen == BespokeAnswer.AGREED:
        fitting = [offer.offer_id for offer in every if request.theme in offer.themes]
        values |= {"capacity": str(request.trainees), "offer_id": fitting[0] if len(fitting) == 1 else ""}
    if not visit.form and request.advisor is not None:
        values |= {"advisor_name": request.advisor.name, "advisor_email": request.advisor.email}
    elif not visit.form and _ADDRESS.fullmatch(visit.who.name):
        values["advisor_email"] = visit.who.name
    return visit.page(
        "gestion-demande.html",
        request=request,
        answer=chosen,
        possible=possible,
        history=history,
        agreed=agreed,
        offers=every,
        themes=themes,
        values=values,
        **state.shown(visit, bespoke.tag_of(request), _FIELDS),
    )


answer_request = FormPage(_own, _answer, _show, field_of=_field_of)
hand_over = FormPage(_own, _hand_over, _ask_to_hand_over, field_of=lambda name: f"advisor_{name}")
