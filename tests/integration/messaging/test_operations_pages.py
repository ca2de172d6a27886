"""Operators' pages of each service: how it stands, and what could not be handled, decided by a click."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import FieldProblem
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.messaging.portals.admission import Rejected
from shared.messaging.watchdog import Behind
from shared.process import Process
from shared.web import operations
from shared.web.links import OPERATIONS
from tests.integration.catalogue.conftest import ADMIN, CORSE, tokens_file
from tests.integration.catalogue.conftest import PORTAL as SUPPORT
from tests.integration.services.composed import browser_on
from tests.integration.services.conftest import Compose, compose_service, process
from tests.support.consuming import a_record
from tests.support.processes import SERVICES
from tests.unit.notifier.builders import a_decision, a_session

__all__ = ["compose_service", "process", "tokens_file"]

HOME = OPERATIONS["notifier"]
INCIDENTS = f"{HOME}/incidents"


@pytest.fixture
def notifying(compose_service: Compose) -> Process:
    return compose_service("notifier")


class Operator(NamedTuple):
    """Somebody of the support at the pages of the notifier, and the key of their forms."""

    browser: httpx.AsyncClient
    key: str

    async def look(self, path: str = INCIDENTS, **query: str) -> str:
        return (await self.browser.get(path, params=query)).text

    async def decide(self, path: str, decision: str, **fields: Any) -> httpx.Response:
        data = {"cle": self.key, "decision": decision} | fields
        return await self.browser.post(path, data=data, follow_redirects=True)


async def log_in(browser: httpx.AsyncClient, service: str, token: str) -> str:
    page = await browser.post(
        f"{OPERATIONS[service]}/connexion", data={"jeton": token}, follow_redirects=True
    )
    found = re.search('name="cle" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


@pytest.fixture
async def operator(notifying: Process) -> AsyncIterator[Operator]:
    async with browser_on(notifying) as browser:
        yield Operator(browser, await log_in(browser, "notifier", SUPPORT))


async def park(process: Process, *parked: Parked) -> list[int]:
    async with process.database.transaction() as tx:
        await dead_letters.park(tx, parked)
        return [letter.id for letter in await dead_letters.find(tx, limit=10)]


async def reject(process: Process, *rejected: Rejected) -> None:
    for rejection in rejected:
        async with process.database.transaction() as tx:
            await dead_letters.keep_rejected(tx, [rejection])


RECORD = a_record(SessionScheduled.model_validate(a_session().model_dump()))
PROBLEM = FieldProblem(pointer="/agent/email", message="Field required")


def unreadable(offset: int = 0) -> Parked:
    return Parked(replace(RECORD, offset=offset, headers=()), None, "no JSON")


def a_seat() -> Parked:
    """A decision that failed once, and can be handled now."""
    enrolled = a_decision(AgentEnrolled)
    record = a_record(enrolled, uuid4(), source="/services/enrolment")
    record = replace(record, offset=int(uuid4()) % 10**9)
    return Parked(record, enrolled.TYPE, "the database was upgraded", "Traceback: of Zoé Durand", uuid4())


async def test_how_a_service_stands_is_for_admins_and_support_decides_about_incidents(
    process: Process,
) -> None:
    await park(process, unreadable())
    home = OPERATIONS[process.name]
    async with browser_on(process) as browser:
        refused = await browser.post(f"{home}/connexion", data={"jeton": CORSE})
        assert refused.status_code == 403
        await log_in(browser, process.name, SUPPORT)
        assert (await browser.get(home)).headers["location"] == f"{home}/incidents"
        await log_in(browser, process.name, ADMIN)
        page = (await browser.get(home)).text
    assert "1, le plus ancien depuis" in page
    assert ("Courriels à envoyer" in page) == (process.name == "notifier")
    assert all(OPERATIONS[other] in page for other in SERVICES)


_UNSENT = (
    "INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, created_at) "
    "VALUES (0, 'notifier.deliveries', 'key', gen_random_uuid(), 'type', 'source', '{}', now() - interval "
)
_LETTER_TO_MANY = (
    "INSERT INTO fan_out (event_id, task, subject_id, details, called_for_at, last_id_done, due_at) VALUES "
    "(gen_random_uuid(), 'week', gen_random_uuid(), '{}', now(), gen_random_uuid(), now() - interval "
)


@pytest.mark.parametrize(
    ("statement", "late"),
    [
        (f"{_UNSENT} '30 seconds')", 1),
        (f"{_UNSENT} '90 seconds')", 2),
        (f"{_LETTER_TO_MANY} '1 hour')", 2),
    ],
    ids=["event of 30 seconds", "event of 90 seconds", "letter to many"],
)
async def test_what_waits_for_a_minute_is_late_as_for_parcours_status_and_the_alerts(
    notifying: Process, monkeypatch: pytest.MonkeyPatch, statement: str, late: int
) -> None:
    behind = {"catalogue.sessions": Behind(6, 1, 61.0), "enrolment.occupancy": Behind(6, 1, 59.0)}
    seen = SimpleNamespace(trouble=lambda: None, behind=behind)
    monkeypatch.setattr(notifying, "watchdog", seen)  # the process does not run: what its watchdog would see
    async with notifying.database.transaction() as tx:
        await tx.execute(text(statement))
    async with browser_on(notifying) as browser:
        await log_in(browser, "notifier", ADMIN)
        page = (await browser.get(HOME)).text
    assert page.count("À surveiller") == late
    assert re.search("catalogue.sessions.+À surveiller", page)


async def test_what_a_record_says_is_shown_for_a_purpose_alone(
    notifying: Process, operator: Operator
) -> None:
    (number,) = await park(notifying, a_seat())
    path = f"{INCIDENTS}/{number}"
    unsaid = await operator.decide(path, "lire", motif="x")
    assert unsaid.status_code == 422
    for page in (await operator.look(), await operator.look(path), unsaid.text):
        assert "durand" not in page.lower()
    read = await operator.decide(path, "lire", motif="ticket 12")
    assert "zoe.durand@ville-exemple.fr" in read.text
    assert "Traceback: of Zoé Durand" in read.text
    async with notifying.database.quiet_transaction() as tx:
        query = text("SELECT actor, kind, agent_id, about, purpose FROM read_log")
        (line,) = await tx.execute(query)
    assert tuple(line) == (SUPPORT, "dead_letter", "IEL-0048151", str(number), "ticket 12")


async def test_what_can_be_handled_now_is_handled_again_as_it_is(
    notifying: Process, operator: Operator
) -> None:
    (second, first) = await park(notifying, a_seat(), unreadable(1))
    assert (await operator.browser.post(INCIDENTS, data={"choisi": first})).status_code == 403
    await operator.decide(INCIDENTS, "")  # nothing chosen is not everything
    done = await operator.decide(INCIDENTS, "", choisi=[str(first), str(second)])
    assert "1 repris, 1 toujours à décider" in done.text
    again = await operator.decide(f"{INCIDENTS}/{second}", "reprendre")
    assert "Il n’a pas pu être repris" in again.text
    async with notifying.database.quiet_transaction() as tx:
        mails = list(await tx.scalars(text("SELECT template FROM mail")))
        states = dict(tuple(row) for row in await tx.execute(text("SELECT id, state FROM dead_letter")))
        actors = set(await tx.scalars(text("SELECT actor FROM dead_letter_audit")))
    assert mails == ["enrolment-confirmed"]
    assert states == {first: "redriven", second: "parked"}
    assert actors == {SUPPORT}


async def test_what_is_given_up_needs_a_reason_that_is_kept_and_no_second_decision_is_taken(
    notifying: Process, operator: Operator
) -> None:
    (first, second) = await park(notifying, unreadable(0), unreadable(1))
    path, reason = f"{INCIDENTS}/{first}", {"raison": "essai sans suite"}
    wrong = [
        await operator.decide(path, "abandonner", raison=" "),
        await operator.decide(path, "x", **reason),
        await operator.decide(path, "abandonner", cle="", **reason),
    ]
    assert [answer.status_code for answer in wrong] == [422, 400, 403]
    done = await operator.decide(path, "abandonner", **reason)
    assert f"{SUPPORT} · essai sans suite" in done.text
    for late in ("reprendre", "abandonner"):
        assert (await operator.decide(path, late, **reason)).status_code == 409
    chosen = await operator.decide(INCIDENTS, "", choisi=[str(first), str(second)])
    assert "Décidés entre-temps par quelqu’un d’autre\u00a0: 1." in chosen.text
    async with notifying.database.quiet_transaction() as tx:
        assert [line.action for line in await dead_letters.audit_log(tx, first)] == ["discarded"]
    for unknown in (999999, 10**30):
        assert (await operator.browser.get(f"{INCIDENTS}/{unknown}")).status_code == 404


async def test_all_incidents_are_reached_page_by_page_and_by_what_they_are_about(
    notifying: Process, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "LISTED", 2)
    asked = uuid4()
    for offset in (5, 4, 3):
        await park(notifying, unreadable(offset))
    other = replace(RECORD, offset=1)
    await reject(
        notifying,
        Rejected(RECORD, RejectionCode.INVALID, (PROBLEM,), portal="iel", request_id=asked),
        Rejected(other, RejectionCode.INVALID, (PROBLEM,), portal="martinique"),
    )

    def numbers(page: str) -> list[int]:
        return [int(number) for number in re.findall(rf'href="{INCIDENTS}/(\d+)"', page)]

    def led_to(page: str, rel: str) -> str:
        (address,) = re.findall(rf'rel="{rel}" href="([^"]+)"', page)
        return str(address.replace("&amp;", "&"))

    first = await operator.look()
    second = (await operator.browser.get(led_to(first, "next"))).text
    parked = [*numbers(first), *numbers(second)]
    assert (len(numbers(first)), len(parked), parked) == (2, 3, sorted(parked)), "the oldest first"
    assert numbers((await operator.browser.get(led_to(second, "prev"))).text) == numbers(first)
    newest_first = numbers(await operator.look(etat="rejected"))
    assert newest_first == sorted(newest_first, reverse=True)
    for searched, found in (
        (str(asked).upper(), newest_first[1:]),
        ("martinique", newest_first[:1]),
        ("catalogue.sessions", newest_first),
        ("invalid", newest_first),
        ("ouest", []),
    ):
        assert numbers(await operator.look(etat="rejected", cherche=searched)) == found, searched
