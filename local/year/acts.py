"""Acts of the year on a running stack: each function is a verb of the situations."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from local.api_client import ApiClient, submit_page
from local.demo.portal import Portal
from local.failures import LocalStackError
from local.observing import Mailbox, reading
from local.people import Agent
from local.portal import requests
from local.portal.requests import Request
from local.services import run_command, start_again
from local.stack import Stack

PARIS = ZoneInfo("Europe/Paris")
PATIENCE_SECONDS = 90.0
_DECISIONS_ARE_READ = "SELECT min(read_until) >= $1 FROM read_progress WHERE topic = 'enrolment.decisions'"
_ADVISOR = {"name": "Claire Hébrard", "email": "conseil@cnfpt.example"}
_BOUNCE = Path(__file__).with_name("bounce.eml")
_OWN_ENROLMENTS, _ADDRESS = "/inscriptions/mes-inscriptions", "/inscriptions/adresse"


def paris(written: str) -> datetime:
    """Read `2025-03-10 10:00` in the time of Paris."""
    return datetime.fromisoformat(written).replace(tzinfo=PARIS)


def iso(written: str) -> str:
    return paris(written).astimezone(UTC).isoformat()


class Year:
    """`requests` has the ids of each agent's requests."""

    def __init__(
        self, stack: Stack, people: Mapping[str, Agent], portal: Portal, *, apis: Mapping[str, ApiClient]
    ) -> None:
        self.stack = stack
        self.people = people
        self.catalogue, self.enrolment = apis["catalogue"], apis["enrolment"]
        self.mailbox = Mailbox(stack.mailbox.directory)
        self.sessions: dict[str, str] = {}
        self.bespoke: dict[str, str] = {}
        self.requests: dict[str, list[str]] = {}
        self._portal = portal

    async def send(self, request: Request) -> None:
        for agent in request.agents[:1]:
            self.requests.setdefault(agent.agent_id, []).append(request.id)
        await self._portal.publish([request])

    def agents(self, names: Sequence[str]) -> list[Agent]:
        return [self.people[name] for name in names]

    async def organise(self, method: str, session: str, what: str, body: Any = None) -> dict[str, Any]:
        return await self.enrolment.call(method, f"/api/v1/sessions/{self.sessions[session]}/{what}", body)

    async def roster(self, session: str) -> dict[str, dict[str, Any]]:
        entries = await self.enrolment.items(f"/api/v1/sessions/{self.sessions[session]}/roster")
        return {entry["agent"]["email"]: entry for entry in entries}

    async def find_mooc(self) -> None:
        sessions = await self.catalogue.items("/api/v1/sessions")
        (self.sessions["mooc"],) = [each["session_id"] for each in sessions if each["format"] == "mooc"]

    async def publish_session(self, name: str, draft: Mapping[str, Any]) -> None:
        self.sessions[name] = (await self.catalogue.call("POST", "/api/v1/sessions", draft))["session_id"]
        await self.catalogue.call("POST", f"/api/v1/sessions/{self.sessions[name]}/publish")


# ------------------------------------------------------------------------------------ sent by the portal


async def asks(year: Year, agent: str, session: str, **answers: str) -> None:
    given = [{"question_id": question, "value": value} for question, value in answers.items()]
    await year.send(requests.seat(year.sessions[session], year.people[agent], given))


async def accepts(year: Year, agent: str, session: str) -> None:
    await year.send(requests.offer_answer(year.sessions[session], year.people[agent], accepted=True))


async def moves(year: Year, agent: str, session: str, there: str) -> None:
    await year.send(requests.swap(year.sessions[session], year.people[agent], year.sessions[there]))


async def ask_together(year: Year, session: str, *agents: str, may_wait: str = "non") -> None:
    together = year.agents(agents)
    wait = may_wait == "oui"
    await year.send(requests.group(year.sessions[session], together, all_or_nothing=True, may_wait=wait))


async def withdraws(year: Year, agent: str, session: str) -> None:
    await year.send(requests.withdrawal(year.sessions[session], year.people[agent]))


async def is_approved(year: Year, agent: str, session: str) -> None:
    await year.send(requests.approval(year.sessions[session], year.people[agent], granted=True))


async def asks_for_training(year: Year, agent: str, name: str) -> None:
    request = requests.bespoke(year.people[agent].employer, "enjeux-ia", 12)
    year.bespoke[name] = request.id
    await year.send(request)


async def nominates(year: Year, name: str, *agents: str) -> None:
    trainees = year.agents(agents)
    await year.send(requests.nomination(year.sessions[name], trainees, trainees[0].employer))


async def sends_what_is_not_valid(year: Year, agent: str, session: str) -> None:
    wrong = replace(year.people[agent], function="stagiaire")
    await year.send(requests.seat(year.sessions[session], wrong))


async def is_corrected(year: Year, agent: str) -> None:
    corrected = year.people[agent]
    await year.send(requests.correction(corrected, corrected.email))


