"""The example portal over a catalogue of one session: one agent has something of everything."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from local.people import Agent
from local.portal.envelope import Envelope, signed
from local.portal.exchange import Exchange
from local.portal.journal import Journal
from local.portal.offer import Offer
from local.portal.pages import pages
from local.portal.people import STAFF
from local.portal.requests import Request, bespoke, group, seat
from tests.unit.local.portal.test_pages import SESSION, SETTINGS, catalogue

ZOE, LOIC, ANAIS = STAFF[:3]
SIRET = ZOE.employer.siret
STATES: list[tuple[str, dict[str, Any]]] = [
    ("AgentEnrolled", {}),
    ("AgentWaitlisted", {"position": 2}),
    ("SeatOffered", {"hold_until": "2026-12-01T11:00:00Z"}),
    ("SeatOfferLapsed", {"cause": "expired"}),
    ("EnrolmentPending", {"awaiting": "employer_approval"}),
    ("EnrolmentRefused", {"reason": "session_full"}),
    ("EnrolmentWithdrawn", {"by": "employer", "reason": "Départ"}),
]


@dataclass
class KnownPortal:
    """What the portal has sent and heard."""

    journal: Journal
    loop: asyncio.AbstractEventLoop
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1_000, 2_000)))

    def hear(self, name: str, session_id: str = SESSION, **members: Any) -> None:
        """Have an answer heard by the portal."""
        answer = an_answer(name, next(self.numbers), session_id, **members)
        self.loop.call_soon_threadsafe(self.journal.add_answers, [(answer, 0, 0)])


def an_answer(name: str, number: int, session_id: str, **members: Any) -> Envelope:
    data = {
        "enrolment_id": f"{session_id}-{number}",
        "version": 1,
        "request_id": None,
        "session_id": session_id,
    }
    headers = (("ce_id", f"{name}-{number}"), ("ce_type", f"fr.cnfpt.enrolment.{name}.v1"))
    return Envelope("portal.answers.exemple", "EX-101", headers, data | {"agent": ZOE.as_json()} | members)


def a_request(request: Request) -> Envelope:
    return signed(request, SETTINGS.source, SETTINGS.key, datetime(2026, 12, 1, 10, tzinfo=UTC))


@asynccontextmanager
async def portal(_url: str, folder: Path, _address: str) -> AsyncIterator[tuple[Any, KnownPortal]]:
    """The portal, filled; a colleague has a long name."""
    journal = Journal(folder / "journal.jsonl")
    upstream = httpx.AsyncClient(
        base_url="http://catalogue.example", transport=httpx.MockTransport(catalogue)
    )
    journal.add_agent(Agent("EX-900", "a@b.example", "Anne-Marie", "D" * 80, "agent", ZOE.employer))
    for number, (name, members) in enumerate(STATES):
        session_id = SESSION[:-1] + str(number)
        journal.add_request(a_request(seat(session_id, ZOE)))
        journal.add_answers([(an_answer(name, number, session_id, **members), 0, number)])
    journal.add_request(a_request(group(SESSION, [LOIC, ANAIS], all_or_nothing=True)))
    asked = a_request(bespoke(ZOE.employer, "enjeux-ia", 15, "Au printemps"))
    journal.add_request(asked)
    agreed = {"request_id": asked.id, "siret": SIRET, "answer": "agreed", "agent": None}
    journal.add_answers([(an_answer("BespokeRequestAnswered", 99, SESSION, **agreed), 0, 99)])
    async with upstream:
        web = pages(SETTINGS, journal, Exchange(SETTINGS, journal), Offer(upstream))
        yield web, KnownPortal(journal, asyncio.get_running_loop())
