"""What is asked on the portal's pages: a form becomes a request, or comes back with what is wrong in it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from local.portal import questions, requests
from local.portal.forms import (
    NO_ADDRESS,
    Errors,
    Form,
    is_about_somebody_new,
    is_address,
    new_agent,
    sent_form,
    whole_number,
)
from local.portal.people import Authority, PortalAgent, invented
from local.portal.site import Site, authority_of, elsewhere, offers_of, place_of, redirect_to

_NOBODY = "Cochez au moins une personne, ou indiquez combien en inventer (500 au plus)."


class Asking:
    """One method per address that a form is sent to."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def add_agent(self, request: Request) -> Response:
        """Add an invented person."""
        form = await sent_form(request)
        agent, errors = new_agent(form)
        if agent is None:
            return await self._site.page("home.html", status=422, errors=errors, form=form)
        self._site.journal.add_agent(agent)
        return redirect_to(f"/agents/{agent.agent_id}")

    async def ask_for_seat(self, request: Request) -> Response:
        """Ask for a seat for somebody who is there, or somebody new."""
        form = await sent_form(request)
        session_id = request.path_params["session_id"]
        errors: Errors = {}
        is_new = is_about_somebody_new(form)
        if is_new:
            agent, errors = new_agent(form)
        else:
            agent = self._site.find(form["agent_id"])
            if agent is None:
                errors = {"pour-qui": "Choisissez pour qui demander une place."}
        if agent is None:
            return await self._site.session_page(request, errors, form)
        session = await self._site.offer.session(session_id)
        answers, errors = questions.answers(session or {}, form, agent.function)
        if errors:
            return await self._site.session_page(request, errors, form)
        if is_new:
            self._site.journal.add_agent(agent)
        self._site.exchange.ask(requests.seat(session_id, agent, answers))
        return redirect_to(f"/agents/{agent.agent_id}")

    async def withdraw(self, request: Request) -> Response:
        """Give up a seat or a place in line: the agent, or their employer."""
        form = await sent_form(request)
        agent = self._site.agent(form["agent_id"])
        by = "employer" if form["par"] == "employer" else "agent"
        session_id = request.path_params["session_id"]
        self._site.exchange.ask(
            requests.withdrawal(session_id, agent.agent_id, by=by, reason=form["motif"][:4000])
        )
        return redirect_to(place_of(agent, by))

    async def answer_offer(self, request: Request) -> Response:
        """Take the seat that is held, or leave it."""
        form = await sent_form(request)
        agent = self._site.agent(form["agent_id"])
        session_id = request.path_params["session_id"]
        self._site.exchange.ask(
            requests.offer_answer(session_id, agent.agent_id, accepted=form["reponse"] == "oui")
        )
        return redirect_to(place_of(agent, "agent"))

    async def move(self, request: Request) -> Response:
        """Ask for a seat in another session of the offer, instead of the one that the agent has."""
        form = await sent_form(request)
        agent = self._site.agent(form["agent_id"])
        sessions, session_id = await self._site.offer.sessions(), request.path_params["session_id"]
        here = sessions.get(session_id)
        others = elsewhere(sessions.values(), here) if here is not None else []
        there = next((other for other in others if other["session_id"] == form["vers"]), None)
        if there is None:
            raise HTTPException(404)
        answers, errors = questions.answers(there, form, agent.function)
        asked = [
            question
            for question in there.get("questions", ())
            if questions.is_asked(question, agent.function)
        ]
        answered = form["repondu"] == "oui"
        if asked and (errors or not answered):
            return await self._site.page(
                "move.html",
                status=422 if answered else 200,
                agent=agent,
                session_id=session_id,
                there=there,
                asked=asked,
                form=form,
                errors=errors if answered else {},
            )
        self._site.exchange.ask(requests.swap(session_id, agent.agent_id, form["vers"], answers))
        return redirect_to(place_of(agent, "agent"))

    async def correct(self, request: Request) -> Response:
        """Correct an agent's address."""
        form = await sent_form(request)
        agent = self._site.agent(request.path_params["agent_id"])
        address = form["courriel"].strip()
        if not is_address(address):
            return await self._site.agent_page(agent, {"courriel": NO_ADDRESS}, form)
        self._site.exchange.ask(requests.correction(agent.agent_id, address))
        return redirect_to(place_of(agent, "agent"))

    async def subscribe(self, request: Request) -> Response:
        """Follow the sessions of an offer, or not any more."""
        form = await sent_form(request)
        agent = self._site.agent(request.path_params["agent_id"])
        if form["offre"] not in offers_of((await self._site.offer.sessions()).values()):
            raise HTTPException(404)
        self._site.exchange.ask(
            requests.subscription(agent, form["offre"], subscribed=form["suivre"] == "oui")
        )
        return redirect_to(place_of(agent, "agent"))

    async def forget(self, request: Request) -> Response:
        """Ask that what is known of an agent be erased."""
        await sent_form(request)
        agent = self._site.agent(request.path_params["agent_id"])
        self._site.exchange.ask(requests.erasure(agent.agent_id, datetime.now(UTC)))
        return redirect_to(place_of(agent, "agent"))

    async def approve(self, request: Request) -> Response:
        """Agree to an enrolment as the employer, or not."""
        form = await sent_form(request)
        agent = self._site.agent(form["agent_id"])
        session_id, granted = request.path_params["session_id"], form["reponse"] == "oui"
        self._site.exchange.ask(
            requests.approval(
                session_id, agent.agent_id, agent.employer, granted=granted, reason=form["motif"][:4000]
            )
        )
        return redirect_to(place_of(agent, "employer"))

    async def send_group(self, request: Request) -> Response:
        """Ask for several seats at once, for people who are there and people invented on the spot."""
        form = await sent_form(request)
        authority, session_id = authority_of(request.path_params["siret"]), form["session_id"]
        agents, errors = self._chosen_agents(form, authority, "groupe")
        if session_id not in await self._site.offer.sessions():
            errors["groupe-session"] = "Choisissez une session."
        if errors:
            return await self._site.employer_page(authority, errors, form)
        self._keep_new(agents)
        may_wait = form["attendre"] == "oui"
        together = form["ensemble"] == "oui" or may_wait
        self._site.exchange.ask(
            requests.group(session_id, agents, authority, all_or_nothing=together, may_wait=may_wait)
        )
        return redirect_to(f"/employeurs/{authority.siret}")

    async def nominate(self, request: Request) -> Response:
        """Name who takes part in an authority's own session."""
        form = await sent_form(request)
        authority, session_id = authority_of(request.path_params["siret"]), form["session_id"]
        if session_id not in {bespoke.session_id for bespoke in self._site.bespoke(authority)}:
            raise HTTPException(404)
        agents, errors = self._chosen_agents(form, authority, "stagiaires")
        if errors:
            return await self._site.employer_page(authority, errors, form)
        self._keep_new(agents)
        self._site.exchange.ask(requests.nomination(session_id, agents, authority))
        return redirect_to(f"/employeurs/{authority.siret}")

    async def ask_for_training(self, request: Request) -> Response:
        """Ask a delegation for training of one's own."""
        form = await sent_form(request)
        authority = authority_of(request.path_params["siret"])
        trainees = whole_number(form["nombre"])
        if not 1 <= trainees <= requests.MAX_GROUP:
            errors = {"nombre": "Indiquez un nombre de personnes, de 1 à 500."}
            return await self._site.employer_page(authority, errors, form)
        self._site.exchange.ask(
            requests.bespoke(authority, form["theme"], trainees, form["message"].strip()[:4000])
        )
        return redirect_to(f"/employeurs/{authority.siret}")

    def _chosen_agents(self, form: Form, authority: Authority, name: str) -> tuple[list[PortalAgent], Errors]:
        """Return those who are ticked and as many new ones as are wanted; errors where that makes nobody."""
        chosen = [agent for agent in self._site.staff(authority) if agent.agent_id in form.all("agents")]
        more = whole_number(form["inventer"])
        if not 1 <= len(chosen) + more <= requests.MAX_GROUP:
            return [], {f"{name}-1": _NOBODY}
        return [*chosen, *invented(authority, more, Random())], {}

    def _keep_new(self, agents: Sequence[PortalAgent]) -> None:
        known = {agent.agent_id for agent in self._site.agents()}
        for agent in agents:
            if agent.agent_id not in known:
                self._site.journal.add_agent(agent)
