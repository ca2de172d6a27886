"""A portal corrects an agent's address or names: every enrolment says it, with a history."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.explanations import lines_of
from services.enrolment.handlers import router
from services.enrolment.personal_data import UNUSED_CORRECTIONS
from services.enrolment.rules.links import LinkState
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest, Request, SeatRequest, Swap
from services.enrolment.service import corrections, links, requests
from services.enrolment.service.explain import explain
from services.enrolment.service.links import AgentLink, CorrectionLink
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.portal import AgentCorrected, EnrolmentRequested
from shared.personal_data import end_rows
from shared.read_log import Reading
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.support.builders import an_agent, open_now
from tests.support.consuming import received, take
from tests.support.locks import locks_awaited

AGENT = an_agent("IEL-1", email="faute@exemple.fr", issuer="iel")
NAMESAKE = an_agent("IEL-1", email="autre@exemple.fr", issuer="ouest")
STALE = AGENT.model_copy(update={"email": "stale@exemple.fr"})
RIGHT: dict[str, Any] = {"email": "zoe@exemple.fr", "family_name": "Durand-Martin"}
HOUR = timedelta(hours=1)
BY_SUPPORT = "/services/notifier"
DONE = {LinkState.WITHDRAWN, LinkState.MOVED, LinkState.SEAT_TAKEN}
DECISIONS = (
    "SELECT split_part(type, '.', 4) AS type, CAST(data AS jsonb) AS data FROM outbox "
    "WHERE topic = 'enrolment.decisions' ORDER BY id"
)


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


async def correct(
    database: Database,
    *,
    issuer: str = "iel",
    source: str = "/portals/iel",
    ago: timedelta = timedelta(0),
    **changes: Any,
) -> None:
    """Take a correction in; ``ago`` is not zero for a correction that was parked and is redriven."""
    event = AgentCorrected.model_validate({"agent_id": "IEL-1", "issuer": issuer, **changes})
    corrected = replace(received(event, received_at=clock.now() - ago, issuer=issuer), source=source)
    await take(router, database, [corrected], policy=Policy())


async def enrolments(rows: SelectRows) -> list[tuple[str, str, str]]:
    """The state, address and family name of each enrolment."""
    found = await rows(
        "SELECT state, agent->>'email', agent->>'family_name' FROM enrolment ORDER BY issuer, received_at"
    )
    return [tuple(row) for row in found]


async def corrections_published(rows: SelectRows) -> list[tuple[str | None, str | None]]:
    """The address and given name of each."""
    decisions = [row.data for row in await rows(DECISIONS) if row.type == "AgentDetailsCorrected"]
    return [(data.get("email"), data.get("given_name")) for data in decisions]


async def make_requests_older(rows: SelectRows, by: timedelta) -> None:
    await rows("UPDATE enrolment SET received_at = received_at - CAST(:by AS interval) RETURNING 1", by=by)


async def test_every_enrolment_of_the_agent_is_corrected_and_the_correction_kept(
    database: Database, front: Front, rows: SelectRows
) -> None:
    await front.open(AGENT, NAMESAKE)
    await front.open(AGENT)
    await rows("INSERT INTO bad_address VALUES ('iel', 'IEL-1', now()) RETURNING 1")

    await correct(database, **RIGHT)
    await correct(database)  # says nothing

    corrected = ("enrolled", "zoe@exemple.fr", "Durand-Martin")
    assert await enrolments(rows) == [corrected, corrected, ("enrolled", "autre@exemple.fr", "Durand")]
    before = [{"email": "faute@exemple.fr", "family_name": "Durand"}]
    assert await rows("SELECT before, after, request_source FROM correction") == [
        (before, RIGHT, "/portals/iel")
    ]
    assert await rows("SELECT 1 FROM bad_address") == [], "the address is tried again"


async def test_it_is_published_once_after_the_decisions_of_before(
    database: Database, front: Front, rows: SelectRows
) -> None:
    session = await front.open(AGENT)
    await correct(database, email="zoe@exemple.fr")
    await correct(database, email="zoe@exemple.fr")  # says nothing new
    await front.withdraw(session, AGENT)
    published = [
        (row.type, row.data.get("email") or row.data["agent"]["email"]) for row in await rows(DECISIONS)
    ]
    assert published == [
        ("AgentEnrolled", "faute@exemple.fr"),
        ("AgentDetailsCorrected", "zoe@exemple.fr"),
        ("EnrolmentWithdrawn", "zoe@exemple.fr"),
    ]


async def test_a_correction_of_nobody_is_not_published_and_ends_when_no_request_can_wait_for_it(
    database: Database, front: Front, rows: SelectRows
) -> None:
    await front.open(AGENT)
    await correct(database, email="zoe@exemple.fr")
    await correct(database, issuer="ouest", email="autre@exemple.fr")
    assert len(await corrections_published(rows)) == 1
    async with database.transaction() as tx:
        assert await end_rows(tx, UNUSED_CORRECTIONS, 90, clock.now() + timedelta(days=89)) == 0
        assert await end_rows(tx, UNUSED_CORRECTIONS, 90, clock.now() + timedelta(days=91)) == 1
    assert await rows("SELECT issuer FROM correction") == [("iel",)]


# ------------------------------------------------------------------------------ what is decided late


@pytest.mark.parametrize("group", [False, True], ids=["an agent", "a group"])
async def test_a_request_that_waits_for_its_session_is_decided_as_corrected_meanwhile(
    database: Database, front: Front, rows: SelectRows, group: bool
) -> None:
    session = open_now()
    asked = uuid4(), clock.now(), session.session_id
    await front.answer(GroupRequest(*asked, (AGENT,), True) if group else SeatRequest(*asked, AGENT, False))
    await front.enrol(session, NAMESAKE)
    await correct(database, email="zoe@exempel.fr")
    await correct(database, **RIGHT)

    await front.publish(session)
    async with database.transaction() as tx:
        await requests.process_waiting(tx, Policy(), clock.now())

    assert await enrolments(rows) == [
        ("enrolled", "zoe@exemple.fr", "Durand-Martin"),
        ("enrolled", "autre@exemple.fr", "Durand"),
    ]
    decided = [row.data["agent"] for row in await rows(DECISIONS)]
    assert [agent["email"] for agent in decided if agent["issuer"] == "iel"] == ["zoe@exemple.fr"]


async def test_a_request_whose_session_never_comes_is_refused_as_corrected_meanwhile(
    database: Database, front: Front, rows: SelectRows
) -> None:
    await front.enrol(open_now(), AGENT)
    await correct(database, **RIGHT)
    async with database.transaction() as tx:
        await requests.refuse_unknown(tx, clock.now() + HOUR, clock.now())
    assert await enrolments(rows) == [("refused", "zoe@exemple.fr", "Durand-Martin")]


@pytest.mark.parametrize(
    ("ago", "email"), [(HOUR, "zoe@exemple.fr"), (-HOUR, "faute@exemple.fr")], ids=["older", "newer"]
)
async def test_a_request_is_decided_as_corrected_by_what_came_after_it_such_as_a_redriven_request(
    database: Database, front: Front, rows: SelectRows, ago: timedelta, email: str
) -> None:
    """What a portal says later is its newest word."""
    session = await front.open()
    await correct(database, **RIGHT)
    event = EnrolmentRequested(session_id=session.session_id, agent=AGENT)
    request = received(event, received_at=clock.now() - ago, issuer="iel")
    await take(router, database, [request], policy=Policy())
    assert [row[1] for row in await enrolments(rows)] == [email]


def a_seat(session: SessionState, another: SessionState) -> Request:
    return SeatRequest(uuid4(), clock.now(), another.session_id, STALE, False)


def the_same_seat(session: SessionState, another: SessionState) -> Request:
    return SeatRequest(uuid4(), clock.now(), session.session_id, STALE, False)


def seats_for_a_group(session: SessionState, another: SessionState) -> Request:
    return GroupRequest(uuid4(), clock.now(), another.session_id, (STALE,), True)


def to_move(session: SessionState, another: SessionState) -> Request:
    return Swap(uuid4(), clock.now(), session.session_id, AGENT.key, another.session_id)


@pytest.mark.parametrize(
    ("asks_for", "says"),
    [
        (a_seat, "stale@exemple.fr"),
        (the_same_seat, "zoe@exemple.fr"),
        (seats_for_a_group, "zoe@exemple.fr"),
        (to_move, "zoe@exemple.fr"),
    ],
)
async def test_a_correction_that_is_read_after_a_newer_request_yields_only_to_a_seat_request_that_is_granted(
    database: Database,
    front: Front,
    rows: SelectRows,
    *,
    asks_for: Callable[[SessionState, SessionState], Request],
    says: str,
) -> None:
    """The newest word is what such a request says; all services hear the same."""
    session = await front.open(AGENT)
    another = await front.open(offer_id=session.offer_id)
    await make_requests_older(rows, HOUR)
    await front.answer(asks_for(session, another))
    await correct(database, ago=HOUR / 2, email="zoe@exemple.fr", given_name="Zoey")
    assert {address for _, address, _ in await enrolments(rows)} == {says}
    assert [address for address, _ in await corrections_published(rows)] == [says]


async def test_a_correction_that_is_read_after_a_newer_one_changes_only_what_that_does_not_say(
    database: Database, front: Front, rows: SelectRows
) -> None:
    session = await front.open(AGENT)
    await make_requests_older(rows, HOUR)
    await correct(database, email="zoe@exemple.fr")
    await correct(database, ago=HOUR / 2, email="typo@exemple.fr", given_name="Zoey")
    await correct(database, ago=HOUR / 3, email="a@exemple.fr")

    agent = (await front.of(session, AGENT)).agent
    assert (agent["email"], agent["given_name"]) == ("zoe@exemple.fr", "Zoey")
    assert await corrections_published(rows) == [("zoe@exemple.fr", None), (None, "Zoey")]
    assert len(await rows("SELECT 1 FROM correction")) == 3


async def test_a_batch_locks_the_sessions_of_all_corrections_in_the_order_of_decisions(
    database: Database, front: Front
) -> None:
    first, second = sorted((open_now(), open_now()), key=lambda session: session.session_id)
    await front.publish(first, second)
    await front.enrol(first, AGENT)
    await front.enrol(second, an_agent("IEL-2", issuer="iel"))
    batch = [
        received(AgentCorrected(agent_id=agent_id, family_name="Martin"), issuer="iel")
        for agent_id in ("IEL-2", "IEL-1")
    ]
    lock = text("SELECT FROM session WHERE session_id = :id FOR UPDATE NOWAIT")
    async with asyncio.TaskGroup() as tasks, database.transaction() as tx:
        await tx.execute(lock, {"id": first.session_id})
        tasks.create_task(take(router, database, batch, policy=Policy()))
        await locks_awaited(database)  # the batch waits for the first session
        await tx.execute(lock, {"id": second.session_id})


# ------------------------------------------------------------------------------ acts by a link


async def act_by_link(database: Database, front: Front, session: SessionState, act: str) -> LinkState:
    """The former address has confirmed the correction."""
    enrolment, now = await front.of(session, AGENT), clock.now()
    link = AgentLink(enrolment.enrolment_id, lambda _address: True)
    notice = CorrectionLink(enrolment.enrolment_id, lambda _address: True, lambda _address: True)
    there = await front.open(offer_id=session.offer_id)
    state: LinkState
    async with database.transaction() as tx:
        await links.confirm_correction(tx, notice, now)
        match act:
            case "withdraw":
                state, _ = await links.withdraw(tx, link, Policy(), now)
            case "move":
                state, _ = await links.move_to(tx, link, there.session_id, (), policy=Policy(), now=now)
            case _:
                version = enrolment.version
                state, _ = await links.reply_to_offer(
                    tx, link, version, accepted=True, policy=Policy(), now=now
                )
    return state


async def address_facts(rows: SelectRows) -> dict[str, str]:
    """What the last change of the agent's enrolment says of the address."""
    [change] = await rows(
        "SELECT facts FROM enrolment_change WHERE agent_id = 'IEL-1' ORDER BY version DESC LIMIT 1"
    )
    return {name: value for name, value in change.facts.items() if name.startswith(("address", "link"))}


