"""The checker of `make proof` on small worlds: each breaks one promise, and no other."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.letters.samples import samples
from tests.letters.showing import letter_of, renderer_of, show
from tests.proof.checker import LINES, PROMISES, BrokenPromise, broken_promises, figures
from tests.proof.evidence import (
    ABOUT_AGENTS,
    BESPOKE,
    DECISIONS,
    NOTICES,
    REQUESTS,
    SESSIONS,
    DeliveredLetter,
    Evidence,
    ProcessEnd,
    SessionCounts,
    StoredEnrolment,
    StoredEvent,
    StoredMail,
    StoredSession,
    StoredSubscription,
    TopicRecord,
)
from tests.proof.faults import KINDS, draw_faults
from tests.proof.history import FAILED, OK, UNKNOWN, ClientOperation, History, read_history
from tests.proof.plan import Act, draw_plan
from tests.proof.sink import delivered_letter, text_of
from tests.support.smtp import Taken

NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)
PORTAL, ISSUER, SESSION = "nord", "nord", "session-1"
TERMS = {"session_id": SESSION, "capacity": 1, "reserved_seats": [], "approval": "none"}


@dataclass
class SmallWorld:
    """A session with one seat. A decision is stored, published, heard, copied and written to the agent."""

    records: list[TopicRecord] = field(default_factory=list)
    events: list[StoredEvent] = field(default_factory=list)
    enrolments: dict[str, StoredEnrolment] = field(default_factory=dict)
    mails: list[StoredMail] = field(default_factory=list)
    letters: list[DeliveredLetter] = field(default_factory=list)
    operations: list[ClientOperation] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    cursors: "count[int]" = field(default_factory=lambda: count(1))

    def publish(
        self, topic: str, key: str, name: str, data: dict[str, Any], source: str = "/services/x"
    ) -> str:
        number = next(self.numbers)
        record_id = data.get("id") or f"{topic}-{number}"
        at = NOON + timedelta(seconds=number)
        self.records.append(TopicRecord(topic, 0, number, at, key, source, record_id, name, data))
        return record_id

    def say_session(self, version: int) -> None:
        data = TERMS | {"version": version}
        record_id = self.publish(SESSIONS, SESSION, "SessionChanged", data)
        self.events.append(
            StoredEvent("catalogue", version, SESSIONS, SESSION, record_id, "SessionChanged", data)
        )

    def ask(self, request_id: str, agent: str) -> None:
        data = {"session_id": SESSION, "agent_id": agent, "id": request_id}
        self.publish(REQUESTS, SESSION, "EnrolmentRequested", data, f"/portals/{PORTAL}")
        asked = {"source": f"/portals/{PORTAL}", "request_id": request_id}
        self.do("ask for a seat", **asked)

    def do(
        self, action: str, state: str = OK, client: str = PORTAL, result: Any = None, **asked: Any
    ) -> None:
        number = next(self.numbers)
        self.operations.append(ClientOperation(number, client, action, asked, state, NOON, result=result))

    def decide(
        self,
        name: str,
        agent: str,
        state: str,
        request_id: str | None = None,
        issuer: str = ISSUER,
        **more: Any,
    ) -> None:
        before = self.enrolments.get(agent)
        version = 1 if before is None else before.version + 1
        self.enrolments[agent] = StoredEnrolment(f"enrolment-{agent}", version, SESSION, agent, state)
        data = {
            "enrolment_id": f"enrolment-{agent}",
            "version": version,
            "session_id": SESSION,
            "session_version": 1,
            "agent": {"agent_id": agent, "issuer": issuer, "email": agent},
            "request_id": request_id,
            "request_source": f"/portals/{PORTAL}" if request_id else None,
        } | more
        event_id = self.publish(DECISIONS, agent, name, data)
        self.publish(f"portal.answers.{PORTAL}", agent, name, data | {"id": event_id})
        for topic, portal in ((DECISIONS, None), (f"portal.answers.{PORTAL}", PORTAL)):
            cursor = next(self.cursors) if portal else None
            number = len(self.events) + 1
            stored = StoredEvent("enrolment", number, topic, agent, event_id, name, data, portal, cursor)
            self.events.append(stored)
        if more.get("asked", "enrolment") == "enrolment":
            self.mails.append(StoredMail(event_id, "letter", agent, "sent", f"<{event_id}>"))
            self.letters.append(DeliveredLetter(f"<{event_id}>", {f"uid-{agent}": version}, agent))

    def evidence(self) -> Evidence:
        states = [enrolment.state for enrolment in self.enrolments.values()]
        counts = SessionCounts(SESSION, *map(states.count, ("enrolled", "offered", "waitlisted")))
        heard = [event.id for event in self.events if event.portal]
        self.do("publish session", client="organiser", session_id=SESSION, capacity=1)
        self.do("read answers", after=0, result={"ids": heard, "next": len(heard)})
        topics = {record.topic for record in self.records}
        return Evidence(
            operations=self.operations,
            records={topic: [each for each in self.records if each.topic == topic] for topic in topics},
            events=self.events,
            sessions=[StoredSession(SESSION, 1, "published")],
            enrolments=list(self.enrolments.values()),
            counters=[counts],
            occupancies=[counts],
            copies=[
                replace(enrolment, state=enrolment.state.replace("pending_selection", "pending"))
                for enrolment in self.enrolments.values()
            ],
            mails=self.mails,
            letters=self.letters,
            issuers={PORTAL: ISSUER},
        )


def a_world(next_in_line: str = "bea") -> SmallWorld:
    """Ada has the only seat and leaves it; Bea was in line before Cleo."""
    world = SmallWorld()
    world.say_session(1)
    world.say_session(2)
    for request, agent in (("r1", "ada"), ("r2", "bea"), ("r3", "cleo"), ("r4", "ada")):
        world.ask(request, agent)
    world.decide("AgentEnrolled", "ada", "enrolled", "r1")
    world.decide("AgentWaitlisted", "bea", "waitlisted", "r2")
    world.decide("AgentWaitlisted", "cleo", "waitlisted", "r3")
    world.decide("EnrolmentWithdrawn", "ada", "withdrawn", "r4")
    world.decide("AgentEnrolled", next_in_line, "enrolled")
    return world


def changed(place: str, number: int, **changes: Any) -> Callable[[Evidence], Evidence]:
    """Change an entry of the evidence. ``place``: a field, or a topic."""

    def change(evidence: Evidence) -> Evidence:
        entries = list(evidence.records[place] if place in evidence.records else getattr(evidence, place))
        entries[number] = replace(entries[number], **changes)
        return with_entries(evidence, place, entries)

    return change


def arranged(place: str, *order: int) -> Callable[[Evidence], Evidence]:
    """Put the entries in this order. An entry that is not named is lost, and one may come twice."""

    def arrange(evidence: Evidence) -> Evidence:
        entries = evidence.records[place] if place in evidence.records else getattr(evidence, place)
        return with_entries(evidence, place, [entries[number] for number in order])

    return arrange


def with_entries(evidence: Evidence, place: str, entries: list[Any]) -> Evidence:
    if place in evidence.records:
        return replace(evidence, records={**evidence.records, place: entries})
    changes: dict[str, Any] = {place: entries}
    return replace(evidence, **changes)


def each_of(*changes: Callable[[Evidence], Evidence]) -> Callable[[Evidence], Evidence]:
    def change(evidence: Evidence) -> Evidence:
        for each in changes:
            evidence = each(evidence)
        return evidence

    return change


def with_request(request_id: str, **answer: Any) -> Evidence:
    """A world in which Dora asked too, and was answered or not."""
    world = a_world()
    world.ask(request_id, "dora")
    if answer:
        world.decide("EnrolmentRefused", "dora", "refused", request_id, asked="enrolment", **answer)
    return world.evidence()


def with_group_that_waits() -> Evidence:
    """Bea and Cleo wait together for two seats, beside the only one."""
    world = SmallWorld()
    world.say_session(1)
    for agent in ("bea", "cleo"):
        world.ask(f"r-{agent}", agent)
        world.decide("AgentWaitlisted", agent, "waitlisted", f"r-{agent}", together=2)
    return world.evidence()


def with_second_answer() -> Evidence:
    world = a_world()
    world.decide("EnrolmentRefused", "bea", "enrolled", "r2", asked="approval", reason="not_enrolled")
    return world.evidence()


def with_operation(action: str, state: str = OK, result: Any = None, **asked: Any) -> Evidence:
    world = a_world()
    evidence = world.evidence()
    world.do(action, state, "somebody", result, session_id=SESSION, **asked)
    return evidence


def with_requests_by_http(*requests: str, again: str | None = None) -> Evidence:
    """A world in which r5 was accepted before r6 was sent. They are on the topic in this order.

    ``again`` was sent once more in the end.
    """
    world = a_world()
    for request_id in requests:
        world.ask(request_id, f"agent-{request_id}")
        number, sent_at = len(world.events) + 1, NOON + timedelta(minutes=int(request_id[1:]))
        world.events.append(
            StoredEvent("enrolment", number, REQUESTS, SESSION, request_id, "EnrolmentRequested", {})
        )
        world.operations[-1].invoked_at, world.operations[-1].ended_at = sent_at, sent_at
    for request_id in requests:
        refused = {"asked": "enrolment", "reason": "session_full"}
        world.decide("EnrolmentRefused", f"agent-{request_id}", "refused", request_id, **refused)
    if again is not None:
        world.do("ask for a seat", source=f"/portals/{PORTAL}", request_id=again)
        last = NOON + timedelta(minutes=30)
        world.operations[-1].invoked_at, world.operations[-1].ended_at = last, last
    return world.evidence()


def with_request_to_accept(topic: str, answers: int = 1) -> Evidence:
    """A world in which Dora's portal asked for something that no decision answers. It is done."""
    world = a_world()
    asked = {"id": "r5", "agent_id": "dora", "theme": "ia", "subscribed": True}
    world.publish(topic, "dora", "Asked", asked, f"/portals/{PORTAL}")
    for _ in range(answers):
        world.publish(ANSWERS_OF_PORTAL, "key", "RequestAccepted", {"request_id": "r5"})
    done = StoredSubscription(ISSUER, "dora", "theme:ia") if topic == ABOUT_AGENTS else "r5"
    place = {ABOUT_AGENTS: "subscriptions", BESPOKE: "bespoke"}[topic]
    return with_entries(world.evidence(), place, [done])


