"""An enrolment service with sessions of Bretagne in every situation, for its pages in a real browser."""

import hashlib
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.enrolment.app import compose
from services.enrolment.rules.requests import SeatRequest
from services.enrolment.service import bespoke_tasks
from services.enrolment.settings import Settings
from services.enrolment.store import new_addresses
from services.enrolment.store import sessions as stored_sessions
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import NewAddressGiven
from shared.events.vocabulary import Agent
from shared.web.links import Links, Purpose
from tests.conftest import settings_of
from tests.integration.enrolment.bespoke import answered, requested
from tests.integration.enrolment.conftest import INTAKE_KEY, Front
from tests.support.builders import a_question, an_agent, open_now
from tests.support.consuming import received

TOKEN = "advisor-bretagne"
ADMIN_TOKEN = "exploitation"
COLLEAGUE = "colleague-bretagne"
"""The token of another who organises the same sessions."""
NAMES = (
    ("Zoé", "Durand"), ("Loïc", "Le Goff"), ("Anne-Marie", "Kerdoncuff"), ("Élise", "Martin"),
    ("Yann", "Bernard"), ("Maxence", "de La Villemarqué-Trémargat"), ("Inès", "Benali"), ("Paul", "Morvan"),
    ("Claire", "Nguyen"), ("Gwenaël", "Riou"), ("Fatou", "Diallo"), ("Hervé", "Le Bris"),
)  # fmt: skip

WHO_LEAVES = an_agent("A-leaves")
WHO_IS_OFFERED_A_SEAT = an_agent("A-offered", given_name="Inès", family_name="Benali")
AT_NEW_ADDRESS = WHO_IS_OFFERED_A_SEAT.model_copy(update={"email": "nouvelle@ville.example"})
TRAINER = UUID(int=3)
AUTHORITY = "21350238800019"
NEW_ADDRESS = UUID(int=4)
"""The request that is asked whether it has the agent's new address."""
OWN_CODE, ANOTHER_CODE = "AAAAAAAAA5", "AAAAAAAAA2"
"""Codes of certificates in the session that is held: of the agent above, and of another."""
LONG = "Anticonstitutionnellement" * 4

NEW, TAKEN_ON = UUID(int=1), UUID(int=2)
"""Bespoke requests that wait for Bretagne."""
CLOSED = "jsonb_build_object('enrolment_closes_at', now() - interval '1 day')"
OVER = (
    "jsonb_build_object('enrolment_closes_at', now() - interval '9 days', "
    "'starts_at', now() - interval '27 hours', 'ends_at', now() - interval '20 hours')"
)
CHANGES = {
    "decided": CLOSED,
    "minimum": CLOSED,
    "ranking": CLOSED,
    "past": OVER,
    "held": OVER,
}
"""What time brings: the new dates of sessions in which people have enrolled."""


@dataclass
class KnownEnrolments:
    """The sessions by their situation, and the links of letters by what they open."""

    sessions: dict[str, UUID]
    links: dict[str, str]


