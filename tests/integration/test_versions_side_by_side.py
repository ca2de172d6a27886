"""The last release (N-1) beside today's code (N): on databases and topics of N, under load.

As in an upgrade: a service of N-1 works with the others of N, then N joins it in its groups, then N-1 leaves.
Every request is answered, every letter leaves once, nothing is parked, and no process warns of anything.
"""

import asyncio
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from local.kafka import KafkaBroker
from services.contracts import ROUTERS
from services.notifier.restores import read_ended
from services.notifier.service.restores import reconcile
from shared.database import Database
from shared.events.documents import breaks, schema
from shared.events.index import EVENTS
from shared.events.portal import (
    ApprovalDecided,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    WithdrawalRequested,
)
from shared.messaging.broker import KafkaSettings
from tests.conftest import Eventually, opened, settings_of
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.catalogue import load
from tests.support.kafka import KafkaMessage, KafkaPortal, PublishedRecord, collect, pass_over
from tests.support.processes import SERVICES, ServiceProcess
from tests.support.released import ReleasedCode, ReleasedProcess, last_release
from tests.support.smtp import ScriptedRelay, scripted_relay

pytestmark = pytest.mark.timeout(400)  # the packages of the last release may have to be installed

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "tests" / "support" / "released_tables.py"
EXPECTED = (
    "Anybody may speak for the portal essai",  # at the start, in a trial
    # Members of a group come and go here: who has lost a partition meanwhile cannot commit, says the client.
    "OffsetCommit failed for group",
)
"""What processes may warn of."""
EXPECTED_OF_OLD = ("CommitFailedError", "(IllegalStateError)")
"""What those of 1.0.0 may: the same is a failure to them, and so is to ask about a partition that is lost."""
TOKEN = "siege"
OFFICER = {"name": "Une responsable", "email": "formation@ville-exemple.fr"}
SEATS, WAITING, LEAVING = 20, 10, 5
TOGETHER = BY_HTTP = 5
PENDING, GRANTED = 10, 5
ANSWERS = SEATS + WAITING + LEAVING + TOGETHER + BY_HTTP + 2 * PENDING
"""Of a wave. Who leaves gives a seat to another, who has a letter about that."""
LETTERS = ANSWERS + LEAVING
TOLD_OF_A_CHANGE = SEATS + WAITING - LEAVING + TOGETHER + BY_HTTP


@pytest.fixture(scope="module")
def released() -> ReleasedCode:
    return last_release()


def test_contracts_only_gained_what_readers_of_the_last_release_may_pass_over(released: ReleasedCode) -> None:
    folder = released.folder / "docs" / "asyncapi" / "schemas"
    before = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    now = {event.TYPE: schema(event) for event in EVENTS}
    assert len(before) > 20
    assert set(before) - set(now) == set(), "an event of the last release is published no more"
    assert {kind: faults for kind in before if (faults := breaks(before[kind], now[kind]))} == {}


def test_the_last_release_finds_its_tables_and_may_leave_out_what_is_new(
    released: ReleasedCode, new_database: Callable[[str], str]
) -> None:
    databases = [word for service in SERVICES for word in (service, new_database(service))]
    assert released.run(TABLES, *databases) == ""


def test_the_migrations_of_the_last_release_are_the_released_ones(released: ReleasedCode) -> None:
    files = sorted(released.folder.glob("services/*/migrations/0*.py"))
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(released.folder)}" for f in files]
    assert (ROOT / "tests" / "unit" / "released_migrations.sha256").read_text().splitlines() == lines


@dataclass
class Upgrade:
    """The three services, the relay that they write to, and a portal."""

    code: ReleasedCode
    databases: Mapping[str, Database]
    relay: ScriptedRelay
    portal: KafkaPortal
    settings: Callable[[str], dict[str, str]]
    folder: Path
    started: ExitStack
    running: dict[str, list[ServiceProcess]]

    async def start(self, *services: str, old: bool = False) -> None:
        """Start a process of each service, of the last release or of today, beside those that run."""
        begin = partial(ReleasedProcess, self.code) if old else ServiceProcess
        for service in services:
            log = self.folder / f"{service}-{'old' if old else 'new'}.log"
            process = begin(service, self.settings(service), log)
            self.started.callback(process.stop)
            self.running.setdefault(service, []).append(await asyncio.to_thread(process.start))

    async def stop_the_older(self, *services: str) -> None:
        """Stop the process of each service that has run for longest."""
        for service in services:
            assert await asyncio.to_thread(self.running[service].pop(0).terminate) == 0

    async def ask(self, service: str, method: str, path: str, body: Any = None, **head: str) -> Any:
        """What the process of a service that has run for longest answers."""
        head["authorization"] = f"Bearer {TOKEN}"
        async with httpx.AsyncClient(base_url=self.running[service][0].url, timeout=30) as client:
            answer = await client.request(method, path, json=body, headers=head)
        assert answer.is_success, (service, method, path, answer.status_code, answer.text)
        return answer.json()

    async def faults(self) -> list[str]:
        """What any process has warned of, for which none has a reason, or has parked."""
        lines = [
            (json.loads(line), EXPECTED + (EXPECTED_OF_OLD if log.stem.endswith("-old") else ()))
            for log in self.folder.glob("*.log")
            for line in log.read_text().splitlines()
        ]
        warnings = [
            f"{line['service']}: {line['message']}"
            for line, expected in lines
            if line["level"] in ("ERROR", "CRITICAL")
            or (line["level"] == "WARNING" and line["logger"].startswith(("services", "shared")))
            if not any(each in line["message"] for each in expected)
        ]
        parked = []
        for service, database in self.databases.items():
            async with database.quiet_transaction() as tx:
                parked += [
                    f"{service}: {error}" for error in await tx.scalars(text("SELECT error FROM dead_letter"))
                ]
        return warnings + parked

    async def count(self, service: str, query: str) -> int:
        async with self.databases[service].quiet_transaction() as tx:
            return int(await tx.scalar(text(f"SELECT count(*) FROM {query}")) or 0)