def with_erased_agent() -> Evidence:
    """A world in which Ada, who left the only seat, was erased. What was published and sent stays."""
    world = a_world()
    asked = {"id": "r5", "agent_id": "ada"}
    world.publish(ABOUT_AGENTS, "ada", "AgentErasureRequested", asked, f"/portals/{PORTAL}")
    world.publish(ANSWERS_OF_PORTAL, "key", "RequestAccepted", {"request_id": "r5"})
    world.do("withdraw by link", session_id=SESSION, agent_id="ada")
    del world.enrolments["ada"]
    world.mails = [mail for mail in world.mails if mail.recipient != "ada"]
    world.events = [replace(event, data={}) if event.key == "ada" else event for event in world.events]
    return world.evidence()


def with_message(*recipients: str, seconds: int = 70) -> Evidence:
    """A world in which the organiser wrote to Bea, who has the seat, so long after she got it."""
    world = a_world()
    message = {"id": "m1", "message_id": "m1", "session_id": SESSION}
    world.numbers = count(next(world.numbers) + seconds)
    world.publish(NOTICES, "m1", "ParticipantsMessaged", message)
    world.do("write to participants", result={"message_id": "m1"}, session_id=SESSION)
    for recipient in recipients:
        world.mails.append(StoredMail("m1", "organiser_message", recipient, "pending", None))
    return world.evidence()


