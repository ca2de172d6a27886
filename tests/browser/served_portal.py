"""The example portal over a catalogue of one session: one agent has something of everything."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from local.portal.envelope import Envelope, signed
from local.portal.exchange import Exchange
from local.portal.journal import Journal
from local.portal.offer import Offer
from local.portal.pages import pages
from local.portal.people import STAFF, PortalAgent
from local.portal.requests import Request, bespoke, group, seat
from tests.support.serving import serving
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
class ServedPortal:
    """A portal that answers on a port of its own."""

    url: str
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
    return signed(request, SETTINGS.source, SETTINGS.key, datetime.now(UTC))


@contextmanager
def serve_portal(folder: Path) -> Iterator[ServedPortal]:
    """The portal, filled; a colleague has a long name."""
    journal = Journal(folder / "journal.jsonl")
    found: list[ServedPortal] = []

    @asynccontextmanager
    async def compose(address: str) -> AsyncIterator[object]:
        upstream = httpx.AsyncClient(
            base_url="http://catalogue.example", transport=httpx.MockTransport(catalogue)
        )
        served = ServedPortal(address, journal, asyncio.get_running_loop())
        journal.add_agent(PortalAgent.new("Anne-Marie", "D" * 80, "a@b.example", "agent", ZOE.employer))
        for number, (name, members) in enumerate(STATES):
            session_id = SESSION[:-1] + str(number)
            journal.add_request(a_request(seat(session_id, ZOE)))
            journal.add_answers([(an_answer(name, number, session_id, **members), 0, number)])
        journal.add_request(a_request(group(SESSION, [LOIC, ANAIS], ZOE.employer, all_or_nothing=True)))
        asked = a_request(bespoke(ZOE.employer, "enjeux-ia", 15, "Au printemps"))
        journal.add_request(asked)
        agreed = {"request_id": asked.id, "siret": SIRET, "answer": "agreed", "agent": None}
        journal.add_answers([(an_answer("BespokeRequestAnswered", 99, SESSION, **agreed), 0, 99)])
        found.append(served)
        async with upstream:
            yield pages(SETTINGS, journal, Exchange(SETTINGS, journal), Offer(upstream))

    with serving(compose):
        yield found[0]
