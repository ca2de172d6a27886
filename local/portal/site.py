"""Renders the portal's pages, in French, with the events beside them.

Every page works without JavaScript. `script.js` only shows at once what the link « Actualiser » would show.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from local import french
from local.people import Agent, Authority
from local.portal import questions
from local.portal.exchange import Exchange
from local.portal.forms import Form
from local.portal.journal import Journal, Travel
from local.portal.offer import Offer, Session
from local.portal.people import AUTHORITIES, FUNCTIONS, STAFF
from local.portal.settings import Settings
from local.portal.standing import BespokeRequest, Standings

SHOWN = 20
TEMPLATES = Path(__file__).with_name("templates")
_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
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
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Site:
    def __init__(self, settings: Settings, journal: Journal, exchange: Exchange, offer: Offer) -> None:
        self.journal = journal
        self.exchange = exchange
        self.offer = offer
        self._settings = settings

    async def employer_page(self, authority: Authority, form: Form | None = None) -> Response:
        sessions = await self.offer.sessions()
        standings = self.standings()
        staff = self.staff(authority)
        known = {agent.agent_id for agent in staff}
        theirs = [standing for standing in standings.all() if standing.agent["agent_id"] in known]
        return await self.page(
            "employer.html",
            about(known, authority.siret),
            form=form,
            authority=authority,
            staff=staff,
            sessions=sessions,
            open_sessions=[session for session in sessions.values() if is_open(session)],
            to_approve=[
                standing for standing in theirs if standing.awaiting == "employer_approval" and standing.live
            ],
            theirs=theirs,
            bespoke=self.bespoke(authority),
        )

    async def agent_page(self, agent: Agent, form: Form | None = None) -> Response:
        sessions = await self.offer.sessions()
        near = [session for session in sessions.values() if is_open(session)]
        near.sort(
            key=lambda session: (session["organiser"] != agent.employer.delegation, session["starts_at"])
        )
        return await self.page(
            "agent.html",
            about({agent.agent_id}),
            form=form,
            agent=agent,
            sessions=sessions,
            mine=[
                standing
                for standing in self.standings().all()
                if standing.agent["agent_id"] == agent.agent_id
            ],
            near=near[:4],
            elsewhere=partial(elsewhere, sessions.values()),
            offers=offers_of(sessions.values()),
        )

    async def session_page(self, request: Request, form: Form | None = None) -> Response:
        session_id = request.path_params["session_id"]
        session = await self.offer.session(session_id)
        if session is None:
            raise HTTPException(404)
        return await self.page(
            "session.html",
            lambda travel: travel.envelope.data.get("session_id") == session_id,
            form=form,
            session=session,
            agent_id=(form or request.query_params).get("agent_id", ""),
            here=[standing for standing in self.standings().all() if standing.session_id == session_id],
        )

    async def page(
        self,
        template: str,
        concerns: Callable[[Travel], bool] = lambda _: True,
        *,
        status: int = 200,
        form: Form | None = None,
        **values: Any,
    ) -> Response:
        """`concerns` chooses the events beside the page."""
        form = Form() if form is None else form
        standings = self.standings()
        travels = [
            travel for travel in reversed(self.journal.travels) if concerns(standings.subject_of(travel))
        ]
        context = {
            "settings": self._settings,
            "agents": self.agents(),
            "standings": standings,
            "travels": travels,
            "moves": self.journal.moves,
            "private": {
                bespoke.session_id: bespoke.request.envelope.data["theme"]
                for bespoke in standings.bespoke.values()
            },
            "errors": form.errors,
            "form": form,
            "everything": False,
        }
        text = _environment.get_template(template).render(context | values)
        return HTMLResponse(text, 422 if form.errors else status, headers=HEADERS)

    def standings(self) -> Standings:
        return Standings(self.journal.travels)

    def bespoke(self, authority: Authority) -> list[BespokeRequest]:
        return [
            bespoke
            for bespoke in reversed(self.standings().bespoke.values())
            if bespoke.request.envelope.data["siret"] == authority.siret
        ]

    def agents(self) -> list[Agent]:
        corrected = {
            travel.envelope.data["agent_id"]: travel.envelope.data["email"]
            for travel in self.journal.travels
            if travel.way == "sent" and travel.envelope.name == "AgentCorrected"
        }
        return [
            replace(agent, email=corrected.get(agent.agent_id, agent.email))
            for agent in (*STAFF, *self.journal.newcomers)
        ]

    def staff(self, authority: Authority) -> list[Agent]:
        return [agent for agent in self.agents() if agent.employer == authority]

    def find(self, agent_id: str) -> Agent | None:
        return next((agent for agent in self.agents() if agent.agent_id == agent_id), None)

    def agent(self, agent_id: str) -> Agent:
        agent = self.find(agent_id)
        if agent is None:
            raise HTTPException(404)
        return agent


def authority_of(siret: str) -> Authority:
    if siret not in AUTHORITIES:
        raise HTTPException(404)
    return AUTHORITIES[siret]


def about(agents: set[str], siret: str | None = None) -> Callable[[Travel], bool]:
    def concerns(travel: Travel) -> bool:
        data = travel.envelope.data
        named = [*data.get("agents", ()), data.get("agent") or {"agent_id": data.get("agent_id")}]
        return (siret is not None and data.get("siret") == siret) or any(
            agent["agent_id"] in agents for agent in named
        )

    return concerns


def is_open(session: Session) -> bool:
    return bool(session["status"] == "published" and session["enrolment"] != "closed")


def elsewhere(sessions: Iterable[Session], here: Session) -> list[Session]:
    others = [
        session for session in sessions if session["session_id"] != here["session_id"] and is_open(session)
    ]
    others = [session for session in others if session["offer_id"] == here["offer_id"]]
    return sorted(others, key=lambda session: session["starts_at"])


def offers_of(sessions: Iterable[Session]) -> dict[str, str]:
    return {session["offer_id"]: session["title"] for session in sessions}


def redirect_to(address: str) -> Response:
    return RedirectResponse(address, 303, headers=HEADERS)
