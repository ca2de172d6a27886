"""Whatever a service keeps of people stands in its register, and ends by its rules."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.catalogue import handlers as catalogue
from services.enrolment import handlers as enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.service import session_changes
from shared import clock
from shared.events.notifier import BounceKind, EmailBounced
from shared.events.portal import (
    AgentCorrected,
    AgentErasureRequested,
    ApprovalDecided,
    BespokeTrainingRequested,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    QuestionAnswer,
    WithdrawalRequested,
)
from shared.events.vocabulary import Agent, Contact, Format
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.messaging.giving_up import end_undecided
from shared.observability import configure_logging
from shared.process import Process
from shared.process.jobs import end_old_rows
from tests.integration.catalogue.conftest import BESPOKE_OFFER, BRETAGNE, an_offer, asking, drafted
from tests.integration.enrolment.conftest import Front
from tests.integration.notifier.conftest import Notifier, relay
from tests.integration.notifier.marked import live_through_everything
from tests.integration.notifier.subscribing import a_replay
from tests.integration.services.composed import definition_of
from tests.support.builders import a_question, an_agent, open_now
from tests.support.consuming import a_record, received, take
from tests.support.logs import lines_of, logging_as_before
from tests.support.searching import MARK, columns_with, registered
from tests.support.smtp import ScriptedRelay

__all__ = ["relay"]

SOMEBODY = {"name": MARK, "email": f"{MARK}@exemple.fr"}


async def live_in_the_catalogue(process: Process, _relay: ScriptedRelay, tokens_file: Path) -> None:
    requested = BespokeTrainingRequested(
        siret="21350238800019",
        authority="Ville de Rennes",
        delegation="bretagne",
        requested_by=Contact.model_validate(SOMEBODY),
        theme="enjeux-ia",
        trainees=15,
        message=MARK,
    )
    record = received(requested)
    await take(catalogue.router, process.database, [record])
    offer_id = await an_offer(process.database, BESPOKE_OFFER, kind=Format.BESPOKE, capacity=20, minimum=12)
    async with asking(process.database, tokens_file) as ask:
        path = f"/bespoke-requests/{record.id}/answers"
        declined = {"answer": "declined", "message": MARK, "advisor": SOMEBODY}
        assert (await ask("POST", path, by=BRETAGNE, **declined)).is_success
        await drafted(ask, offer_id, experts=[MARK], summary=MARK, trainers=[SOMEBODY])
        replay = {"title": "Le replay", "url": "https://videos.example.org/1", "summary": f"Avec {MARK}."}
        assert (await ask("POST", "/replays", by=BRETAGNE, **replay)).is_success
    async with process.database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(requested), None, "no reason", MARK)])


def the_agent(number: int) -> Agent:
    name = f"{MARK}-{number}"
    employer = {"siret": "21350238800019", "name": MARK, "delegation": "bretagne"}
    return an_agent(
        name, email=f"{name}@exemple.fr", given_name=name, family_name=name, employer=employer, issuer="iel"
    )


async def live_in_enrolment(process: Process, _relay: ScriptedRelay, _tokens_file: Path) -> None:
    database = process.database
    seats, approved = open_now(capacity=1), open_now(approval="employer")
    asking_it = open_now(questions=[a_question(kind="text")])
    await Front(database).publish(seats, approved, asking_it)
    first, second, third = (the_agent(number) for number in range(3))
    requests = (
        EnrolmentRequested(session_id=seats.session_id, agent=first),
        GroupEnrolmentRequested(
            session_id=seats.session_id, agents=(second, third), requested_by=Contact.model_validate(SOMEBODY)
        ),
        WithdrawalRequested(session_id=seats.session_id, agent_id=first.agent_id, reason=MARK),
        EnrolmentRequested(session_id=approved.session_id, agent=first),
        ApprovalDecided(
            session_id=approved.session_id, agent_id=first.agent_id, granted=False, decided_by=MARK
        ),
        EnrolmentRequested(session_id=uuid4(), agent=first),
        EnrolmentRequested(
            session_id=asking_it.session_id,
            agent=first,
            answers=(QuestionAnswer(question_id="repas", value=MARK),),
        ),
    )
    of_portal = [received(request, issuer="iel") for request in requests]
    await take(enrolment.router, database, of_portal, policy=Policy())
    correction = AgentCorrected(agent_id=second.agent_id, family_name=f"{MARK}-Martin")
    await take(enrolment.router, database, [received(correction, issuer="iel")], policy=Policy())
    bounce = EmailBounced(
        mail_id=uuid4(),
        agent_id=first.agent_id,
        issuer="iel",
        template="enrolment-confirmed",
        cause_id=uuid4(),
        enrolment_id=uuid4(),
        message_id="<1@parcours.example>",
        kind=BounceKind.HARD,
        bounced_at=clock.now(),
        suppressed=True,
    )
    await take(enrolment.router, database, [received(bounce)])
    await Front(database).publish(seats.model_copy(update={"version": 2, "venue": "Brest, 1 quai du Test"}))
    async with database.transaction() as tx:
        assert await session_changes.next_slice(tx, most=1)
        await dead_letters.park(tx, [Parked(a_record(requests[0]), None, "no reason", MARK)])


async def live_in_the_notifier(process: Process, relay: ScriptedRelay, _tokens_file: Path) -> None:
    notifier = Notifier(process.database, relay)
    await live_through_everything(notifier)
    await notifier.hear(a_replay(session_id=uuid4(), published_at=clock.now(), summary=f"Avec {MARK}."))


@dataclass(frozen=True)
class Life:
    """A person who leaves a mark in every way that people come into a service.

    ``tables`` have the mark then; ``said`` is how lines of the log begin and end. ``settled`` ends what is on
    its way; ``over`` are the tables whose time is over at once, ``stay`` those that stay after ``days``.
    """

    live: Callable[[Process, ScriptedRelay, Path], Awaitable[None]]
    tables: set[str]
    said: tuple[str, str]
    settled: str
    days: str
    stay: set[str]
    over: frozenset[str] = frozenset()


LIVES = {
    "catalogue": Life(
        live_in_the_catalogue,
        {"audit_log", "bespoke_request", "dead_letter", "outbox", "resource", "session", "trainer"},
        ("portal.bespoke: a batch of 1 in ", "BespokeTrainingRequested.v1"),
        "UPDATE outbox SET sent_at = now()",
        "catalogue_bespoke_kept_days",
        # Who is announced as an expert is named until the organiser says otherwise.
        {"audit_log", "resource", "session"},
    ),
    "enrolment": Life(
        live_in_enrolment,
        {
            *("bad_address", "correction", "dead_letter", "enrolment", "enrolment_change", "outbox"),
            *("question_answer", "request", "session_change"),
        },
        ("portal.enrolments: a batch of 7 in ", "GroupEnrolmentRequested.v1"),
        "UPDATE request SET decided_at = coalesce(decided_at, now())",
        "enrolment_attendance_kept_days",
        {"session_change"},  # which is half done, and ends with its last slice
    ),
    "notifier": Life(
        live_in_the_notifier,
        {
            *("agent_detail", "dead_letter", "enrolment", "fan_out", "mail", "news", "outbox", "subscriber"),
            *("subscription_request", "timeline", "trainer"),
        },
        ("enrolment-confirmed, attempt 1: failed", "AgentEnrolled.v1"),
        "UPDATE mail SET state = 'sent', settled_at = now() WHERE settled_at IS NULL",
        "notifier_addresses_kept_days",
        {"news", "subscriber"},  # which subscribers want
        frozenset(("enrolment", "trainer")),
    ),
}


@pytest.fixture
def life(process: Process) -> Life:
    return LIVES[process.name]


@pytest.fixture
async def lived(process: Process, life: Life, relay: ScriptedRelay, tokens_file: Path) -> Process:
    """A service that somebody has left a mark in."""
    await life.live(process, relay, tokens_file)
    return process


async def marked(process: Process) -> set[tuple[str, str]]:
    return await columns_with(process.database, definition_of(process.name).metadata())


def tables_of(columns: set[tuple[str, str]]) -> set[str]:
    return {table for table, _ in columns}


async def test_whatever_is_kept_of_people_stands_in_the_register(lived: Process, life: Life) -> None:
    erasure = AgentErasureRequested(agent_id=MARK, requested_at=clock.now())
    await take(lived.router, lived.database, [received(erasure, issuer="iel")], policy=Policy())

    found = await marked(lived)

    assert found - registered(lived.register) == set()
    assert tables_of(found) == life.tables | {"erasure"}


async def test_at_debug_the_log_tells_of_each_event_and_batch_and_names_nobody(
    process: Process,
    life: Life,
    relay: ScriptedRelay,
    tokens_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logging_as_before():
        configure_logging("json", "DEBUG", process.name)
        await life.live(process, relay, tokens_file)

    lines = lines_of(capsys)
    assert MARK.lower() not in str(lines).lower()
    said = [line["message"] for line in lines]
    begins, ends = life.said
    assert [text for text in said if text.startswith(begins)]
    assert [text for text in said if text.endswith(ends)]


async def test_nothing_ends_before_its_time_and_nothing_is_left_when_every_rule_has_ended_it(
    lived: Process, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lived.database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now()"))
        await tx.execute(text(life.settled))
    before = await marked(lived)
    await end_old_rows(lived.database, lived.register, lived.settings)
    assert tables_of(before) - tables_of(await marked(lived)) == life.over

    # The database looks at its own clock, which no test moves, and keeps the log of reads.
    settings = lived.settings.model_copy(update={"read_log_kept_days": 10_000})
    later = clock.now() + timedelta(days=getattr(settings, life.days) + 400)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    assert await end_undecided(lived.database, lived.router, settings.dead_letters_kept_days) is not None
    await end_old_rows(lived.database, lived.register, settings)

    assert tables_of(await marked(lived)) == life.stay
