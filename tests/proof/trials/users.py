"""Who uses an installation while faults are played on it, and what they see of it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from local.api_client import ApiClient, submit_page
from shared import clock
from shared.events.portal import BespokeTrainingRequested, EnrolmentRequested, WithdrawalRequested
from shared.events.topics import Topic
from shared.events.vocabulary import Agent
from shared.web.links import Purpose
from tests.proof.trials.installation import Installation, command, until
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.kafka import KafkaMessage, KafkaPortal
from tests.support.processes import ROOT, SERVICES, ServiceProcess
from tests.support.smtp import ScriptedRelay

TOKEN = "essai"
KEY = "a key of thirty-two characters for tests only"

HowThingsStand = Mapping[tuple[str, ...], str]
"""How things stand in a database, by what they are."""


@dataclass(frozen=True)
class Stands:
    """Where everybody stands, by session and address; the sessions, and what authorities ask for."""

    enrolments: HowThingsStand
    catalogue: HowThingsStand


@dataclass
class Users:
    """Portals, agents and organisers, with the services that they use and the letters that they have."""

    installation: Installation
    portal: KafkaPortal
    relay: ScriptedRelay
    services: Mapping[str, ServiceProcess]
    sessions: dict[str, str] = field(default_factory=dict)
    agents: dict[str, list[Agent]] = field(default_factory=dict)
    asked: list[tuple[Topic, KafkaMessage]] = field(default_factory=list)

    def start(self) -> None:
        for service in self.services.values():
            service.start()

    def stop(self) -> None:
        for service in self.services.values():
            service.stop()

    async def publish_session(self, name: str, capacity: int) -> None:
        """By hand, as an organiser does."""
        async with self._api("catalogue") as api:
            session = await api.call("POST", "/api/v1/sessions", _a_draft(name, capacity))
            self.sessions[name] = str(session["session_id"])
            await api.call("POST", f"/api/v1/sessions/{self.sessions[name]}/publish")

    async def change_capacity(self, name: str, capacity: int) -> None:
        """By hand as well."""
        async with self._api("catalogue") as api:
            await api.call("PATCH", f"/api/v1/sessions/{self.sessions[name]}", {"capacity": capacity})

    async def enrol_by_hand(self, name: str, email: str) -> None:
        person = an_agent(email=email).model_dump(mode="json", exclude={"agent_id", "issuer"})
        async with self._api("enrolment") as api:
            await api.call("POST", f"/api/v1/sessions/{self.sessions[name]}/enrolments", person)

    async def press(self, purpose: Purpose, email: str, **fields: str) -> None:
        """Press the button behind the link in a letter, once that has come."""

        async def has_come() -> bool:
            return self._link(purpose, email) is not None

        await until(has_come, f"a letter with a link to {purpose.value}")
        assert await submit_page(self._link(purpose, email) or "", **fields)

    async def ask_for_seats(self, name: str, number: int) -> list[Agent]:
        """By Kafka, as a portal does."""
        agents = [an_agent() for _ in range(number)]
        self.agents.setdefault(name, []).extend(agents)
        await self.ask_for(name, agents)
        return agents

    async def ask_for(self, name: str, agents: Sequence[Agent]) -> None:
        """Ask for a seat for each of these, whether they have one or not."""
        session = self.sessions[name]
        await self._ask(
            [
                (session, headers(EnrolmentRequested.TYPE), as_json(enrolment_request(session, agent)))
                for agent in agents
            ]
        )

    async def withdraw(self, name: str, agent: Agent) -> None:
        """By Kafka as well."""
        document = {"session_id": self.sessions[name], "agent_id": agent.agent_id}
        await self._ask([(self.sessions[name], headers(WithdrawalRequested.TYPE), as_json(document))])

    async def ask_for_training(self) -> None:
        """What an authority asks of the catalogue, by Kafka."""
        example = ROOT / "docs" / "asyncapi" / "examples" / BespokeTrainingRequested.TYPE / "full.json"
        record = (None, headers(BespokeTrainingRequested.TYPE), example.read_bytes())
        await self._ask([record], Topic.PORTAL_BESPOKE)

    async def _ask(self, records: list[KafkaMessage], topic: Topic = Topic.PORTAL_ENROLMENTS) -> None:
        self.asked += [(topic, record) for record in records]
        await self.portal.send(topic, records)

    async def ask_again(self) -> None:
        """Send all requests once more, as portals do with those that they have no answer to."""
        for topic in {topic for topic, _ in self.asked}:
            await self.portal.send(topic, [record for its_topic, record in self.asked if its_topic is topic])

    async def until_letters(self, number: int) -> None:
        async def have_left() -> bool:
            return len(self.relay.taken) >= number

        await until(have_left, f"{number} letters; {len(self.relay.taken)} have left")

    async def until_enrolments(self, number: int) -> None:
        async def are_there() -> bool:
            return len(self.stands().enrolments) >= number

        await until(are_there, f"{number} enrolments")

    async def has_read_all(self) -> bool:
        """Whether no record waits for a service, as its metrics say."""
        for name in self.services:
            lags = re.findall(r"(?m)^parcours_consumer_lag_records\{.*\} (\S+)$", await self.metrics_of(name))
            if not lags or any(map(float, lags)):
                return False
        return True

    async def metrics_of(self, service: str) -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            return (await client.get(f"{self.services[service].url}/metrics")).text

    async def run(self, service: str, *arguments: str) -> list[str]:
        """Run a command as an operator does. Returns what it complains of, nothing if it is content."""
        complaint = await command(service, self.installation.settings(service), *arguments)
        return [complaint] if complaint else []

    async def in_each(self, *arguments: str, services: Sequence[str] = SERVICES) -> list[str]:
        """Run a command of each service. Returns what they complain of."""
        return [complaint for service in services for complaint in await self.run(service, *arguments)]

    async def rewind(self, *services: str) -> list[str]:
        """Have these, or all, read again what came since a while before the backup, once none reads.

        Returns what they complain of.
        """
        complaints: list[str] = []

        async def nobody_reads() -> bool:
            complaints[:] = await self.in_each(
                "topics", "rewind", "--since", an_hour_ago(), services=services or SERVICES
            )
            return not any("has members" in complaint for complaint in complaints)

        await until(nobody_reads, "groups without members")
        return complaints

    async def reconcile_mails(self, *options: str) -> list[str]:
        """Have the notifier know which letters left since the backup, once all of them are in its queue.

        Returns what it complains of.
        """
        complaints: list[str] = []

        async def all_are_there() -> bool:
            complaints[:] = await self.run(
                "notifier", "mails", "reconcile", "--since", an_hour_ago(), *options
            )
            return not any("Nothing was changed" in complaint for complaint in complaints)

        await until(all_are_there, "the letters that left are in the queue")
        return complaints

    def stands(self) -> Stands:
        return Stands(self._rows("enrolment", _ENROLMENTS), self._rows("catalogue", _CATALOGUE))

    def in_hands(self) -> set[str]:
        """To whom a letter was on its way when the notifier was killed: nobody knows whether it left."""
        statement = "SELECT address FROM mail WHERE state IN ('data_started', 'ambiguous')"
        return set(self.installation.postgres.execute(statement, "notifier").split())

    def _rows(self, service: str, statement: str) -> HowThingsStand:
        lines = self.installation.postgres.execute(statement, service).splitlines()
        return {tuple(line.split("|")[:-1]): line.split("|")[-1] for line in lines}

    def _link(self, purpose: Purpose, email: str) -> str | None:
        for mail in self.relay.taken:
            if mail.recipient == email and (text := mail.message.get_body(("plain",))) is not None:
                found = re.search(rf"https?://\S+{re.escape(purpose.value)}/\S+", text.get_content())
                if found is not None:
                    return found.group()
        return None

    def _api(self, service: str) -> AbstractAsyncContextManager[ApiClient]:
        return ApiClient.connect(service, self.services[service].url, TOKEN)


def services_of(installation: Installation, relay: ScriptedRelay, **more: str) -> dict[str, ServiceProcess]:
    """Services whose letters lead to where they are, with these settings beside."""
    shared = {"API_TOKENS_FILE": str(ROOT / "deploy" / "try-out-tokens.json"), "LINK_SIGNING_KEY": KEY}
    shared |= more
    services = {"enrolment": installation.service("enrolment", **shared)}
    services["catalogue"] = installation.service("catalogue", **shared)
    services["notifier"] = installation.service(
        "notifier",
        **shared,
        SMTP_PORT=str(relay.port),
        SMTP_CONNECTIONS="4",
        ENROLMENT_PUBLIC_URL=services["enrolment"].url,
    )
    return services


def _a_draft(name: str, capacity: int) -> dict[str, Any]:
    now = datetime.now(UTC).replace(microsecond=0)
    return {
        "offer_id": "ia-et-territoires",
        "title": name,
        "organiser": "bretagne",
        "enrolment_opens_at": (now - timedelta(days=1)).isoformat(),
        "enrolment_closes_at": (now + timedelta(days=20)).isoformat(),
        "starts_at": (now + timedelta(days=40)).isoformat(),
        "ends_at": (now + timedelta(days=40, hours=3)).isoformat(),
        "timezone": "Europe/Paris",
        "venue": "Rennes",
        "capacity": capacity,
        "waiting_list": "offer",
    }


def an_hour_ago() -> str:
    return (clock.now() - timedelta(hours=1)).isoformat()


_ENROLMENTS = "SELECT enrolment_id, session_id, agent->>'email', state FROM enrolment"
_CATALOGUE = (
    "SELECT 'session', session_id, coalesce(capacity::text, '') FROM session "
    "UNION ALL SELECT 'bespoke', request_id, '' FROM bespoke_request"
)