def with_ranking(*, waits: str, seated: str) -> Evidence:
    """A world in which the organiser ranked Dora before Eve. One waits, the other has the seat.

    Fay asked later.
    """
    world = SmallWorld()
    world.say_session(1)
    for agent in ("dora", "eve", "fay"):
        world.ask(f"r-{agent}", agent)
        world.decide("EnrolmentPending", agent, "pending_selection", f"r-{agent}")
    world.do("select", client="organiser", session_id=SESSION, ranked=["dora", "eve"])
    world.decide("AgentEnrolled", seated, "enrolled")
    world.decide("AgentWaitlisted", waits, "waitlisted")
    return world.evidence()


def with_nomination(*, answered: bool = True) -> Evidence:
    """A world in which an authority names Dora as a trainee."""
    world = a_world()
    data = {"id": "r5", "session_id": SESSION, "agents": [{"agent_id": "dora"}]}
    world.publish(BESPOKE, "siret", "TraineesNominated", data, f"/portals/{PORTAL}")
    if answered:
        world.decide("EnrolmentRefused", "dora", "refused", "r5", asked="enrolment", reason="session_full")
    return world.evidence()


def with_rejections(records: int) -> Evidence:
    """A world in which a request came twice and was rejected, once for each of these records."""
    world = a_world()
    for _ in range(2):
        world.ask("r5", "dora")
    for record in [each for each in world.records if each.id == "r5"][:records]:
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        world.publish(ANSWERS_OF_PORTAL, "key", "RequestRejected", place | {"request_id": "r5"})
    return world.evidence()


