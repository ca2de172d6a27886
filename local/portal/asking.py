from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from random import Random

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from local.people import Agent, Authority
from local.portal import questions, requests
from local.portal.forms import (
    NO_ADDRESS,
    Form,
    is_address,
    new_agent,
    sent_form,
    whole_number,
)
from local.portal.people import invented
from local.portal.site import Site, authority_of, elsewhere, offers_of, redirect_to

_NOBODY = "Cochez au moins une personne, ou indiquez combien en inventer (500 au plus)."


class Asking:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def add_agent(self, request: Request) -> Response:
        form = await sent_form(request)
        agent = new_agent(form)
        if agent is None:
            return await self._site.page("home.html", form=form)
        self._site.journal.add_agent(agent)
        return redirect_to(f"/agents/{agent.agent_id}")

    async def ask_for_seat(self, request: Request) -> Response:
        form = await sent_form(request)
        session_id = request.path_params["session_id"]
        agent = self._site.find(form["agent_id"])
        if agent is None:
            form.errors["pour-qui"] = "Choisissez pour qui demander une place."
            return await self._site.session_page(request, form)
        session = await self._site.offer.session(session_id)
        answers = questions.answers(session or {}, form, agent.function)
        if form.errors:
            return await self._site.session_page(request, form)
        return self._ask(requests.seat(session_id, agent, answers))

    async def withdraw(self, request: Request) -> Response:
        form, agent, session_id = await self._in_session(request)
        by = "employer" if form["par"] == "employer" else "agent"
        asked = requests.withdrawal(session_id, agent, by=by, reason=form["motif"][:4000])
        return self._ask(asked, by_employer=by == "employer")

    async def answer_offer(self, request: Request) -> Response:
        form, agent, session_id = await self._in_session(request)
        return self._ask(requests.offer_answer(session_id, agent, accepted=form["reponse"] == "oui"))

    async def approve(self, request: Request) -> Response:
        form, agent, session_id = await self._in_session(request)
        granted, reason = form["reponse"] == "oui", form["motif"][:4000]
        return self._ask(
            requests.approval(session_id, agent, granted=granted, reason=reason), by_employer=True
        )

    async def move(self, request: Request) -> Response:
        form, agent, session_id = await self._in_session(request)
        sessions = await self._site.offer.sessions()
        here = sessions.get(session_id)
        others = elsewhere(sessions.values(), here) if here is not None else []
        there = next((other for other in others if other["session_id"] == form["vers"]), None)
        if there is None:
            raise HTTPException(404)
        asked = [
            question
            for question in there.get("questions", ())
            if questions.is_asked(question, agent.function)
        ]
        show = partial(
            self._site.page, "move.html", agent=agent, session_id=session_id, there=there, asked=asked
        )
        if asked and form["repondu"] != "oui":
            return await show()
        answers = questions.answers(there, form, agent.function)
        if form.errors:
            return await show(form=form)
        return self._ask(requests.swap(session_id, agent, form["vers"], answers))

    async def correct(self, request: Request) -> Response:
        form, agent = await self._of_agent(request)
        address = form["courriel"].strip()
        if not is_address(address):
            form.errors["courriel"] = NO_ADDRESS
            return await self._site.agent_page(agent, form)
        return self._ask(requests.correction(agent, address))

    async def subscribe(self, request: Request) -> Response:
        form, agent = await self._of_agent(request)
        if form["offre"] not in offers_of((await self._site.offer.sessions()).values()):
            raise HTTPException(404)
        subscribed = form["suivre"] == "oui"
        return self._ask(requests.subscription(agent, subscribed=subscribed, offer=form["offre"]))

    async def forget(self, request: Request) -> Response:
        _, agent = await self._of_agent(request)
        return self._ask(requests.erasure(agent, datetime.now(UTC)))

    async def send_group(self, request: Request) -> Response:
        form, authority = await self._of_authority(request)
        session_id = form["session_id"]
        agents = self._chosen_agents(form, authority, "groupe")
        if session_id not in await self._site.offer.sessions():
            form.errors["groupe-session"] = "Choisissez une session."
        if form.errors:
            return await self._site.employer_page(authority, form)
        self._keep_new(agents)
        may_wait = form["attendre"] == "oui"
        together = form["ensemble"] == "oui" or may_wait
        asked = requests.group(session_id, agents, all_or_nothing=together, may_wait=may_wait)
        return self._ask(asked, by_employer=True)

    async def nominate(self, request: Request) -> Response:
        form, authority = await self._of_authority(request)
        session_id = form["session_id"]
        if session_id not in {bespoke.session_id for bespoke in self._site.bespoke(authority)}:
            raise HTTPException(404)
        agents = self._chosen_agents(form, authority, "stagiaires")
        if form.errors:
            return await self._site.employer_page(authority, form)
        self._keep_new(agents)
        return self._ask(requests.nomination(session_id, agents, authority), by_employer=True)

    async def ask_for_training(self, request: Request) -> Response:
        form, authority = await self._of_authority(request)
        trainees = whole_number(form["nombre"])
        if not 1 <= trainees <= requests.MAX_GROUP:
            form.errors["nombre"] = "Indiquez un nombre de personnes, de 1 à 500."
            return await self._site.employer_page(authority, form)
        self._site.exchange.ask(
            requests.bespoke(authority, form["theme"], trainees, form["message"].strip()[:4000])
        )
        return redirect_to(f"/employeurs/{authority.siret}")

    async def _in_session(self, request: Request) -> tuple[Form, Agent, str]:
        form = await sent_form(request)
        return form, self._site.agent(form["agent_id"]), request.path_params["session_id"]

    async def _of_agent(self, request: Request) -> tuple[Form, Agent]:
        return await sent_form(request), self._site.agent(request.path_params["agent_id"])

    async def _of_authority(self, request: Request) -> tuple[Form, Authority]:
        return await sent_form(request), authority_of(request.path_params["siret"])

    def _ask(self, asked: requests.Request, *, by_employer: bool = False) -> Response:
        self._site.exchange.ask(asked)
        agent = asked.agents[0]
        return redirect_to(
            f"/employeurs/{agent.employer.siret}" if by_employer else f"/agents/{agent.agent_id}"
        )

    def _chosen_agents(self, form: Form, authority: Authority, name: str) -> list[Agent]:
        chosen = [agent for agent in self._site.staff(authority) if agent.agent_id in form.getlist("agents")]
        more = whole_number(form["inventer"])
        if not 1 <= len(chosen) + more <= requests.MAX_GROUP:
            form.errors[f"{name}-1"] = _NOBODY
            return []
        return [*chosen, *invented(authority, more, Random())]

    def _keep_new(self, agents: Sequence[Agent]) -> None:
        known = {agent.agent_id for agent in self._site.agents()}
        for agent in agents:
            if agent.agent_id not in known:
                self._site.journal.add_agent(agent)
