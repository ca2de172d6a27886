"""What authorities ask of a delegation, and what it answers, by forms."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from services.catalogue.pages import complaints, forms, wording
from services.catalogue.rules.bespoke import BespokeRequest, possible_answers
from services.catalogue.service import bespoke, offers
from services.catalogue.service.commands import BespokeAnswerRequest
from services.catalogue.service.failures import Impossible, Stale
from shared.events.catalogue import BespokeAnswer
from shared.events.vocabulary import Format
from shared.web import responses
from shared.web.forms import in_order
from shared.web.logins import Logins, Visit
from shared.web.paging import part_after, place_in

PAGE = 30

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
_FIELDS = ("answer", "message", "advisor_name", "advisor_email", *_SESSION)


def routes(logins: Logins) -> list[Route]:
    """The addresses of these pages."""
    return [
        Route("/gestion/demandes", logins.guarded(demands)),
        Route("/gestion/demandes/{request_id:uuid}", logins.guarded(one_demand), methods=["GET", "POST"]),
    ]


async def demands(visit: Visit) -> Response:
    """The delegation's requests, the newest first."""
    query = visit.request.query_params
    async with visit.database.quiet_transaction() as tx:
        after = place_in(query.get("apres"))
        found = await bespoke.page(tx, visit.who, after, PAGE + 1)
    part = part_after(after, found, PAGE, place=lambda request: (request.received_at, request.request_id))
    return visit.page("gestion-demandes.html", part=part)


async def one_demand(visit: Visit) -> Response:
    """A request with the form of its answer, and what comes of it."""
    request = await _own(visit)
    if visit.request.method != "POST":
        return await _page(visit, request)
    asked, said = _asked(visit.form)
    if asked is None:
        return await _page(visit, request, said=said)
    try:
        tags = frozenset((visit.form.get("version", ""),))
        async with visit.database.transaction() as tx:
            await bespoke.answer(tx, visit.who, request.request_id, asked, tags=tags)
    except Impossible as error:
        named = {field.removeprefix("session-"): text for field, text in complaints.of_rules(error).items()}
        return await _page(visit, request, said=named)
    except Stale:
        return await _page(visit, await _own(visit), stale=True)
    address = f"/gestion/demandes/{request.request_id}?{urlencode({'fait': 'oui'})}"
    return responses.see_other(address)


def _asked(form: Mapping[str, str]) -> tuple[BespokeAnswerRequest | None, dict[str, str]]:
    """What a form asks for, or by field what of it makes no sense."""
    fields: dict[str, Any] = {
        "answer": form.get("answer", ""),
        "advisor": {"name": form.get("advisor_name", ""), "email": form.get("advisor_email", "")},
        "message": form.get("message", "").strip() or None,
    }
    said: dict[str, str] = {}
    if fields["answer"] == BespokeAnswer.AGREED:
        typed = forms.read({name: form.get(name, "") for name in _SESSION}, {}, timezone=wording.PARIS)
        fields["session"], said = typed.fields, dict(typed.wrong)
    try:
        asked = BespokeAnswerRequest.model_validate(fields)
    except ValidationError as error:
        return None, _complaints(error) | said
    return (None, said) if said else (asked, {})


def _complaints(error: ValidationError) -> dict[str, str]:
    said: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_input=False):
        first, *rest = [str(step) for step in fault["loc"]]
        if first == "advisor":
            field, text = f"advisor_{rest[0]}", _ADVISOR[rest[0]]
        elif first == "session" and rest:
            field = rest[0]
            text = complaints.NEEDED if fault["type"] == "missing" else complaints.of_field(field)
        else:
            field, text = first, complaints.of_field(first)
        said.setdefault(field, text)
    return said


_ADVISOR = {
    "name": "Indiquez le nom de la personne à qui la collectivité peut répondre.",
    "email": "Indiquez une adresse de courriel, comme prenom.nom@exemple.fr.",
}


async def _own(visit: Visit) -> BespokeRequest:
    request_id: UUID = visit.request.path_params["request_id"]
    async with visit.database.quiet_transaction() as tx:
        return await bespoke.show(tx, visit.who, request_id)


async def _page(
    visit: Visit, request: BespokeRequest, *, said: Mapping[str, str] | None = None, stale: bool = False
) -> Response:
    said, tag = said or {}, bespoke.tag_of(request)
    async with visit.database.quiet_transaction() as tx:
        themes = await offers.themes(tx)
        every = [offer for offer in await offers.every(tx) if offer.format is Format.BESPOKE]
    values = {name: visit.form.get(name, "") for name in _FIELDS}
    values["timezone"] = values["timezone"] or wording.zone_of(request.delegation)
    if not visit.form and request.advisor is not None:
        values |= {"advisor_name": request.advisor.name, "advisor_email": request.advisor.email}
    return visit.page(
        "gestion-demande.html",
        status=412 if stale else 422 if said else 200,
        demand=request,
        possible=[] if request.requester is None else list(possible_answers(request)),
        offers=every,
        themes=themes,
        values=values,
        errors=said,
        listed_errors=in_order(said, _FIELDS),
        stale=stale,
        done=not visit.form and visit.request.query_params.get("fait") == "oui",
        tag=tag if stale else visit.form.get("version", tag),
    )
