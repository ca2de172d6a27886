import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from local.model.day import AnswerKey, Correction, Decision
from local.model.session import Verdict
from local.observing import following, reading

DECISIONS = "enrolment.decisions"
_CORRECTED = "AgentDetailsCorrected"
_STATES = {
    "AgentEnrolled": "enrolled",
    "AgentWaitlisted": "waitlisted",
    "SeatOffered": "offered",
    "SeatOfferLapsed": "lapsed",
    "SeatNotObtained": "not_obtained",
    "EnrolmentRefused": "refused",
    "EnrolmentWithdrawn": "withdrawn",
    "EnrolmentPending": "pending",
}


@dataclass(frozen=True)
class EnrolmentChange:
    verdict: Verdict
    session_id: str
    enrolment_id: str
    agent_id: str


def verdict_of(name: str, decision: Mapping[str, Any]) -> Verdict:
    if name == "EnrolmentWithdrawn" and decision["by"] == "session_cancelled":
        return Verdict("cancelled")
    return Verdict(_STATES[name], decision["reason"] if name == "EnrolmentRefused" else None)


def change_by(name: str, decision: Mapping[str, Any]) -> EnrolmentChange | None:
    """Return None for the refusal of a withdrawal or of a reply to an offer."""
    if name == _CORRECTED or decision.get("asked", "enrolment") != "enrolment":
        return None
    agent_id = decision["agent"]["agent_id"]
    return EnrolmentChange(
        verdict_of(name, decision), decision["session_id"], decision["enrolment_id"], agent_id
    )


@dataclass
class DecisionLog:
    """The decisions topic. Each event counts once, by its id.

    `answers` are to requests; `consequences` have no request. All events of an enrolment are in one
    partition, so `enrolments` has its last change. `offers` counts how each offer ended.
    """

    answers: dict[AnswerKey, list[Verdict]] = field(default_factory=lambda: defaultdict(list))
    consequences: Counter[Decision] = field(default_factory=Counter)
    corrections: Counter[Correction] = field(default_factory=Counter)
    sessions: dict[AnswerKey, str] = field(default_factory=dict)
    enrolments: dict[str, EnrolmentChange] = field(default_factory=dict)
    offers: Counter[str] = field(default_factory=Counter)

    @classmethod
    @contextlib.asynccontextmanager
    async def follow(cls, connection: Mapping[str, Any]) -> AsyncIterator["DecisionLog"]:
        log = cls()
        async with following(DECISIONS, connection, lambda name, _, decision: log.add(name, decision)):
            yield log

    def add(self, name: str, decision: Mapping[str, Any]) -> None:
        if name == _CORRECTED:
            self.corrections[decision["agent_id"], decision["email"]] += 1
            return
        session_id, agent_id = decision["session_id"], decision["agent"]["agent_id"]
        verdict = verdict_of(name, decision)
        if decision["request_id"] is None:
            self.consequences[verdict, session_id, agent_id] += 1
        else:
            key = (decision["request_id"], agent_id)
            self.answers[key].append(verdict)
            self.sessions[key] = session_id
        change = change_by(name, decision)
        if change is not None:
            before = self.enrolments.get(change.enrolment_id)
            self.enrolments[change.enrolment_id] = change
            if verdict.state == "offered":
                self.offers["made"] += 1
            elif before is not None and before.verdict.state == "offered":
                ended = "accepted" if verdict.state == "enrolled" else verdict.state
                self.offers["declined" if decision.get("cause") == "declined" else ended] += 1

    def open_offers(self) -> int:
        return sum(last.verdict.state == "offered" for last in self.enrolments.values())


@dataclass(frozen=True)
class Databases:
    """The services' databases at the end of the day.

    `seats` has by state the (session_id, agent_id) of its enrolments. `parked` counts unreadable records.
    `unsent_mails` counts by state the mails that should have left. `superseded` counts by address the mails
    that were outdated when they became due.
    """

    seats: Mapping[str, Counter[tuple[str, str]]]
    decided: int
    changes: Sequence[EnrolmentChange]
    parked: int
    unsent_mails: Mapping[str, int]
    superseded: Counter[str]


async def read_databases(enrolment_url: str, notifier_url: str, request_ids: Iterable[str]) -> Databases:
    async with reading(enrolment_url) as enrolment, reading(notifier_url) as notifier:
        return await _read(enrolment, notifier, request_ids)


async def _read(
    enrolment: asyncpg.Connection, notifier: asyncpg.Connection, request_ids: Iterable[str]
) -> Databases:
    seats: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in await enrolment.fetch(
        "SELECT session_id::text, agent_id, state FROM enrolment "
        "WHERE state IN ('enrolled', 'offered', 'waitlisted')"
    ):
        seats[row["state"]][row["session_id"], row["agent_id"]] += 1
    # Decisions on one session are made under its lock, so the outbox has them in order.
    events = await enrolment.fetch("SELECT type, data FROM outbox WHERE topic = $1 ORDER BY id", DECISIONS)
    changes = [change_by(row["type"].split(".")[-2], json.loads(row["data"])) for row in events]
    unsent = await notifier.fetch(
        "SELECT state, count(*) FROM mail WHERE state NOT IN ('sent', 'superseded') "
        "AND NOT (state = 'pending' AND due_at > now()) GROUP BY state"
    )
    return Databases(
        seats=seats,
        decided=await enrolment.fetchval(
            "SELECT count(*) FROM request WHERE request_id = ANY($1::uuid[]) AND decided_at IS NOT NULL",
            list(request_ids),
        ),
        changes=[change for change in changes if change is not None],
        parked=await enrolment.fetchval(
            "SELECT count(*) FROM dead_letter WHERE state IN ('parked', 'rejected')"
        ),
        unsent_mails={row["state"]: row["count"] for row in unsent},
        superseded=Counter([row["address"] for row in await notifier.fetch(_SUPERSEDED)]),
    )


_SUPERSEDED = "SELECT address FROM mail WHERE state = 'superseded' AND due_at <= settled_at"


async def superseded_mails(notifier_url: str) -> Counter[str]:
    async with reading(notifier_url) as notifier:
        return Counter([row["address"] for row in await notifier.fetch(_SUPERSEDED)])


async def is_empty(enrolment_url: str) -> bool:
    async with reading(enrolment_url) as database:
        return not await database.fetchval("SELECT EXISTS (SELECT FROM request)")