def with_attendance(*marks: str, published: str, state: str = OK) -> Evidence:
    """A world in which the organiser noted Bea so, one after the other. The last was answered so."""
    world = a_world()
    for mark in marks:
        last = state if mark == marks[-1] else OK
        world.do("record attendance", last, session_id=SESSION, marks={"bea": mark})
    world.decide("AttendanceRecorded", "bea", "enrolled", attendance=published, asked="attendance")
    return world.evidence()


def with_bad_record(rejections: int) -> Evidence:
    """A world in which a portal sent a record that nobody can read."""
    world = a_world()
    place = {"topic": REQUESTS, "partition": 0, "offset": 70, "request_id": None}
    world.do("send bad record", result={"place": f"{REQUESTS}/0@70"}, source=f"/portals/{PORTAL}")
    world.do("send bad record", result={"place": f"{REQUESTS}/0@71"}, source="/portals/unknown")
    for _ in range(rejections):
        world.publish(ANSWERS_OF_PORTAL, "key", "RequestRejected", place)
    return world.evidence()


ANSWERS_OF_PORTAL = f"portal.answers.{PORTAL}"
TWO_ENROLLED = SessionCounts(SESSION, 2, 0, 1)
BROKEN: list[tuple[str, str, Evidence]] = [
    (
        "No decision gives a seat that the session does not have.",
        "the session had no seat",
        changed(SESSIONS, 0, data=TERMS | {"version": 1, "capacity": 0})(a_world().evidence()),
    ),
    ("A free seat goes to the first in line.", "the second got it", a_world("cleo").evidence()),
    (
        "Nobody waits beside a free seat.",
        "a second seat",
        each_of(
            changed("sessions", 0, capacity=2),
            changed("operations", 4, asked={"session_id": SESSION, "capacity": 2}),
        )(a_world().evidence()),
    ),
    (
        "The counters of a session are right.",
        "one too many",
        replace(a_world().evidence(), counters=[TWO_ENROLLED], occupancies=[TWO_ENROLLED]),
    ),
    ("Each request gets an answer.", "none", with_request("r5")),
    ("Each request gets an answer.", "a subscription", with_request_to_accept(ABOUT_AGENTS, answers=0)),
    ("Each request gets an answer.", "a trainee", with_nomination(answered=False)),
    ("Each request gets an answer.", "a bad record", with_bad_record(0)),
    ("No request gets a second answer.", "a bad record", with_bad_record(2)),
    ("No request gets a second answer.", "two", with_second_answer()),
    ("No request gets a second answer.", "a subscription", with_request_to_accept(ABOUT_AGENTS, answers=2)),
    (
        "A request for training is kept once.",
        "it is gone",
        arranged("bespoke")(with_request_to_accept(BESPOKE)),
    ),
    (
        "A request for training is kept once.",
        "it is there twice",
        arranged("bespoke", 0, 0)(with_request_to_accept(BESPOKE)),
    ),
    (
        "A process that gets SIGTERM ends without an error.",
        "it failed, and one still runs",
        replace(a_world().evidence(), ends=[ProcessEnd("notifier 1", 1), ProcessEnd("notifier 2", None)]),
    ),
    (
        "Nothing of an erased agent is left.",
        "a letter",
        replace(with_erased_agent(), remains=["notifier.mail knows an erased agent in 1 rows"]),
    ),
    (
        "A letter is handed over once.",
        "twice to an agent who is erased",
        arranged("letters", 0, 0, 1, 2, 3, 4)(with_erased_agent()),
    ),
    (
        "An agent follows what was received last.",
        "an erased one",
        replace(with_erased_agent(), subscriptions=[StoredSubscription(ISSUER, "ada", "theme:ia")]),
    ),
    (
        "An agent follows what was received last.",
        "nothing",
        arranged("subscriptions")(with_request_to_accept(ABOUT_AGENTS)),
    ),
    (
        "An agent follows what was received last.",
        "what nobody asked for",
        replace(a_world().evidence(), subscriptions=[StoredSubscription(ISSUER, "dora", "theme:ia")]),
    ),
    (
        "The requests for a session are judged in order of receipt.",
        "Cleo asked before Bea",
        arranged(REQUESTS, 0, 2, 1, 3)(a_world().evidence()),
    ),
    (
        "A request by HTTP comes after those that were accepted before it was sent.",
        "it comes first",
        with_requests_by_http("r6", "r5"),
    ),
    ("Slowness refuses no request.", "the session was there", with_request("r5", reason="unknown_session")),
    (
        "What a client was told is done.",
        "an accepted request is gone",
        with_operation("ask for a seat", source="/portals/nord", request_id="r9"),
    ),
    (
        "What a client was told is done.",
        "one of a bulk is gone",
        with_operation(
            "requests in bulk",
            source="/portals/nord",
            request_ids=["r1", "r8", "r9"],
            result={"unknown": ["r8"]},
        ),
    ),
    (
        "What a client was told is done.",
        "a private session is gone",
        with_operation("look at training", result={"session_id": "session-2"}),
    ),
    (
        "What a client was told is done.",
        "a withdrawal is gone",
        with_operation("withdraw by link", agent_id="bea"),
    ),
    ("What a client was told is done.", "a change is gone", with_operation("change capacity", capacity=3)),
    (
        "Each stored event is published.",
        "not on the topic",
        arranged(ANSWERS_OF_PORTAL, 0, 1, 2, 3)(a_world().evidence()),
    ),
    (
        "Each stored event is published.",
        "not sent",
        changed("events", 6, is_sent=False)(a_world().evidence()),
    ),
    (
        "The events of a key are published in order.",
        "the end before the beginning",
        arranged(DECISIONS, 3, 1, 2, 0, 4)(a_world().evidence()),
    ),
    (
        "A portal hears its answers in order, without gaps.",
        "a number is left out",
        changed("events", 11, cursor=6)(a_world().evidence()),
    ),
    (
        "A portal hears its answers in order, without gaps.",
        "not heard",
        changed("operations", 5, result={"ids": [], "next": 0})(a_world().evidence()),
    ),
    (
        "A portal hears its answers in order, without gaps.",
        "a decision is no answer",
        each_of(arranged("events", *range(11)), changed("operations", 5, result={"ids": [], "next": 0}))(
            a_world().evidence()
        ),
    ),
    (
        "Each decision has its letter.",
        "none",
        each_of(arranged("mails", 0, 1, 2, 3), arranged("letters", 0, 1, 2, 3))(a_world().evidence()),
    ),
    (
        "A decision has one letter at most.",
        "two",
        replace(
            a_world().evidence(),
            mails=[
                *a_world().evidence().mails,
                StoredMail(a_world().mails[0].event_id, "other", "ada", "pending", None),
            ],
        ),
    ),
    (
        "Recorded attendance is published.",
        "the first mark came last",
        with_attendance("absent", "attended", published="absent"),
    ),
    (
        "Recorded attendance is published.",
        "none",
        with_operation("record attendance", marks={"bea": "absent"}),
    ),
    ("A ranking is followed.", "the second has the seat", with_ranking(waits="dora", seated="eve")),
    ("Each participant gets an organiser's message.", "nobody", with_message()),
    ("An organiser's message is written once to each.", "twice", with_message("bea", "bea")),
    ("What a client was told is done.", "no message", arranged(NOTICES)(with_message("bea"))),
    (
        "A letter that counts as sent was handed over.",
        "it was not",
        arranged("letters", 0, 1, 2, 3)(a_world().evidence()),
    ),
    ("A letter is handed over once.", "twice", arranged("letters", 0, 1, 2, 2, 3, 4)(a_world().evidence())),
    (
        "A letter in doubt is shown.",
        "it is to be sent",
        changed("mails", 1, state="retry")(a_world().evidence()),
    ),
    (
        "A calendar entry never goes back.",
        "the end has a lower number",
        changed("letters", 3, calendar={"uid-ada": 0})(a_world().evidence()),
    ),
    (
        "Copies are like their source.",
        "the catalogue",
        changed("occupancies", 0, waiting=2)(a_world().evidence()),
    ),
    ("Copies are like their source.", "the notifier", changed("copies", 1, version=1)(a_world().evidence())),
    (
        "The last state on a topic is the newest.",
        "an old one came again",
        arranged(SESSIONS, 0, 1, 0)(a_world().evidence()),
    ),
]