@pytest.fixture
async def upgrade(
    *, released: ReleasedCode, kafka: KafkaBroker, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Upgrade]:
    urls: dict[str, str] = {name: request.getfixturevalue(f"{name}_url") for name in SERVICES}
    tokens = tmp_path / "tokens.json"
    entry = {"name": "siege", "role": "admin", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
    tokens.write_text(json.dumps([entry]))
    # What other tests left on the topics is not of this one.
    groups = [(f"{name}.{topic}", topic) for name in SERVICES for topic in ROUTERS[name].subscriptions]
    await asyncio.gather(*(pass_over(kafka.bootstrap_servers, group, topic) for group, topic in groups))
    async with AsyncExitStack() as opening:
        relay = await opening.enter_async_context(scripted_relay())
        portal = await opening.enter_async_context(KafkaPortal(kafka.bootstrap_servers))
        databases = {name: await opening.enter_async_context(opened(url)) for name, url in urls.items()}

        def settings(service: str) -> dict[str, str]:
            return settings_of(service, urls[service], kafka.bootstrap_servers) | {
                "SMTP_PORT": str(relay.port),
                "API_TOKENS_FILE": str(tokens),
                "LOG_FORMAT": "json",
            }

        await load(databases["catalogue"])
        client = KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers)
        ended = await read_ended(client, datetime(2025, 1, 1, tzinfo=UTC))
        async with databases["notifier"].transaction() as tx:
            await reconcile(tx, ended, {}, accept_missing=True, actor="tests")
        with ExitStack() as started:
            yield Upgrade(released, databases, relay, portal, settings, tmp_path, started, {})


@dataclass(frozen=True)
class Wave:
    """Requests of every kind about two new sessions, and what is to come of them."""

    upgrade: Upgrade
    run: str

    def agent(self, number: int) -> str:
        return f"{self.run}-{number:03d}"

    async def publish(self, **terms: Any) -> str:
        """Publish a session by the catalogue's API; returns its id."""
        now = datetime.now(UTC)
        days = {"enrolment_opens_at": -1, "starts_at": 40, "ends_at": 40.3}
        draft = {name: (now + timedelta(days=number)).isoformat() for name, number in days.items()}
        draft |= {"offer_id": "ia-et-territoires", "organiser": "bretagne", "venue": "Rennes"} | terms
        session = (await self.upgrade.ask("catalogue", "POST", "/api/v1/sessions", draft))["session_id"]
        await self.upgrade.ask("catalogue", "POST", f"/api/v1/sessions/{session}/publish")
        return str(session)

    def requests(self, session: str, other: str) -> list[KafkaMessage]:
        """Enrolments, withdrawals, a group; and approvals of the other session. One comes twice."""
        enrolled = [_enrolment(session, self.agent(number)) for number in range(SEATS + WAITING)]
        leaving = [
            _record(WithdrawalRequested.TYPE, session, agent_id=self.agent(number))
            for number in range(LEAVING)
        ]
        group = [an_agent(self.agent(100 + number)).model_dump(mode="json") for number in range(TOGETHER)]
        together = _record(GroupEnrolmentRequested.TYPE, session, agents=group, requested_by=OFFICER)
        candidates = [self.agent(200 + number) for number in range(PENDING)]
        pending = [_enrolment(other, candidate) for candidate in candidates]
        decided = [
            _record(
                ApprovalDecided.TYPE,
                other,
                agent_id=candidate,
                granted=number < GRANTED,
                decided_by="Une cheffe",
            )
            for number, candidate in enumerate(candidates)
        ]
        return [*enrolled, enrolled[0], *leaving, together, *pending, *decided]

    async def play(self) -> str:
        """Publish two sessions and send all requests, the last of them by HTTP. Returns the first session."""
        session = await self.publish(capacity=SEATS, waiting_list="automatic")
        other = await self.publish(capacity=None, waiting_list="none", approval="employer")
        await self.upgrade.portal.send(EnrolmentRequested.TOPIC, self.requests(session, other))
        for number in range(BY_HTTP):
            event = {f"ce-{name}": value for name, value in _attributes(EnrolmentRequested.TYPE).items()}
            data = enrolment_request(session, an_agent(self.agent(300 + number)))
            await self.upgrade.ask("enrolment", "POST", "/api/v1/events", data, **event)
        return session

    async def letters(self) -> int:
        """How many letters to its agents have come to their end."""
        ended = "mail WHERE state IN ('sent', 'superseded') AND recipient LIKE"
        return await self.upgrade.count("notifier", f"{ended} '{self.run}-%'")

    async def end(self, session: str, eventually: Eventually) -> None:
        """Wait for the letters; change the place, which everybody hears who is in; read what there is."""

        async def are_there(number: int) -> bool:
            return await self.letters() >= number

        await eventually(partial(are_there, LETTERS), f"{LETTERS} letters of {self.run}")
        path = f"/api/v1/sessions/{session}"
        await self.upgrade.ask("catalogue", "PATCH", path, {"venue": "Vannes"})
        everything = LETTERS + TOLD_OF_A_CHANGE
        await eventually(partial(are_there, everything), f"{everything} letters of {self.run}")
        assert await self.upgrade.faults() == []
        await self.upgrade.ask("catalogue", "GET", path)
        roster = await self.upgrade.ask("enrolment", "GET", f"{path}/roster")
        assert roster["items"]
        mails = await self.upgrade.ask("notifier", "GET", "/api/v1/mails")
        assert mails["items"]


