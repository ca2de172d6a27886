"""The portal's addresses, and the pages of agents and employers.

The person is in the address, not in a cookie, because one visitor plays all these invented people.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.portal.asking import Asking
from local.portal.exchange import Exchange
from local.portal.journal import Journal
from local.portal.offer import Offer, OfferAway
from local.portal.settings import Settings
from local.portal.site import HEADERS, TEMPLATES, Site, authority_of, is_open

WAIT_SECONDS = 20.0
_FILES = {"style.css": "text/css", "script.js": "text/javascript"}


def pages(settings: Settings, journal: Journal, exchange: Exchange, offer: Offer) -> Starlette:
    site = Site(settings, journal, exchange, offer)
    shown, asking = _Shown(site), Asking(site)

    def post(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(path, endpoint, methods=["POST"])

    return Starlette(
        routes=[
            Route("/", shown.home),
            Route("/agents/{agent_id}", shown.agent),
            Route("/employeurs/{siret}", shown.employer),
            Route("/sessions", shown.sessions),
            Route("/sessions/{session_id}", shown.session),
            Route("/evenements", shown.events),
            post("/agents", asking.add_agent),
            post("/agents/{agent_id}/correction", asking.correct),
            post("/agents/{agent_id}/abonnement", asking.subscribe),
            post("/agents/{agent_id}/effacement", asking.forget),
            post("/sessions/{session_id}/inscription", asking.ask_for_seat),
            post("/sessions/{session_id}/desistement", asking.withdraw),
            post("/sessions/{session_id}/reponse", asking.answer_offer),
            post("/sessions/{session_id}/changement", asking.move),
            post("/sessions/{session_id}/accord", asking.approve),
            post("/employeurs/{siret}/groupe", asking.send_group),
            post("/employeurs/{siret}/stagiaires", asking.nominate),
            post("/employeurs/{siret}/sur-mesure", asking.ask_for_training),
            Route("/nouvelles", shown.news),
            Route("/health/ready", shown.ready),
            *(Route(f"/{name}", partial(_file, name)) for name in _FILES),
        ],
        exception_handlers={
            HTTPException: shown.failure,
            OfferAway: shown.catalogue_away,
        },
    )


async def _file(name: str, _: Request) -> Response:
    return Response((TEMPLATES / name).read_bytes(), media_type=_FILES[name], headers=HEADERS)


class _Shown:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def home(self, _: Request) -> Response:
        return await self._site.page("home.html")

    async def agent(self, request: Request) -> Response:
        return await self._site.agent_page(self._site.agent(request.path_params["agent_id"]))

    async def employer(self, request: Request) -> Response:
        return await self._site.employer_page(authority_of(request.path_params["siret"]))

    async def sessions(self, request: Request) -> Response:
        found = [session for session in (await self._site.offer.sessions()).values() if is_open(session)]
        agent_id = request.query_params.get("agent_id", "")
        return await self._site.page("sessions.html", found=found, agent_id=agent_id)

    async def session(self, request: Request) -> Response:
        return await self._site.session_page(request)

    async def events(self, _: Request) -> Response:
        return await self._site.page("events.html", everything=True)

    async def news(self, request: Request) -> Response:
        """Return the journal's number of entries once it differs from `connu`, or after 20 seconds."""
        known = request.query_params.get("connu", "")
        than = int(known) if known.isascii() and known.isdigit() and len(known) < 12 else -1
        moves = await self._site.journal.wait_for_more(than, WAIT_SECONDS)
        return JSONResponse({"moves": moves}, headers=HEADERS)

    async def ready(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def failure(self, _request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return await self._site.page("message.html", status=status, title="Page introuvable")

    async def catalogue_away(self, _request: Request, _error: Exception) -> Response:
        return await self._site.page("message.html", status=503, title="Le catalogue ne répond pas")
