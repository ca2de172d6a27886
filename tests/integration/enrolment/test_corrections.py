"""A portal corrects an agent's address or names: every enrolment says it, with a history."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.explanations import lines_of
from services.enrolment.handlers import router
from services.enrolment.personal_data import UNUSED_CORRECTIONS
from services.enrolment.rules.links import LinkState
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest, SeatRequest, Swap
from services.enrolment.service import corrections, links, requests
from services.enrolment.service.explain import explain
from services.enrolment.service.links import AgentLink
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.portal import AgentCorrected, EnrolmentRequested
from shared.personal_data import end_rows
from shared.read_log import Reading
from tests.conftest import Eventually
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import an_agent, open_now
from tests.support.consuming import received, take

AGENT = an_agent("IEL-1", email="faute@exemple.fr", issuer="iel")
CORRECTED = "fr.cnfpt.enrolment.AgentDetailsCorrected.v1"


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


async def correct(
    database: Database, issuer: str = "iel", source: str = "/portals/iel", **changes: Any
) -> None:
    event = AgentCorrected.model_validate({"agent_id": "IEL-1", "issuer": issuer, **changes})
    corrected = replace(received(event, issuer=issuer), source=source)
    await take(router, database, [corrected], policy=Policy())


async def test_every_enrolment_of_the_agent_is_corrected_and_the_correction_kept(
    database: Database, front: Front, rows: SelectRows
) -> None:
    sessions = open_now(), open_now()
    other = an_agent("IEL-1", issuer="ouest", email="autre@exemple.fr")
    await front.publish(*sessions)
    for session in sessions:
        await front.enrol(session, AGENT)
    await front.enrol(sessions[0], other)

    await correct(database, email="zoe@exemple.fr", family_name="Durand-Martin")

    for session in sessions:
        agent = (await front.of(session, AGENT)).agent
        assert (agent["email"], agent["given_name"], agent["family_name"]) == (
            "zoe@exemple.fr",
            "Zoé",
            "Durand-Martin",
        )
    assert (await front.of(sessions[0], other)).agent["email"] == "autre@exemple.fr"
    [kept] = await rows("SELECT * FROM correction")
    assert kept.before == [{"email": "faute@exemple.fr", "family_name": "Durand"}]
    assert kept.after == {"email": "zoe@exemple.fr", "family_name": "Durand-Martin"}
    assert kept.request_source == "/portals/iel"


async def test_it_is_published_once_after_the_decisions_of_before(
    database: Database, front: Front, rows: SelectRows
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, AGENT)
    await correct(database, email="zoe@exemple.fr")
    await correct(database, email="zoe@exemple.fr")  # says nothing new
    await front.withdraw(session, AGENT)
    published = await rows("SELECT type, data FROM outbox WHERE topic = 'enrolment.decisions' ORDER BY id")
    assert [row.type.split(".")[3] for row in published] == [
        "AgentEnrolled",
        "AgentDetailsCorrected",
        "EnrolmentWithdrawn",
    ]
    emails = [
        data.get("email") or data["agent"]["email"] for data in (json.loads(row.data) for row in published)
    ]
    assert emails == ["faute@exemple.fr", "zoe@exemple.fr", "zoe@exemple.fr"]


async def test_a_bad_address_is_tried_again(database: Database, front: Front, rows: SelectRows) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, AGENT)
    await rows("INSERT INTO bad_address VALUES ('iel', 'IEL-1', now()) RETURNING 1")
    await correct(database, email="zoe@exemple.fr")
    assert await rows("SELECT 1 FROM bad_address") == []


@pytest.mark.parametrize("issuer", ["iel", "ouest"])
async def test_of_somebody_who_is_in_no_session_nothing_is_published(
    database: Database, front: Front, rows: SelectRows, issuer: str
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, an_agent(f"other-{uuid4()}", issuer="iel"))
    await correct(database, issuer, email="zoe@exemple.fr")
    assert await rows("SELECT 1 FROM outbox WHERE type = :type", type=CORRECTED) == []


async def test_a_correction_of_nobody_ends_when_no_request_can_wait_for_it_any_more(
    database: Database, front: Front, rows: SelectRows
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, AGENT)
    await correct(database, email="zoe@exemple.fr")
    await correct(database, "ouest", email="autre@exemple.fr")
    async with database.transaction() as tx:
        assert await end_rows(tx, UNUSED_CORRECTIONS, 90, clock.now() + timedelta(days=89)) == 0
        assert await end_rows(tx, UNUSED_CORRECTIONS, 90, clock.now() + timedelta(days=91)) == 1
    assert [row.issuer for row in await rows("SELECT issuer FROM correction")] == ["iel"]


RIGHT = {"email": "zoe@exemple.fr", "family_name": "Durand-Martin"}


async def enrolled_as(rows: SelectRows) -> list[tuple[str, str, str]]:
    found = await rows(
        "SELECT state, agent->>'email' AS email, agent->>'family_name' AS name FROM enrolment ORDER BY issuer"
    )
    return [(row.state, row.email, row.name) for row in found]


@pytest.mark.parametrize("group", [False, True])
async def test_a_request_that_waits_for_its_session_is_decided_as_corrected_meanwhile(
    database: Database, front: Front, rows: SelectRows, group: bool
) -> None:
    session, namesake = open_now(), an_agent("IEL-1", issuer="ouest", email="autre@exemple.fr")
    asked = uuid4(), clock.now(), session.session_id
    if group:
        await front.answer(GroupRequest(*asked, (AGENT,), all_or_nothing=True))
    else:
        await front.answer(SeatRequest(*asked, AGENT, approved=False))
    await front.enrol(session, namesake)
    await correct(database, email="zoe@exempel.fr")
    await correct(database, **RIGHT)

    await front.publish(session)
    async with database.transaction() as tx:
        await requests.process_waiting(tx, Policy(), clock.now())

    assert await enrolled_as(rows) == [
        ("enrolled", "zoe@exemple.fr", "Durand-Martin"),
        ("enrolled", "autre@exemple.fr", "Durand"),
    ]
    [decided] = await rows(
        "SELECT data FROM outbox WHERE type LIKE '%AgentEnrolled%' AND key LIKE '%IEL-1' LIMIT 1"
    )
    assert json.loads(decided.data)["agent"]["email"] == "zoe@exemple.fr"


async def test_a_request_whose_session_never_comes_is_refused_as_corrected_meanwhile(
    database: Database, front: Front, rows: SelectRows
) -> None:
    await front.enrol(open_now(), AGENT)
    await correct(database, **RIGHT)
    async with database.transaction() as tx:
        await requests.refuse_unknown(tx, clock.now() + timedelta(hours=1), clock.now())
    assert await enrolled_as(rows) == [("refused", "zoe@exemple.fr", "Durand-Martin")]


@pytest.mark.parametrize(
    ("after", "email"),
    [(timedelta(minutes=-1), "zoe@exemple.fr"), (timedelta(minutes=1), "faute@exemple.fr")],
)
async def test_a_request_is_decided_as_corrected_by_what_came_after_it_such_as_one_that_is_redriven(
    database: Database, front: Front, rows: SelectRows, after: timedelta, email: str
) -> None:
    """What a portal says later is its newest word."""
    session = open_now()
    await front.publish(session)
    await correct(database, **RIGHT)
    event = EnrolmentRequested(session_id=session.session_id, agent=AGENT)
    request = received(event, received_at=clock.now() + after, issuer="iel")
    await take(router, database, [request], policy=Policy())
    assert [row[1] for row in await enrolled_as(rows)] == [email]


async def an_hour_ago(rows: SelectRows) -> None:
    """Let all requests of before be an hour old."""
    await rows("UPDATE enrolment SET received_at = received_at - interval '1 hour' RETURNING 1")


async def correct_late(database: Database, **changes: Any) -> None:
    """Correct the agent as asked half an hour ago, such as by what was parked and is redriven."""
    event = AgentCorrected.model_validate({"agent_id": "IEL-1", **changes})
    request = received(event, received_at=clock.now() - timedelta(minutes=30), issuer="iel")
    await take(router, database, [request], policy=Policy())


async def addresses(rows: SelectRows) -> list[str]:
    return [row[1] for row in await enrolled_as(rows)]


STALE = AGENT.model_copy(update={"email": "stale@exemple.fr"})


async def in_the_first_of_two(front: Front, rows: SelectRows) -> tuple[SessionState, SessionState]:
    """Two sessions of an offer; the agent has been in the first for an hour."""
    first = open_now()
    second = open_now(offer_id=first.offer_id)
    await front.publish(first, second)
    await front.enrol(first, AGENT)
    await an_hour_ago(rows)
    return first, second


async def test_one_that_is_read_after_a_newer_request_gives_all_enrolments_what_that_says(
    database: Database, front: Front, rows: SelectRows
) -> None:
    """The newest word is what the request says; all services hear the same."""
    _, second = await in_the_first_of_two(front, rows)
    await front.enrol(second, AGENT.model_copy(update={"email": "newest@exemple.fr"}))
    await correct_late(database, email="zoe@exemple.fr", given_name="Zoey")
    assert await addresses(rows) == ["newest@exemple.fr"] * 2
    [published] = await rows(f"SELECT data FROM outbox WHERE type = '{CORRECTED}'")
    data = json.loads(published.data)
    assert (data["email"], data.get("given_name")) == ("newest@exemple.fr", "Zoé")


async def test_a_refused_request_says_nothing_of_how_an_agent_is_written_to(
    database: Database, front: Front, rows: SelectRows
) -> None:
    first, _ = await in_the_first_of_two(front, rows)
    await front.enrol(first, STALE)  # is there already
    await correct_late(database, email="zoe@exemple.fr")
    assert ("enrolled", "zoe@exemple.fr", "Durand") in await enrolled_as(rows)


@pytest.mark.parametrize("asked", ["for a group", "to move"])
async def test_who_asks_for_several_or_moves_says_less_of_each_than_a_correction(
    database: Database, front: Front, rows: SelectRows, asked: str
) -> None:
    first, second = await in_the_first_of_two(front, rows)
    if asked == "to move":
        await front.answer(Swap(uuid4(), clock.now(), first.session_id, AGENT.key, second.session_id))
    else:
        group = uuid4(), clock.now(), second.session_id, (STALE,)
        await front.answer(GroupRequest(*group, all_or_nothing=True))
    await correct_late(database, email="zoe@exemple.fr")
    assert await addresses(rows) == ["zoe@exemple.fr"] * 2


async def test_one_that_is_read_after_a_newer_one_changes_only_what_that_does_not_say(
    database: Database, front: Front, rows: SelectRows
) -> None:
    """As when it was parked and is redriven: the newest word of a portal is what it said last."""
    session = open_now()
    await front.publish(session)
    await front.enrol(session, AGENT)
    await an_hour_ago(rows)
    await correct(database, email="zoe@exemple.fr")
    for older, changes in (
        (30, {"email": "typo@exemple.fr", "given_name": "Zoey"}),
        (20, {"email": "a@exemple.fr"}),
    ):
        event = AgentCorrected.model_validate({"agent_id": "IEL-1", **changes})
        request = received(event, received_at=clock.now() - timedelta(minutes=older), issuer="iel")
        await take(router, database, [request], policy=Policy())

    agent = (await front.of(session, AGENT)).agent
    assert (agent["email"], agent["given_name"]) == ("zoe@exemple.fr", "Zoey")
    published = await rows(f"SELECT data FROM outbox WHERE type = '{CORRECTED}' ORDER BY id")
    stated = [
        (data.get("email"), data.get("given_name")) for data in (json.loads(row.data) for row in published)
    ]
    assert stated == [("zoe@exemple.fr", None), (None, "Zoey")]
    assert len(await rows("SELECT 1 FROM correction")) == 3


async def test_a_correction_of_nothing_changes_nothing(
    database: Database, front: Front, rows: SelectRows
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, AGENT)
    await correct(database)
    assert await rows("SELECT 1 FROM correction") == []


async def test_a_batch_locks_the_sessions_of_all_corrections_in_the_order_of_decisions(
    database: Database, front: Front, eventually: Eventually
) -> None:
    first, second = sorted((open_now(), open_now()), key=lambda session: session.session_id)
    await front.publish(first, second)
    await front.enrol(first, an_agent("IEL-1", issuer="iel"))
    await front.enrol(second, an_agent("IEL-2", issuer="iel"))
    corrections = [
        received(AgentCorrected(agent_id=agent_id, family_name="Martin"), issuer="iel")
        for agent_id in ("IEL-2", "IEL-1")
    ]
    lock = text("SELECT FROM session WHERE session_id = :id FOR UPDATE NOWAIT")

    async def waits() -> bool:
        async with database.quiet_transaction() as other:
            return bool(await other.scalar(_WAITS))

    async with asyncio.TaskGroup() as tasks, database.transaction() as tx:
        await tx.execute(lock, {"id": first.session_id})
        tasks.create_task(take(router, database, corrections, policy=Policy()))
        await eventually(waits, "the batch waits for the first session")
        await tx.execute(lock, {"id": second.session_id})


_WAITS = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock')"
)


async def acted(
    database: Database, front: Front, session: SessionState, act: str, now: datetime
) -> LinkState:
    """Use a link of the agent's letters."""
    enrolment = await front.of(session, AGENT)
    link = AgentLink(enrolment.enrolment_id, lambda _address: True)
    async with database.transaction() as tx:
        if act == "withdraw":
            state, _ = await links.withdraw(tx, link, Policy(), now)
        elif act == "move":
            there = session.model_copy(update={"session_id": uuid4()})
            await front.publish(there)
            state, _ = await links.move_to(tx, link, there.session_id, (), policy=Policy(), now=now)
        else:
            version, accepted = enrolment.version, act == "accept"
            state, _ = await links.reply_to_offer(
                tx, link, version, accepted=accepted, policy=Policy(), now=now
            )
    return state


