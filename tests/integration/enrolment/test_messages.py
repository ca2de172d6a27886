"""An organiser writes to who is in a session: a part of them, now or at a time, once a day."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from services.enrolment.service import messages
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import BRETAGNE, CORSE, of, published_events
from tests.support.builders import an_agent, open_now

TEXT = "Bonjour,\n\nVenez avec un ordinateur portable."


async def write(ask: Ask, session: SessionState, query: str = "", **changes: Any) -> httpx.Response:
    by = changes.pop("by", BRETAGNE)
    return await ask("POST", of(session, f"messages{query}"), by=by, json={"text": TEXT} | changes)


async def send(database: Database, at: datetime) -> int:
    async with database.transaction() as tx:
        return await messages.send_due(tx, at)


async def full(front: Front, **changes: Any) -> SessionState:
    """A session with two who sit and one who waits."""
    session = open_now(**({"capacity": 2, "waiting_list": "automatic"} | changes))
    await front.publish(session)
    agents = [an_agent(name, email=f"{name.lower()}@ville.fr", family_name=name) for name in ("A", "B", "C")]
    await front.enrol(session, *agents)
    return session


async def test_a_message_leaves_after_a_minute_and_its_event_names_nobody(
    front: Front, ask: Ask, rows: SelectRows, database: Database
) -> None:
    session = await full(front)
    planned = (await write(ask, session, audience=["enrolled"])).json()
    assert planned["recipients"] == 2
    assert await send(database, clock.now()) == 0
    assert await send(database, clock.now() + timedelta(minutes=2)) == 1
    assert await send(database, clock.now() + timedelta(minutes=2)) == 0
    [event] = await published_events(rows, "ParticipantsMessaged")
    assert event == {
        "message_id": planned["message_id"],
        "session_id": str(session.session_id),
        "session_version": session.version,
        "text": TEXT,
        "link": None,
        "audience": ["enrolled"],
        "enrolment_ids": None,
    }


async def test_a_dry_run_says_how_many_and_keeps_nothing(front: Front, ask: Ask, database: Database) -> None:
    session = await full(front)
    tried = await write(ask, session, "?dry_run=true")
    assert (tried.status_code, tried.json()["recipients"], tried.json()["message_id"]) == (200, 3, None)
    assert await send(database, clock.now() + timedelta(days=1)) == 0


async def test_a_person_under_two_issuers_is_one_recipient_and_a_shared_mailbox_is_several(
    front: Front, ask: Ask
) -> None:
    session = open_now()
    await front.publish(session)
    zoe = {"email": "Zoe@ville.fr", "given_name": "Zoé"}
    await front.enrol(
        session,
        an_agent("1", issuer="iel", **zoe),
        an_agent("2", issuer="sirh", **zoe | {"email": "zoe@ville.fr"}),
        an_agent("3", issuer="iel", email="zoe@ville.fr", given_name="Bernard"),
    )
    assert (await write(ask, session)).json()["recipients"] == 2


async def test_whose_mails_come_back_is_counted_apart(front: Front, ask: Ask, database: Database) -> None:
    session = await full(front)
    async with database.transaction() as tx:
        connection = await tx.connection()
        await connection.exec_driver_sql("INSERT INTO bad_address VALUES ('', 'A', now())")
    planned = (await write(ask, session, "?dry_run=true")).json()
    assert (planned["recipients"], planned["unreachable"]) == (2, 1)


async def test_one_message_a_day_of_the_sessions_zone(
    front: Front, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, now = await full(front), clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)  # or midnight may come between two messages
    tomorrow = now + timedelta(hours=36)  # a day may have 25
    assert (await write(ask, session)).status_code == 201
    problem(await write(ask, session, text="Apportez aussi le chargeur."), 409)
    assert (await write(ask, session, send_at=tomorrow.isoformat())).status_code == 201
    problem(await write(ask, session, "?dry_run=true", send_at=tomorrow.isoformat()), 409)


async def test_a_message_that_is_sent_twice_within_a_minute_is_kept_once(
    front: Front, asking: Callable[..., Ask], rows: SelectRows, database: Database
) -> None:
    """As by two clicks, or where no answer came; all others are messages of their own."""
    ask, session = asking(enrolment_messages_a_day=24), await full(front)
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    twice = await asyncio.gather(*(write(ask, session) for _ in range(20)))
    assert {(answer.status_code, answer.json()["message_id"]) for answer in twice} == {
        (201, twice[0].json()["message_id"])
    }
    ids = [str(row.enrolment_id) for row in await rows("SELECT enrolment_id FROM enrolment")]
    others: list[dict[str, Any]] = [
        {"text": "Autre chose."},
        {"link": "https://parcours.example/plan"},
        {"audience": ["enrolled"]},
        {"enrolment_ids": ids},
        {"send_at": tomorrow},
    ]
    for _ in range(2):
        for changes in others:
            assert (await write(ask, session, **changes)).status_code == 201
    assert await rows("SELECT count(*) FROM message") == [(1 + len(others),)]
    assert await send(database, clock.now() + timedelta(minutes=2)) == len(others)
    assert (await write(ask, session)).status_code == 201  # the first has left
    assert await rows("SELECT count(*) FROM message") == [(2 + len(others),)]


async def test_what_has_not_left_can_be_taken_back(front: Front, ask: Ask, database: Database) -> None:
    session = await full(front)
    first = f"/api/v1/messages/{(await write(ask, session)).json()['message_id']}"
    problem(await ask("DELETE", first, by=CORSE), 404)
    assert (await ask("DELETE", first, by=BRETAGNE)).status_code == 204
    second = f"/api/v1/messages/{(await write(ask, session)).json()['message_id']}"
    assert await send(database, clock.now() + timedelta(minutes=2)) == 1
    problem(await ask("DELETE", second, by=BRETAGNE), 409)
    [listed] = (await ask("GET", of(session, "messages"), by=BRETAGNE)).json()["items"]
    assert (listed["author"], listed["text"]) == (BRETAGNE, TEXT)
    assert listed["sent_at"] is not None


async def test_another_delegation_cannot_write_nor_read(front: Front, ask: Ask) -> None:
    session = await full(front)
    problem(await write(ask, session, by=CORSE), 404)
    problem(await ask("GET", of(session, "messages"), by=CORSE), 404)


async def test_named_enrolments_are_of_the_session(front: Front, ask: Ask) -> None:
    session, other = await full(front), await full(front)
    there = str((await front.of(other, an_agent("A"))).enrolment_id)
    here = str((await front.of(session, an_agent("A"))).enrolment_id)
    problem(await write(ask, session, enrolment_ids=[here, there]), 422)
    assert (await write(ask, session, enrolment_ids=[here, here])).json()["recipients"] == 1


async def test_nobody_is_written_to_of_a_session_that_is_cancelled(front: Front, ask: Ask) -> None:
    session = await full(front)
    await front.publish(session.model_copy(update={"status": Status.CANCELLED, "version": 9}))
    problem(await write(ask, session), 409)


async def test_a_message_that_was_to_come_does_not_leave_once_its_session_is_cancelled(
    front: Front, ask: Ask, database: Database
) -> None:
    session, other = await full(front), await full(front)
    assert (await write(ask, session)).status_code == (await write(ask, other)).status_code == 201
    await front.publish(session.model_copy(update={"status": Status.CANCELLED, "version": 9}))
    later = clock.now() + timedelta(minutes=2)
    assert await send(database, later) == 1
    assert await send(database, later) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": " \n "},
        {"text": "a" * 2001},
        {"text": "Voyez www.exemple.fr"},
        {"text": "Écrivez à zoe@exemple.fr"},
        {"text": "https://exemple.fr"},
        {"text": "Bonjour \u202eelgoog"},
        {"text": "Bonjour\u200b"},
        {"link": "javascript:alert(1)"},
        {"link": "https://exemple.fr/ et plus"},
        {"audience": []},
        {"audience": ["withdrawn"]},
        {"enrolment_ids": []},
        {"enrolment_ids": ["6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"] * 501},
        {"send_at": "2020-01-01T00:00:00Z"},
        {"send_at": "2090-01-01T00:00:00Z"},
        {"subject": "Urgent"},
    ],
    ids=str,
)
async def test_what_no_letter_may_say_is_refused(front: Front, ask: Ask, wrong: dict[str, Any]) -> None:
    session = await full(front)
    problem(await write(ask, session, **wrong), 422)