def test_a_world_that_holds_breaks_no_promise() -> None:
    assert broken_promises(a_world().evidence()) == []


@pytest.mark.parametrize(
    ("name", "evidence"), [pytest.param(name, evidence, id=f"{name} {how}") for name, how, evidence in BROKEN]
)
def test_a_world_that_breaks_one_promise_breaks_no_other(name: str, evidence: Evidence) -> None:
    [broken] = broken_promises(evidence)
    assert broken.promise.name == name
    assert figures([broken])[broken.promise.figure] == len(broken.breaks)


def test_each_promise_is_broken_by_a_world() -> None:
    assert {promise.name for promise in PROMISES} == {name for name, _, _ in BROKEN}


@pytest.mark.parametrize(
    ("evidence"),
    [
        pytest.param(with_operation("change capacity", UNKNOWN, capacity=3), id="a change without an answer"),
        pytest.param(with_requests_by_http("r5", "r6"), id="requests by HTTP in order"),
        pytest.param(with_requests_by_http("r5", "r6", again="r5"), id="a request keeps its place"),
        pytest.param(with_request_to_accept(ABOUT_AGENTS), id="a subscription"),
        pytest.param(with_request_to_accept(BESPOKE), id="a request for training"),
        pytest.param(with_erased_agent(), id="an erasure"),
        pytest.param(with_message("bea"), id="a message"),
        pytest.param(with_ranking(waits="eve", seated="dora"), id="a ranking"),
        pytest.param(with_message(seconds=10), id="a message to an agent who just got the seat"),
        pytest.param(
            replace(a_world().evidence(), ends=[ProcessEnd("notifier 1", 0), ProcessEnd("notifier 2", -9)]),
            id="a process that ends, and one that is killed meanwhile",
        ),
        pytest.param(with_rejections(2), id="each record is rejected"),
        pytest.param(with_nomination(), id="a nomination"),
        pytest.param(with_bad_record(1), id="a bad record is rejected"),
        pytest.param(
            changed("enrolments", 1, version=9, state="absent")(a_world().evidence()),
            id="attendance is not copied",
        ),
        pytest.param(with_attendance("absent", "attended", published="attended"), id="a corrected mark"),
        pytest.param(
            with_attendance("absent", "attended", published="absent", state=UNKNOWN),
            id="a mark without an answer",
        ),
        pytest.param(with_group_that_waits(), id="a group waits for more seats than are free"),
        pytest.param(with_operation("change capacity", FAILED, capacity=3), id="a refused change"),
        pytest.param(
            with_operation(
                "requests in bulk", source="/portals/nord", request_ids=["r9"], result={"unknown": ["r9"]}
            ),
            id="one of a bulk may be lost",
        ),
        pytest.param(
            changed("mails", 1, state="ambiguous")(a_world().evidence()), id="a letter in doubt that is shown"
        ),
        pytest.param(
            arranged(DECISIONS, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4)(a_world().evidence()),
            id="all is published twice",
        ),
        pytest.param(
            each_of(arranged("letters", 0, 0, 1, 2, 3, 4), changed("mails", 0, decisions=1))(
                a_world().evidence()
            ),
            id="a person sent a letter again",
        ),
    ],
)
def test_what_may_happen_breaks_no_promise(evidence: Evidence) -> None:
    assert broken_promises(evidence) == []