async def facts_of(rows: SelectRows) -> dict[str, Any]:
    [change] = await rows(
        "SELECT facts FROM enrolment_change WHERE agent_id = 'IEL-1' ORDER BY version DESC LIMIT 1"
    )
    return {name: value for name, value in change.facts.items() if name.startswith("address")}


@pytest.mark.parametrize(
    ("act", "state"),
    [
        ("withdraw", LinkState.WITHDRAWN),
        ("move", LinkState.MOVED),
        ("accept", LinkState.SEAT_TAKEN),
        ("decline", LinkState.SEAT_LEFT),
    ],
)
async def test_what_a_link_does_is_kept_with_who_of_support_corrected_its_address(
    database: Database, front: Front, rows: SelectRows, act: str, state: LinkState
) -> None:
    offers = {"capacity": 1, "waiting_list": "offer"} if act in ("accept", "decline") else {}
    session, other = open_now(**offers), an_agent("B-1", issuer="iel")
    await front.publish(session)
    if offers:
        await front.enrol(session, other)
    await front.enrol(session, AGENT)
    if offers:
        await front.withdraw(session, other)
    await correct(database, source="/services/notifier", email="mine@exemple.fr")
    [correction] = await rows("SELECT request_id, received_at FROM correction")

    assert await acted(database, front, session, act, clock.now()) is state

    assert await facts_of(rows) == {
        "address_corrected_by": "support",
        "address_corrected_at": correction.received_at.isoformat(),
        "address_corrected_request": str(correction.request_id),
    }
    async with database.transaction() as tx:
        enrolment = await front.of(session, AGENT)
        explained = await explain(tx, str(enrolment.enrolment_id), Reading.by_command("x"))
    assert "address corrected by support" in "\n".join(lines_of(explained[0]))


