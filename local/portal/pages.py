"""The portal's pages, in French: what an agent or an employer sees, and beside it what travels.

Who acts is in the address, never in a cookie: everybody here is invented, and one person plays them all.
Every page works without script; `script.js` only shows at once what the link « Actualiser » would show.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from local.portal import french, questions, requests
from local.portal.exchange import Exchange
from local.portal.forms import Errors, Form, new_agent, sent_form, whole_number
from local.portal.journal import Journal, Travel
from local.portal.offer import Offer, OfferAway, Session
from local.portal.people import AUTHORITIES, FUNCTIONS, STAFF, Agent, Authority, invented
from local.portal.settings import Settings
from local.portal.standing import BespokeRequest, Standings

SHOWN = 20
"""Events beside a page; all of them have a page of their own."""
WAIT_SECONDS = 20.0
_TEMPLATES = Path(__file__).with_name("templates")
_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {
    "french": french,
    "questions": questions,
    "authorities": AUTHORITIES,
    "functions": FUNCTIONS,
    "shown": SHOWN,
}
_FILES = {"style.css": "text/css", "script.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_NOBODY = "Cochez au moins une personne, ou indiquez combien en inventer (500 au plus)."


def pages(settings: Settings, journal: Journal, exchange: Exchange, offer: Offer) -> Starlette:
    """Return the portal as a web application."""
    shown = _Pages(settings, journal, exchange, offer)

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
            post("/agents", shown.add_agent),
            post("/sessions/{session_id}/inscription", shown.ask_for_seat),
            post("/sessions/{session_id}/desistement", shown.withdraw),
            post("/sessions/{session_id}/reponse", shown.answer_offer),
            post("/sessions/{session_id}/changement", shown.move),
            post("/sessions/{session_id}/accord", shown.approve),
            post("/employeurs/{siret}/groupe", shown.send_group),
            post("/employeurs/{siret}/stagiaires", shown.nominate),
            post("/employeurs/{siret}/sur-mesure", shown.ask_for_training),
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
    return Response((_TEMPLATES / name).read_bytes(), media_type=_FILES[name], headers=_HEADERS)


class _Pages:
    """One method per address."""

    def __init__(self, settings: Settings, journal: Journal, exchange: Exchange, offer: Offer) -> None:
        self._journal = journal
        self._exchange = exchange
        self._offer = offer
        self._settings = settings

    # ------------------------------------------------------------------------------------ what is shown

    async def home(self, _: Request) -> Response:
        """Who is there, and where they stand."""
        return await self._page("home.html")

    async def agent(self, request: Request) -> Response:
        """What an agent asked and was answered, and what else there is."""
        agent = self._agent(request.path_params["agent_id"])
        sessions = await self._offer.sessions()
        near = [each for each in sessions.values() if _is_open(each)]
        near.sort(key=lambda each: (each["organiser"] != agent.employer.delegation, each["starts_at"]))
        return await self._page(
            "agent.html",
            _about({agent.agent_id}),
            agent=agent,
            sessions=sessions,
            mine=[each for each in self._standings().all() if each.agent["agent_id"] == agent.agent_id],
            near=near[:4],
            elsewhere=partial(_elsewhere, sessions.values()),
        )

    async def employer(self, request: Request) -> Response:
        """What an authority decides, asks and has been answered."""
        return await self._employer_page(_authority(request.path_params["siret"]))

    async def sessions(self, request: Request) -> Response:
        """The catalogue's sessions that one may ask for."""
        query = request.query_params
        chosen = {name: query.get(name, "") for name in ("format", "delegation", "agent")}
        sessions = await self._offer.sessions()
        found = [
            each
            for each in sessions.values()
            if _is_open(each)
            and chosen["format"] in ("", each["format"])
            and chosen["delegation"] in ("", each["organiser"])
        ]
        return await self._page(
            "sessions.html",
            found=found,
            chosen=chosen,
            delegations=sorted({each["organiser"] for each in sessions.values()}),
        )

    async def session(self, request: Request) -> Response:
        """A session, and the form to ask for a seat: where the catalogue's « S’inscrire » leads."""
        return await self._session_page(request)

    async def events(self, _: Request) -> Response:
        """Everything that travelled."""
        return await self._page("events.html", everything=True)

    async def news(self, request: Request) -> Response:
        """How much has travelled; once it is not what the caller knows, or after a while."""
        known = request.query_params.get("connu", "")
        than = int(known) if known.isascii() and known.isdigit() and len(known) < 12 else -1
        moves = await self._journal.wait_for_more(than, WAIT_SECONDS)
        return JSONResponse({"moves": moves}, headers=_HEADERS)

    async def ready(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    # ---------------------------------------------------------------------------------- what is asked

    async def add_agent(self, request: Request) -> Response:
        """Add an invented person."""
        form = await sent_form(request)
        agent, errors = new_agent(form)
        if agent is None:
            return await self._page("home.html", status=422, errors=errors, form=form)
        await self._journal.add_agent(agent)
        return _to(f"/agents/{agent.agent_id}")

    async def ask_for_seat(self, request: Request) -> Response:
        """Ask for a seat for somebody who is there, or somebody new."""
        form = await sent_form(request)
        session_id = request.path_params["session_id"]
        errors: Errors = {}
        is_new = form["agent_id"] == "nouvelle"
        if is_new:
            agent, errors = new_agent(form)
        else:
            agent = self._find(form["agent_id"])
            if agent is None:
                errors = {"pour-qui": "Choisissez pour qui demander une place."}
        if agent is None:
            return await self._session_page(request, errors, form)
        session = await self._offer.session(session_id)
        answers, errors = questions.answers(session or {}, form, agent.function)
        if errors:
            return await self._session_page(request, errors, form)
        if is_new:
            await self._journal.add_agent(agent)
        await self._exchange.ask(requests.seat(session_id, agent, answers))
        return _to(f"/agents/{agent.agent_id}")

    async def withdraw(self, request: Request) -> Response:
        """Give up a seat or a place in line: the agent, or their employer."""
        form = await sent_form(request)
        agent = self._agent(form["agent_id"])
        by = "employer" if form["par"] == "employer" else "agent"
        session_id = request.path_params["session_id"]
        await self._exchange.ask(
            requests.withdrawal(session_id, agent.agent_id, by=by, reason=form["motif"][:4000])
        )
        return _to(_place_of(agent, by))

    async def answer_offer(self, request: Request) -> Response:
        """Take the seat that is held, or leave it."""
        form = await sent_form(request)
        agent = self._agent(form["agent_id"])
        session_id = request.path_params["session_id"]
        await self._exchange.ask(
            requests.offer_answer(session_id, agent.agent_id, accepted=form["reponse"] == "oui")
        )
        return _to(_place_of(agent, "agent"))

    async def move(self, request: Request) -> Response:
        """Ask for a seat in another session of the offer, instead of the one that the agent has."""
        form = await sent_form(request)
        agent = self._agent(form["agent_id"])
        sessions, session_id = await self._offer.sessions(), request.path_params["session_id"]
        here = sessions.get(session_id)
        others = _elsewhere(sessions.values(), here) if here is not None else []
        if form["vers"] not in [other["session_id"] for other in others]:
            raise HTTPException(404)
        await self._exchange.ask(requests.swap(session_id, agent.agent_id, form["vers"]))
        return _to(_place_of(agent, "agent"))

    async def approve(self, request: Request) -> Response:
        """Agree to an enrolment as the employer, or not."""
        form = await sent_form(request)
        agent = self._agent(form["agent_id"])
        session_id, granted = request.path_params["session_id"], form["reponse"] == "oui"
        await self._exchange.ask(
            requests.approval(
                session_id, agent.agent_id, agent.employer, granted=granted, reason=form["motif"][:4000]
            )
        )
        return _to(_place_of(agent, "employer"))

    async def send_group(self, request: Request) -> Response:
        """Ask for several seats at once, for people who are there and people invented on the spot."""
        form = await sent_form(request)
        authority, session_id = _authority(request.path_params["siret"]), form["session_id"]
        agents, errors = self._chosen_agents(form, authority, "groupe")
        if session_id not in await self._offer.sessions():
            errors["groupe-session"] = "Choisissez une session."
        if errors:
            return await self._employer_page(authority, errors, form)
        await self._keep_new(agents)
        await self._exchange.ask(
            requests.group(session_id, agents, authority, all_or_nothing=form["ensemble"] == "oui")
        )
        return _to(f"/employeurs/{authority.siret}")

    async def nominate(self, request: Request) -> Response:
        """Name who takes part in an authority's own session."""
        form = await sent_form(request)
        authority, session_id = _authority(request.path_params["siret"]), form["session_id"]
        if session_id not in {each.session_id for each in self._bespoke(authority)}:
            raise HTTPException(404)
        agents, errors = self._chosen_agents(form, authority, "stagiaires")
        if errors:
            return await self._employer_page(authority, errors, form)
        await self._keep_new(agents)
        await self._exchange.ask(requests.nomination(session_id, agents, authority))
        return _to(f"/employeurs/{authority.siret}")

    async def ask_for_training(self, request: Request) -> Response:
        """Ask a delegation for training of one's own."""
        form = await sent_form(request)
        authority = _authority(request.path_params["siret"])
        trainees = whole_number(form["nombre"])
        if not 1 <= trainees <= requests.MAX_GROUP:
            errors = {"nombre": "Indiquez un nombre de personnes, de 1 à 500."}
            return await self._employer_page(authority, errors, form)
        await self._exchange.ask(
            requests.bespoke(authority, form["theme"], trainees, form["message"].strip()[:4000])
        )
        return _to(f"/employeurs/{authority.siret}")

    # ------------------------------------------------------------------------------------------ failures

    async def failure(self, _request: Request, error: Exception) -> Response:
        """Say what is wrong with an address, or that a form came from elsewhere."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        return await self._page("message.html", status=status, title="Page introuvable")

    async def catalogue_away(self, _request: Request, _error: Exception) -> Response:
        """Say that the catalogue does not answer; what was asked and answered is still here."""
        return await self._page("message.html", status=503, title="Le catalogue ne répond pas")

    # --------------------------------------------------------------------------------------------- parts

    async def _employer_page(
        self, authority: Authority, errors: Errors | None = None, form: Mapping[str, Any] | None = None
    ) -> Response:
        sessions = await self._offer.sessions()
        standings = self._standings()
        staff = self._staff(authority)
        known = {agent.agent_id for agent in staff}
        theirs = [each for each in standings.all() if each.agent["agent_id"] in known]
        return await self._page(
            "employer.html",
            _about(known, authority.siret),
            status=422 if errors else 200,
            errors=errors or {},
            form=form or {},
            authority=authority,
            staff=staff,
            sessions=sessions,
            open_sessions=[each for each in sessions.values() if _is_open(each)],
            to_approve=[each for each in theirs if each.awaiting == "employer_approval" and each.live],
            theirs=theirs,
            bespoke=self._bespoke(authority),
        )

    async def _session_page(
        self, request: Request, errors: Errors | None = None, form: Mapping[str, Any] | None = None
    ) -> Response:
        session_id = request.path_params["session_id"]
        session = await self._offer.session(session_id)
        if session is None:
            raise HTTPException(404)
        return await self._page(
            "session.html",
            lambda travel: travel.envelope.data.get("session_id") == session_id,
            status=422 if errors else 200,
            errors=errors or {},
            form=form or {},
            session=session,
            agent_id=(form or request.query_params).get("agent_id", ""),
            here=[each for each in self._standings().all() if each.session_id == session_id],
        )

    async def _page(
        self,
        template: str,
        concerns: Callable[[Travel], bool] = lambda _: True,
        *,
        status: int = 200,
        **values: Any,
    ) -> Response:
        standings = self._standings()
        travels = [each for each in reversed(self._journal.travels) if concerns(standings.subject_of(each))]
        context = {
            "settings": self._settings,
            "agents": self._agents(),
            "standings": standings,
            "travels": travels,
            "moves": self._journal.moves,
            "private": {
                each.session_id: each.request.envelope.data["theme"] for each in standings.bespoke.values()
            },
            "errors": {},
            "form": {},
            "everything": False,
        }
        text = _environment.get_template(template).render(context | values)
        return HTMLResponse(text, status, headers=_HEADERS)

    def _standings(self) -> Standings:
        return Standings(self._journal.travels)

    def _bespoke(self, authority: Authority) -> list[BespokeRequest]:
        """Return what an authority asked a delegation for, newest first."""
        return [
            each
            for each in reversed(self._standings().bespoke.values())
            if each.request.envelope.data["siret"] == authority.siret
        ]

    def _agents(self) -> list[Agent]:
        return [*STAFF, *self._journal.newcomers]

    def _staff(self, authority: Authority) -> list[Agent]:
        return [agent for agent in self._agents() if agent.employer == authority]

    def _find(self, agent_id: str) -> Agent | None:
        return next((agent for agent in self._agents() if agent.agent_id == agent_id), None)

    def _agent(self, agent_id: str) -> Agent:
        agent = self._find(agent_id)
        if agent is None:
            raise HTTPException(404)
        return agent

    def _chosen_agents(self, form: Form, authority: Authority, name: str) -> tuple[list[Agent], Errors]:
        """Return those who are ticked and as many new ones as are wanted; errors where that makes nobody."""
        chosen = [agent for agent in self._staff(authority) if agent.agent_id in form.all("agents")]
        more = whole_number(form["inventer"])
        if not 1 <= len(chosen) + more <= requests.MAX_GROUP:
            return [], {f"{name}-1": _NOBODY}
        return [*chosen, *invented(authority, more, Random())], {}

    async def _keep_new(self, agents: Sequence[Agent]) -> None:
        known = {agent.agent_id for agent in self._agents()}
        for agent in agents:
            if agent.agent_id not in known:
                await self._journal.add_agent(agent)


def _authority(siret: str) -> Authority:
    if siret not in AUTHORITIES:
        raise HTTPException(404)
    return AUTHORITIES[siret]


def _about(agents: set[str], siret: str | None = None) -> Callable[[Travel], bool]:
    """Say whether an event is about some of these agents, or this authority."""

    def concerns(travel: Travel) -> bool:
        data = travel.envelope.data
        named = [*data.get("agents", ()), data.get("agent") or {"agent_id": data.get("agent_id")}]
        return (siret is not None and data.get("siret") == siret) or any(
            agent["agent_id"] in agents for agent in named
        )

    return concerns


def _is_open(session: Session) -> bool:
    return bool(session["status"] == "published" and session["enrolment"] != "closed")


def _elsewhere(sessions: Iterable[Session], here: Session) -> list[Session]:
    """Return the other open sessions of the same offer, by start."""
    others = [each for each in sessions if each["session_id"] != here["session_id"] and _is_open(each)]
    others = [each for each in others if each["offer_id"] == here["offer_id"]]
    return sorted(others, key=lambda each: each["starts_at"])


def _place_of(agent: Agent, by: str) -> str:
    return f"/employeurs/{agent.employer.siret}" if by == "employer" else f"/agents/{agent.agent_id}"


def _to(address: str) -> Response:
    return RedirectResponse(address, 303, headers=_HEADERS)