def test_only_an_organiser_gives_a_seat_too_many() -> None:
    by_hand, by_rule = a_world(), a_world()
    by_hand.decide("AgentEnrolled", "dora", "enrolled", issuer="cnfpt")
    by_rule.decide("AgentEnrolled", "dora", "enrolled")
    assert broken_promises(by_hand.evidence()) == []
    assert [broken.promise.figure for broken in broken_promises(by_rule.evidence())] == ["overbooked"]


def test_a_broken_promise_is_printed_in_ten_lines() -> None:
    promise = PROMISES[0]
    assert str(BrokenPromise(promise, [["first", "second"]])).splitlines() == [
        f"Broken 1 times: {promise.name}",
        "  first",
        "  second",
    ]
    printed = str(BrokenPromise(promise, [range(30)])).splitlines()
    assert len(printed) == LINES
    assert printed[-1] == "  and 22 more"


def test_a_seed_draws_the_same_plan_and_faults_again() -> None:
    plan = draw_plan(7, 600, 1_200)
    assert plan == draw_plan(7, 600, 1_200)
    assert plan != draw_plan(8, 600, 1_200)
    assert sum(len(step.agents) for step in plan.steps if step.act is Act.BULK) == 1_200
    assert {step.act for step in plan.steps} >= set(Act) - {Act.CANCEL}
    assert {session.approval for session in plan.sessions} == {"none", "employer", "selection"}
    assert draw_faults(7, 40) == draw_faults(7, 40)
    assert {(fault.kind, fault.part) for fault in draw_faults(7, len(KINDS))} == set(KINDS)