@pytest.mark.parametrize(
    ("source", "days", "email", "is_kept"),
    [
        ("/services/notifier", 29, "mine@exemple.fr", True),
        ("/services/notifier", 31, "mine@exemple.fr", False),
        ("/services/notifier", 1, None, False),
        ("/portals/iel", 1, "mine@exemple.fr", False),
    ],
)
async def test_only_an_address_that_staff_corrected_in_the_last_month_is_told_beside_an_act(
    database: Database,
    front: Front,
    rows: SelectRows,
    *,
    source: str,
    days: int,
    email: str | None,
    is_kept: bool,
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, AGENT)
    await correct(database, source=source, email=email, family_name="Martin")
    await rows(
        "UPDATE correction SET received_at = now() - make_interval(days => :days) RETURNING 1", days=days
    )
    await acted(database, front, session, "withdraw", clock.now())
    assert bool(await facts_of(rows)) is is_kept


async def test_the_agents_own_correction_after_that_of_staff_hides_nothing(
    database: Database, front: Front, rows: SelectRows
) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, AGENT)
    await correct(database, source="/services/notifier", email="mine@exemple.fr")
    async with database.transaction() as tx:
        await corrections.lock_sessions_of(tx, AGENT.key)
        await corrections.correct_by_agent(tx, AGENT.key, {"email": "also.mine@exemple.fr"}, clock.now())
    await acted(database, front, session, "withdraw", clock.now())
    assert (await facts_of(rows))["address_corrected_by"] == "support"