@pytest.mark.parametrize(
    ("act", "source", "days", "email", "by"),
    [
        ("withdraw", BY_SUPPORT, 29, "mine@exemple.fr", "support"),
        ("move", BY_SUPPORT, 1, "mine@exemple.fr", "support"),
        ("accept", BY_SUPPORT, 1, "mine@exemple.fr", "support"),
        ("withdraw", "/portals/iel", 1, "mine@exemple.fr", "portal"),
        ("withdraw", BY_SUPPORT, 31, "mine@exemple.fr", None),
        ("withdraw", BY_SUPPORT, 1, None, None),
    ],
)
async def test_what_a_link_does_is_kept_beside_a_correction_of_its_address_in_the_last_month(
    database: Database,
    front: Front,
    rows: SelectRows,
    *,
    act: str,
    source: str,
    days: int,
    email: str | None,
    by: str | None,
) -> None:
    seated = [an_agent("B-1", issuer="iel")] if act == "accept" else []
    session = await front.open(*seated, AGENT, capacity=1, waiting_list="offer")
    for agent in seated:
        await front.withdraw(session, agent)
    await make_requests_older(rows, timedelta(days=60))
    await correct(database, source=source, ago=timedelta(days=days), email=email, family_name="Martin")

    assert await act_by_link(database, front, session, act) in DONE

    [correction] = await rows("SELECT request_id, received_at FROM correction")
    kept = {
        "link_sent_to": email,
        "address_corrected_by": by,
        "address_corrected_at": correction.received_at.isoformat(),
        "address_corrected_request": str(correction.request_id),
    }
    assert await address_facts(rows) == ({} if by is None else kept)
    async with database.transaction() as tx:
        [explained, *_] = await explain(tx, AGENT.agent_id, Reading.by_command("x"))
    explanation = "\n".join(lines_of(explained))
    assert (f"by a link sent to {email}, which {by} had put there on" in explanation) is (by is not None)


async def test_the_agents_own_correction_after_a_correction_by_staff_hides_nothing(
    database: Database, front: Front, rows: SelectRows
) -> None:
    session = await front.open(AGENT)
    await correct(database, source=BY_SUPPORT, email="mine@exemple.fr")
    async with database.transaction() as tx:
        await corrections.correct_by_agent(tx, AGENT.key, {"email": "also.mine@exemple.fr"}, clock.now())
    await act_by_link(database, front, session, "withdraw")
    assert (await address_facts(rows))["address_corrected_by"] == "support"
