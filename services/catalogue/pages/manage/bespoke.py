"""The bespoke requests of authorities, which a delegation answers by a form."""

import re
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import filters, form_errors, session_form
from services.catalogue.rules.bespoke import (
    BespokeRequest,
    BespokeState,
    next_answer,
    possible_answers,
)
from services.catalogue.service import bespoke, offers
from services.catalogue.service.commands import BespokeAnswerRequest
from services.catalogue.service.failures import Impossible, Stale
from shared.events.catalogue import BespokeAnswer
from shared.events.vocabulary import Contact, Format
from shared.events.zones import PARIS, zone_of
from shared.read_log import reading_of
from shared.web import responses
from shared.web.form_errors import FormError, FormErrors, shown_errors
from shared.web.forms import Form
from shared.web.logins import StaffVisit
from shared.web.paging import edges, part_around, written

PAGE = 30
COLUMN = 20
"""Requests of one state that the board shows; the list has all."""

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
"""Answers that the page of a request shows: nearly always all."""
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
"""The name of who logged in with an address that the issuer verified: any other has its subject behind it."""
_ADVISOR = ("advisor_name", "advisor_email")
_FIELDS = ("answer", "message", *_ADVISOR, *_SESSION)


async def show_board(visit: StaffVisit) -> Response:
    """The delegation's requests by where they stand."""
    async with visit.database.quiet_transaction() as tx:
        columns = await bespoke.board(tx, visit.who, COLUMN)
        themes = await offers.themes(tx)
        shown = [request for column in columns for request in column.requests]
        agreed = await bespoke.sessions_of(tx, visit.who, shown)
    return visit.page(
        "gestion-tableau.html", columns=columns, agreed=agreed, themes=themes, next_answer=next_answer
    )


async def list_requests(visit: StaffVisit) -> Response:
    """The delegation's requests, the newest first; of one state, or those that are looked for."""
    query = visit.request.query_params
    state, chosen = query.get("etat"), filters.read(query)
    wanted = BespokeState(state) if state in set(BespokeState) else None
    delegation = None if visit.who.delegation else chosen.delegation
    async with visit.database.quiet_transaction() as tx:
        part = await part_around(
            *edges(query),
            PAGE,
            load=partial(
                bespoke.page,
                tx,
                visit.who,
                reading=None,
                state=wanted,
                delegation=delegation,
                sought=chosen.text,
            ),
            position=lambda request: written((request.received_at, request.bespoke_id)),
        )
    used = {"etat": wanted, "recherche": chosen.text or None, "delegation": delegation}
    return visit.page("gestion-demandes.html", part=part, state=wanted, used=used)


async def answer_request(visit: StaffVisit) -> Response:
    """A request with the form of its answer, and what comes of it."""
    request = await _own(visit)
    if visit.request.method != "POST":
        return await _page(visit, request)
    answer = _read(visit.form)
    if not isinstance(answer, BespokeAnswerRequest):
        return await _page(visit, request, errors=answer)
    try:
        tags = frozenset((visit.form.get("version", ""),))
        async with visit.database.transaction() as tx:
            await bespoke.answer(
                tx, visit.who, request.bespoke_id, answer, reading_of(visit.who, None), tags=tags
            )
    except Impossible as error:
        return await _page(visit, request, errors=_named(form_errors.of_rules(error.violations)))
    except Stale:
        return await _page(visit, await _own(visit), stale=True)
    address = f"/gestion/demandes/{request.bespoke_id}?{urlencode({'fait': 'oui'})}"
    return responses.see_other(address)


async def hand_over(visit: StaffVisit) -> Response:
    """Who is to follow a request from now on, and that they do."""
    request, stale = await _own(visit), False
    errors: FormErrors = {}
    if not possible_answers(request):
        return responses.see_other(f"/gestion/demandes/{request.bespoke_id}")  # which says why
    if visit.request.method == "POST":
        tags = frozenset((visit.form.get("version", ""),))
        try:
            advisor = Contact.model_validate(_advisor(visit.form))
            async with visit.database.transaction() as tx:
                await bespoke.hand_over(
                    tx, visit.who, request.bespoke_id, advisor, reading_of(visit.who, None), tags=tags
                )
        except ValidationError as error:
            fields = {f"advisor_{problem['loc'][0]}" for problem in error.errors(include_url=False)}
            errors = {field: form_errors.unreadable(field) for field in fields}
        except (Impossible, Stale):
            request, stale = await _own(visit), True
        else:
            return responses.see_other(f"/gestion/demandes/{request.bespoke_id}?fait=confiee")
    tag = bespoke.tag_of(request)
    return visit.page(
        "gestion-demande-confier.html",
        status=412 if stale else 422 if errors else 200,
        request=request,
        values={name: visit.form.get(name, "") for name in _ADVISOR},
        **shown_errors(visit.rendering, errors, _ADVISOR),
        stale=stale,
        tag=tag if stale else visit.form.get("version", tag),
    )


def _advisor(form: Form) -> dict[str, str]:
    return {"name": form.get("advisor_name", ""), "email": form.get("advisor_email", "")}


def _read(form: Form) -> BespokeAnswerRequest | dict[str, FormError]:
    """The answer that a form gives, or by field what of it makes no sense."""
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
    try:
        answer = BespokeAnswerRequest.model_validate(fields)
    except ValidationError as error:
        return _errors(error) | errors
    return errors or answer


def _named(errors: FormErrors) -> dict[str, FormError]:
    """The errors by the form's own fields. Which answer is given is no field's, but the button's."""
    named = {field.removeprefix("session-"): error for field, error in errors.items()}
    return {"" if field == "answer" else field: error for field, error in named.items()}


def _errors(error: ValidationError) -> dict[str, FormError]:
    """The errors by the form's own fields: ``advisor_name``, and of the session ``starts_at``."""
    errors: dict[str, FormError] = {}
    for problem in error.errors(include_url=False, include_input=False):
        path = [str(step) for step in problem["loc"]]
        in_session = path[0] == "session" and len(path) > 1
        field = path[1] if in_session else "_".join(path)
        missing = in_session and problem["type"] == "missing"
        errors.setdefault(field, form_errors.REQUIRED if missing else form_errors.unreadable(field))
    return _named(errors)


async def _own(visit: StaffVisit) -> BespokeRequest:
    bespoke_id: UUID = visit.request.path_params["bespoke_id"]
    async with visit.database.quiet_transaction() as tx:
        return await bespoke.show(tx, visit.who, bespoke_id, reading_of(visit.who, None))


async def _page(
    visit: StaffVisit, request: BespokeRequest, *, errors: FormErrors | None = None, stale: bool = False
) -> Response:
    errors, tag = errors or {}, bespoke.tag_of(request)
    async with visit.database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        every = [offer for offer in await offers.every(tx) if offer.format is Format.BESPOKE]
        agreed = await bespoke.sessions_of(tx, visit.who, [request])
        history = await bespoke.history(tx, request.bespoke_id, HISTORY)
    possible, values = possible_answers(request), {name: visit.form.get(name, "") for name in _FIELDS}
    chosen = values["answer"] or visit.request.query_params.get("reponse")
    if chosen not in possible:
        # What was typed for an answer that somebody else's has made impossible is sent as no other.
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
        status=412 if stale else 422 if errors else 200,
        request=request,
        answer=chosen,
        possible=possible,
        history=history,
        agreed=agreed,
        offers=every,
        themes=themes,
        values=values,
        **shown_errors(visit.rendering, errors, _FIELDS),
        stale=stale,
        done=visit.done,
        tag=tag if stale else visit.form.get("version", tag),
    )