class Agents:
    """Agents with names as people have them, and numbers that are the same each time."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self, count: int) -> list[Agent]:
        return [self.one(*NAMES[index % len(NAMES)]) for index in range(count)]

    def one(self, given_name: str, family_name: str, **changes: Any) -> Agent:
        agent_id = f"A-{next(self._numbers)}"
        email = f"{agent_id.lower()}@ville-exemple.fr"
        names = {"given_name": given_name, "family_name": family_name, "email": email}
        return an_agent(agent_id, **(names | changes))


async def fill(database: Database) -> dict[str, UUID]:
    """One session for each situation that a page has to show."""
    front, people, now = Front(database), Agents(), clock.now()
    asked = [
        a_question("repas", "choice", label="Quel repas ?"),
        a_question("acces", "text", label="Venez-vous en train ?"),
    ]
    morning = (now + timedelta(days=30)).replace(hour=8, minute=30, second=0, microsecond=0)
    by_day = {
        "starts_at": morning,
        "ends_at": morning + timedelta(hours=7),
        "enrolment_closes_at": morning - timedelta(days=10),
    }
    later = {"starts_at": now + timedelta(days=50), "ends_at": now + timedelta(days=50, hours=6)}
    # The same in each run: ids and moments decide the order.
    ids = map(UUID, (f"{number:032x}" for number in itertools.count(1)))

    def session(**changes: Any) -> SessionState:
        session_id = next(ids)
        starts_at = now + timedelta(days=30, minutes=-session_id.int)
        return open_now(session_id=session_id, **({"starts_at": starts_at} | changes))

    sessions = {
        "full": session(
            capacity=6,
            waiting_list="offer",
            trainer_ids=[TRAINER],
            venue="Hôtel de ville, 35000 Rennes",
            questions=asked,
            **by_day,
        ),
        "ranking": session(
            format="inet",
            approval="selection",
            capacity=3,
            venue="INSET, 49000 Angers",
            title="Conduire un projet d’intelligence artificielle",
        ),
        "approval": session(
            approval="employer",
            venue="Palais des congrès, 56000 Vannes",
            enrolment_closes_at=now + timedelta(days=3),
        ),
        "minimum": session(
            capacity=20, minimum=12, venue="Quartz, 29200 Brest", starts_at=now + timedelta(days=4)
        ),
        "past": session(capacity=12, venue="Centre, 22000 Saint-Brieuc"),
        "held": session(venue="Mairie, 35400 Saint-Malo"),
        "online": session(format="webinar", venue=None, capacity=None, title="L’IA générative en une heure"),
        "empty": session(venue="Médiathèque, 29000 Quimper", questions=asked, **later),
        "decided": session(format="inet", approval="selection", capacity=2, venue="INSET, 54000 Nancy"),
        "long": session(title=LONG, venue=f"Salle {'Llanfairpwllgwyngyll' * 3}, 29000 Brest"),
        "private": open_now(
            session_id=UUID(int=2**64),
            format="bespoke",
            audience={"sirets": [AUTHORITY]},
            organiser="normandie",
            capacity=15,
            waiting_list="none",
            venue="Hôtel de ville, 35000 Rennes",
            questions=asked[:1],
            **later,
        ),
    }
    await front.publish(*sessions.values())

    async def enrol(situation: str, *agents: Agent) -> None:
        session_id, before = sessions[situation].session_id, clock.now() - timedelta(seconds=1)
        await front.answer(
            *(
                SeatRequest(next(ids), before + timedelta(milliseconds=place), session_id, agent, False)
                for place, agent in enumerate(agents)
            )
        )

    first = people(12)
    first[6] = WHO_IS_OFFERED_A_SEAT
    await enrol("full", *first)
    await front.withdraw(sessions["full"], first[1])
    await enrol("ranking", *people(5))
    await enrol("approval", *people(2), WHO_IS_OFFERED_A_SEAT)
    await enrol("minimum", *people(4), WHO_IS_OFFERED_A_SEAT)
    await enrol("past", *people(9))
    await enrol("held", *people(3), WHO_IS_OFFERED_A_SEAT)
    await enrol("decided", *people(3))
    await enrol("online", WHO_LEAVES)
    employer = {"siret": "21350238800019", "name": "Syndicat" * 12, "delegation": "bretagne"}
    long = people.one("Zoé", "K" * 80, email=f"{'k' * 60}@ville.example", employer=employer)
    await enrol("long", long)
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO bad_address VALUES ('', :id, now())"), {"id": first[2].agent_id})
        for situation, change in CHANGES.items():
            await tx.execute(
                text(
                    "UPDATE session SET version = version + 1, "
                    f"state = state || {change} || jsonb_build_object('version', version + 1) "
                    "WHERE session_id = :id"
                ),
                {"id": sessions[situation].session_id},
            )
        codes = (
            "INSERT INTO certificate "
            "SELECT enrolment_id, 'AAAAAAAAA' || (1 + row_number() OVER (ORDER BY agent_id)) "
            "FROM enrolment WHERE session_id = :id"
        )
        await tx.execute(text(codes), {"id": sessions["held"].session_id})
        offered = "SELECT enrolment_id FROM enrolment WHERE agent_id = :agent LIMIT 1"
        given = NewAddressGiven(
            request_id=NEW_ADDRESS,
            enrolment_id=await tx.scalar(text(offered), {"agent": WHO_IS_OFFERED_A_SEAT.agent_id}),
            agent=WHO_IS_OFFERED_A_SEAT,
            new_address=AT_NEW_ADDRESS.email,
            given_at=now,
        )
        await new_addresses.keep(tx, given)
        await bespoke_tasks.record_progress(
            tx,
            [
                received(requested(NEW)),
                received(requested(TAKEN_ON)),
                received(answered(TAKEN_ON, "qualified")),
            ],
        )
    return {situation: session.session_id for situation, session in sessions.items()}


async def links_of(database: Database, links: Links, sessions: dict[str, UUID]) -> dict[str, str]:
    """What letters lead to."""
    until = clock.now() + timedelta(days=30)

    async def enrolment_of(agent: Agent, situation: str) -> UUID:
        query = text("SELECT enrolment_id FROM enrolment WHERE agent_id = :agent AND session_id = :session")
        found: UUID = await tx.scalar(query, {"agent": agent.agent_id, "session": sessions[situation]})
        return found

    async def link(purpose: Purpose, agent: Agent, situation: str, log_in: int = 0) -> str:
        enrolment_id = await enrolment_of(agent, situation)
        return links.to_agent(purpose, enrolment_id, links.mark(agent.email), until=until, log_in=log_in)

    async with database.quiet_transaction() as tx:
        return {
            "withdrawal": await link(Purpose.WITHDRAW, WHO_LEAVES, "online"),
            "enrolments at the new address": await link(Purpose.ENROLMENTS, AT_NEW_ADDRESS, "held"),
            "enrolments": await link(Purpose.ENROLMENTS, WHO_IS_OFFERED_A_SEAT, "held", log_in=1),
            "roster": links.to_trainer(TRAINER, sessions["full"], until),
            "list": links.to_officer(sessions["private"], AUTHORITY, until),
            "correction": links.confirm_correction(
                await enrolment_of(WHO_IS_OFFERED_A_SEAT, "held"),
                WHO_IS_OFFERED_A_SEAT.email,
                AT_NEW_ADDRESS.email,
                until,
            ),
            "new address": links.confirm_address(str(NEW_ADDRESS), AT_NEW_ADDRESS.email, until),
        }


@asynccontextmanager
async def enrolment(url: str, folder: Path, address: str) -> AsyncIterator[tuple[Any, KnownEnrolments]]:
    """The service on this database, filled."""
    tokens_file = folder / "tokens.json"
    entries = [
        {"name": token, "role": "organiser", "delegation": "bretagne", "sha256": _sha256(token)}
        for token in (TOKEN, COLLEAGUE)
    ] + [{"name": ADMIN_TOKEN, "role": "admin", "sha256": _sha256(ADMIN_TOKEN)}]
    tokens_file.write_text(json.dumps(entries))
    given = settings_of("enrolment", url, "localhost:1") | {"PUBLIC_BASE_URL": address}
    settings = Settings.model_validate(
        {name.lower(): value for name, value in given.items()}
        | {"api_tokens_file": tokens_file, "intake_signing_key": INTAKE_KEY, "link_signing_key": "k" * 32}
    )
    process = compose(settings)
    assert settings.links is not None
    # The process keeps decoded states by id and version, and other tests have sessions of these ids too.
    stored_sessions._decoded.cache_clear()
    try:
        sessions = await fill(process.database)
        links = await links_of(process.database, settings.links, sessions)
        yield process.api, KnownEnrolments(sessions, links)
    finally:
        await process.database.close()
        stored_sessions._decoded.cache_clear()


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