async def subscribes(year: Year, agent: str, theme: str) -> None:
    await year.send(requests.subscription(year.people[agent], subscribed=True, theme=theme))


async def unsubscribes(year: Year, agent: str, theme: str) -> None:
    await year.send(requests.subscription(year.people[agent], subscribed=False, theme=theme))


async def is_forgotten(year: Year, agent: str, at: str) -> None:
    await year.send(requests.erasure(year.people[agent], paris(at).astimezone(UTC)))


# ---------------------------------------------------------------------------- by letters, and on pages


async def opens(year: Year, agent: str, page: str, **fields: str) -> None:
    await _submit(await _link(year, agent, page), **fields)


async def gives_address(year: Year, agent: str, new: str) -> None:
    own = await _link(year, agent, _OWN_ENROLMENTS)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as browser:
        page = await browser.get(own)
    found = re.search(rf'"((?:https?://[^"]+)?{_ADDRESS}/[^"]+)"', page.text)
    if found is None:
        raise LocalStackError("the page of an agent's enrolments leads to none to correct the address")
    await _submit(str(page.url.join(found.group(1))), adresse=year.people[new].email)


async def loses_link(year: Year, agent: str) -> None:
    page = f"{year.stack.url('notifier')}/courriels/mes-inscriptions"
    await _submit(page, adresse=year.people[agent].email)


async def follows(year: Year, agent: str, offer: str, delegation: str) -> None:
    page = f"{year.stack.url('notifier')}/courriels/abonnement?offre={offer}"
    await _submit(page, adresse=year.people[agent].email, interet=f"offer:{offer}/{delegation}")


async def comes_back(year: Year, agent: str) -> None:
    """Return the agent's newest letter as undeliverable: its mailbox does not exist (RFC 3464)."""
    address = year.people[agent].email
    letters = year.mailbox.to(address)
    if not letters:
        raise LocalStackError(f"{address} was never written to")
    path = letters[-1].read().field("Return-Path").strip().strip("<>")
    taken = await asyncio.to_thread(
        run_command,
        *("notifier", "bounces", "take"),
        env=year.stack.environment("notifier"),
        given=_BOUNCE.read_text().format(path=path, address=address),
    )
    if taken != "taken":
        raise LocalStackError(f"a letter came back, and its report is not taken: {taken}")


async def _link(year: Year, agent: str, page: str) -> str:
    address = year.people[agent].email
    found: list[str] = []

    async def has_come() -> bool:
        link = year.mailbox.link_to(address, page)
        found.extend([link] if link else [])
        return link is not None

    await until(has_come, f"a letter to {address} with a link to {page}")
    return found[0]


async def _submit(link: str, **fields: str) -> None:
    await until(lambda: submit_page(link, **fields), "a page")


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(int(2 * PATIENCE_SECONDS)):
        if await condition():
            return
        await asyncio.sleep(0.5)
    raise LocalStackError(f"{what} does not come")


# ------------------------------------------------------------------------------------- by an organiser


async def imports(year: Year, name: str, venue: str, changed: str) -> None:
    """Import a sheet with one session. Publish the session if the import `created` it."""
    sheet = (
        "Référence;Offre;Délégation;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\n"
        "RENNES-7;ia-et-territoires;bretagne;L’IA et les parcs;17/06/2025 09:30;17/06/2025 17:00;"
        f"03/03/2025 09:00;20;{venue}\n"
    )
    (line,) = (await year.catalogue.call("POST", "/api/v1/sessions/import", sheet))["lines"]
    if line["outcome"] != changed:
        raise LocalStackError(f"the sheet of {name} is {line['outcome']}, not {changed}")
    if changed == "created":
        year.sessions[name] = line["session_id"]
        await year.catalogue.call("POST", f"/api/v1/sessions/{line['session_id']}/publish")


async def postpones(year: Year, session: str, day: str) -> None:
    await _change(year, session, starts_at=iso(f"{day} 09:30"), ends_at=iso(f"{day} 17:00"))


async def changes_days(year: Year, session: str, *days: str) -> None:
    await _change(year, session, modules=whole_days(days))


def whole_days(days: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"title": f"Journée du {day}", "starts_at": iso(f"{day} 09:30"), "ends_at": iso(f"{day} 17:00")}
        for day in days
    ]


async def _change(year: Year, session: str, **fields: object) -> None:
    await year.catalogue.call("PATCH", f"/api/v1/sessions/{year.sessions[session]}", fields)


async def cancels(year: Year, session: str) -> None:
    await year.catalogue.call("POST", f"/api/v1/sessions/{year.sessions[session]}/cancel")


async def ranks(year: Year, session: str, *ranked: str, refused: str = "") -> None:
    ranking = {
        "ranked": [agent.agent_id for agent in year.agents(ranked)],
        "not_selected": [agent.agent_id for agent in year.agents([refused])],
    }
    await year.organise("PUT", session, "selection", ranking)