@pytest.mark.parametrize("name", ["place-attribuee-convocation", "annulation", "refus-session-full"])
def test_the_mail_sink_reads_a_letter_as_the_library_does(name: str) -> None:
    sample = next(sample for sample in samples() if sample.name == name)
    content = renderer_of(sample).render(*letter_of(sample)).content
    mail = Taken("", "zoe@example.org", content, 1)
    calendars = "".join(show(sample).calendars)
    letter = delivered_letter(mail)
    assert letter.message_id == mail.message["Message-ID"]
    assert sorted(map(str, letter.calendar.values())) == re.findall(r"SEQUENCE:(\d+)", calendars)
    assert text_of(content).replace("\r\n", "\n") == show(sample).text


def test_a_history_keeps_what_a_client_did_and_was_told(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    with history.operation("nord", "ask", request_id="r1") as asking:
        asking.result = 202
    with history.operation("nord", "ask", request_id="r2") as asking:
        asking.state = FAILED
    with pytest.raises(ConnectionError), history.operation("nord", "ask", request_id="r3"):
        raise ConnectionError
    history.close()
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    (tmp_path / "killed.jsonl").write_text("\n".join(lines[:-1]))
    for file in ("history.jsonl", "killed.jsonl"):
        read = read_history(tmp_path / file)
        assert [(each.asked["request_id"], each.state, each.result) for each in read] == [
            ("r1", OK, 202),
            ("r2", FAILED, None),
            ("r3", UNKNOWN, None),
        ]
    assert json.loads(lines[0])["client"] == "nord"