def _enrolment(session: str, agent_id: str) -> KafkaMessage:
    return _record(EnrolmentRequested.TYPE, session, **enrolment_request(session, an_agent(agent_id)))


def _record(kind: str, session: str, /, **data: Any) -> KafkaMessage:
    return session, headers(kind), as_json({"session_id": session, **data})


def _attributes(kind: str) -> dict[str, str]:
    values = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/portals/essai", "type": kind}
    return values | {"time": datetime.now(UTC).isoformat()}


async def test_services_of_the_last_release_work_with_todays_and_hand_over_under_load(
    upgrade: Upgrade, eventually: Eventually
) -> None:
    waves = [Wave(upgrade, f"{uuid.uuid4().hex[:8]}-{step}") for step in ("first", "second", "third")]
    first, second, third = waves

    await upgrade.start("catalogue", "notifier", old=True)
    await upgrade.start("enrolment")
    await first.end(await first.play(), eventually)

    await upgrade.start("catalogue", "notifier")
    await upgrade.start("enrolment", old=True)
    session = await second.play()
    await upgrade.stop_the_older(*SERVICES)
    await second.end(session, eventually)

    assert [process.log.name for process in upgrade.running["enrolment"]] == ["enrolment-old.log"]
    await upgrade.start("enrolment")
    session = await third.play()
    await upgrade.stop_the_older("enrolment")
    await third.end(session, eventually)

    await every_request_has_its_answers(upgrade, waves)
    await every_letter_has_left_once(upgrade, waves)
    assert await upgrade.faults() == []


async def every_request_has_its_answers(upgrade: Upgrade, waves: Sequence[Wave]) -> None:
    """One for each agent that it is about."""
    bootstrap = upgrade.settings("enrolment")["KAFKA_BOOTSTRAP_SERVERS"]

    def ours(found: list[PublishedRecord]) -> list[PublishedRecord]:
        return [record for record in found if record.key.startswith(tuple(wave.run for wave in waves))]

    expected = (ANSWERS + LEAVING) * len(waves)
    found = ours(await collect(bootstrap, "enrolment.decisions", lambda found: len(ours(found)) >= expected))
    answers = Counter((record.data["request_id"], record.key) for record in found)
    unasked = {answer: number for answer, number in answers.items() if answer[0] is None}
    assert (len(answers) - len(unasked), sum(unasked.values())) == (
        ANSWERS * len(waves),
        LEAVING * len(waves),
    )
    assert set(answers.values()) == {1}


async def every_letter_has_left_once(upgrade: Upgrade, waves: Sequence[Wave]) -> None:
    """But what was not so any more when its turn came: a seat that was given back, a wait that had ended."""
    assert [await wave.letters() for wave in waves] == [LETTERS + TOLD_OF_A_CHANGE] * len(waves)
    taken = upgrade.relay.per_message_id()
    assert set(taken.values()) == {1}
    sent = await upgrade.count("notifier", "mail WHERE state = 'sent'")
    superseded = await upgrade.count("notifier", "mail WHERE state = 'superseded'")
    assert (sent, sent + superseded) == (len(taken), await upgrade.count("notifier", "mail"))
    assert superseded <= (2 * LEAVING + PENDING) * len(waves)