async def attends(year: Year, agent: str, session: str, *modules: str) -> None:
    await _record(year, agent, session, modules or ("1",), "attended")


async def is_absent(year: Year, agent: str, session: str) -> None:
    await _record(year, agent, session, ("1",), "absent")


async def _record(year: Year, agent: str, session: str, modules: Sequence[str], attendance: str) -> None:
    named = (await year.roster(session))[year.people[agent].email]["agent"]
    of_agent = {"agent_id": named["agent_id"], "issuer": named["issuer"], "attendance": attendance}
    records = [{**of_agent, "module": int(module)} for module in modules]
    await year.organise("POST", session, "attendance", {"records": records})


async def attends_by_sheet(year: Year, agent: str, session: str) -> None:
    sheet = f"Identifiant;Présence;Numéro de séance\n{year.people[agent].agent_id};présence;1\n"
    await year.organise("POST", session, "attendance.csv", sheet)


async def is_enrolled_by_hand(year: Year, agent: str, session: str) -> None:
    block = year.people[agent].as_json()
    del block["agent_id"]
    await year.organise("POST", session, "enrolments", block)


async def keeps_one(year: Year, session: str, stays: str, ends: str) -> None:
    roster = await year.roster(session)
    kept, ended = roster[year.people[stays].email], roster[year.people[ends].email]
    if ended["enrolment_id"] not in kept["same_person"]:
        raise LocalStackError(f"the roster does not show that {stays} and {ends} are one person")
    path = f"/api/v1/enrolments/{kept['enrolment_id']}/join"
    await year.enrolment.call("POST", path, {"enrolment_id": ended["enrolment_id"]})


async def writes(year: Year, session: str, text: str, send_at: str) -> None:
    await year.organise("POST", session, "messages", {"text": text, "send_at": iso(send_at)})


async def publishes_replay(year: Year, session: str, theme: str) -> None:
    recording = {
        "session_id": year.sessions[session],
        "title": "L’IA et les marchés publics, l’enregistrement",
        "url": f"https://videos.example.org/replays/{session}",
        "themes": [theme],
    }
    await year.catalogue.call("POST", "/api/v1/replays", recording)


async def publishes_resource(year: Year, kind: str, title: str, theme: str) -> None:
    resource = {
        "kind": kind,
        "title": title,
        "url": f"https://ressources.example.org/{kind}",
        "themes": [theme],
        "organiser": "inset-dunkerque",
    }
    await year.catalogue.call("POST", "/api/v1/resources", resource)


async def proposes(year: Year, name: str) -> None:
    await _answer_authority(year, name, answer="proposed")


async def agrees(year: Year, name: str, title: str, day: str) -> None:
    session = {
        "offer_id": "sur-mesure-enjeux-ia",
        "title": title,
        "starts_at": iso(f"{day} 09:30"),
        "ends_at": iso(f"{day} 17:00"),
        "timezone": "Europe/Paris",
        "capacity": 12,
        "venue": "Hôtel de ville",
    }
    answered = await _answer_authority(year, name, answer="agreed", session=session)
    year.sessions[name] = answered["session_id"]


async def _answer_authority(year: Year, name: str, **answer: object) -> dict[str, Any]:
    path = f"/api/v1/bespoke-requests/{year.bespoke[name]}/answers"
    return await year.catalogue.call("POST", path, {"advisor": _ADVISOR, **answer})


async def wants_letters(year: Year, at: str, delegation: str, **contacts: str) -> None:
    """Set the addresses of a delegation's staff, so that the notifier writes the letters of the morning.

    It writes them once it has read the decisions before `at`.
    """
    moment = paris(at)

    async def decisions_are_read() -> bool:
        async with reading(year.stack.database_url("notifier")) as database:
            return bool(await database.fetchval(_DECISIONS_ARE_READ, moment))

    await until(decisions_are_read, "the notifier's progress to this morning")
    processes = [process for process in year.stack.services if process.service == "notifier"]
    wanted = {role: [year.people[agent].email] for role, agent in contacts.items()}
    for process in processes:
        process.env = {**process.env, "DELEGATION_CONTACTS": json.dumps({delegation: wanted})}
    await asyncio.to_thread(start_again, processes)


Verb = Callable[..., Awaitable[None]]
VERBS: Mapping[str, Verb] = {
    verb.__name__: verb
    for verb in (
        *(asks, accepts, moves, ask_together, withdraws, is_approved, asks_for_training, nominates),
        *(sends_what_is_not_valid, is_corrected, subscribes, unsubscribes, is_forgotten),
        *(opens, gives_address, loses_link, follows, comes_back),
        *(imports, postpones, changes_days, cancels, ranks, attends, is_absent, attends_by_sheet),
        *(is_enrolled_by_hand, keeps_one, writes, publishes_replay, publishes_resource, proposes, agrees),
        wants_letters,
    )
}
