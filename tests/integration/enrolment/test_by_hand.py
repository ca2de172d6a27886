"""Organisers enrol by hand, also on the day: by the rules, or above capacity with a reason (rule 22)."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.events.catalogue import SessionState
from shared.messaging.erasure import Eraser
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import lines
from tests.support.builders import an_agent, open_now

ORGANISER = "advisor-bretagne"
PERSON = {
    name: value
    for name, value in an_agent(email="zoe@ville-exemple.fr").model_dump(mode="json").items()
    if name not in ("agent_id", "issuer")
}


async def enrol(ask: Ask, session: SessionState, **changes: Any) -> httpx.Response:
    path = f"/api/v1/sessions/{session.session_id}/enrolments"
    return await ask("POST", path, by=changes.pop("by", ORGANISER), json=PERSON | changes)


def on_the_day(**changes: Any) -> SessionState:
    """A session that is closed and has begun."""
    now = datetime.now(UTC)
    dates = {
        "enrolment_closes_at": now - timedelta(days=5),
        "starts_at": now - timedelta(hours=1),
        "ends_at": now + timedelta(hours=5),
    }
    return open_now(**(dates | changes))


async def test_who_walks_in_on_the_day_gets_a_free_seat_and_its_author_is_kept(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = on_the_day()
    await front.publish(session)

    entry = (await enrol(ask, session)).json()

    assert (entry["state"], entry["agent"]["issuer"]) == ("enrolled", "cnfpt")
    [published] = await rows("SELECT data FROM outbox WHERE type LIKE '%AgentEnrolled%'")
    assert json.loads(published.data)["agent"]["email"] == "zoe@ville-exemple.fr"
    [answered] = await rows("SELECT * FROM request")
    assert (answered.portal, answered.facts["author"]) == (None, ORGANISER)
    assert "zoe" not in entry["agent"]["agent_id"]


async def test_a_roster_and_its_sheet_say_who_sits_above_capacity_and_why(front: Front, ask: Ask) -> None:
    session = on_the_day(capacity=1)
    await front.publish(session)
    why = "Une chaise de plus a été installée"
    for changes in ({}, {"email": "lea@ville-exemple.fr", "above_capacity": why}):
        assert (await enrol(ask, session, **changes)).status_code == 201
    roster = await ask("GET", f"/api/v1/sessions/{session.session_id}/roster", by=ORGANISER)
    assert {entry["agent"]["email"]: entry["above_capacity"] for entry in roster.json()["items"]} == {
        "zoe@ville-exemple.fr": None,
        "lea@ville-exemple.fr": why,
    }
    sheet = lines(await ask("GET", f"/api/v1/sessions/{session.session_id}/roster.csv", by=ORGANISER))
    column, email = sheet[0].index("Au-delà de la capacité"), sheet[0].index("Courriel")
    assert {line[email]: line[column] for line in sheet[1:]} == {
        "zoe@ville-exemple.fr": "",
        "lea@ville-exemple.fr": why,
    }


async def test_a_person_is_one_agent_in_all_sessions_and_once_in_each(front: Front, ask: Ask) -> None:
    first, second = open_now(), open_now()
    await front.publish(first, second)
    ids = {
        (await enrol(ask, session, email=address)).json()["agent"]["agent_id"]
        for session, address in ((first, "zoe@ville-exemple.fr"), (second, "Zoe@ville-exemple.fr"))
    }
    assert len(ids) == 1
    again = await enrol(ask, first)
    problem(again, 409)
    assert again.json()["code"] == "already_enrolled"


async def test_who_shares_a_mailbox_is_another_agent(front: Front, ask: Ask) -> None:
    session = open_now()
    await front.publish(session)
    answers = [
        await enrol(ask, session, given_name=name, email="mairie@petite.fr") for name in ("Alice", "Bernard")
    ]
    assert len({answer.json()["agent"]["agent_id"] for answer in answers}) == 2


async def test_an_address_that_was_corrected_is_not_that_agents_any_more(front: Front, ask: Ask) -> None:
    """Paul is not Paule, whose address was first written as his."""
    first, second = open_now(), open_now()
    await front.publish(first, second)
    paule = (await enrol(ask, first, email="paul@ville.fr")).json()
    corrected = {"email": "paule@ville.fr"}
    path = f"/api/v1/enrolments/{paule['enrolment_id']}/agent"
    assert (await ask("PATCH", path, by=ORGANISER, json=corrected)).status_code == 200
    paul = (await enrol(ask, second, email="paul@ville.fr")).json()
    again = (await enrol(ask, second, email="paule@ville.fr")).json()
    assert paul["agent"]["agent_id"] != paule["agent"]["agent_id"] == again["agent"]["agent_id"]


async def test_two_organisers_who_enrol_a_new_person_at_once_make_one_agent(front: Front, ask: Ask) -> None:
    session = open_now()
    await front.publish(session)
    answers = await asyncio.gather(*(enrol(ask, session) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_where_no_seat_is_free_the_line_is_for_who_is_enrolled_by_hand_too(
    front: Front, ask: Ask
) -> None:
    session = open_now(capacity=1)
    await front.publish(session)
    await front.enrol(session, an_agent())
    entry = (await enrol(ask, session)).json()
    assert (entry["state"], entry["position"]) == ("waitlisted", 1)


async def test_above_capacity_a_seat_needs_a_reason_that_is_kept_and_is_gone_when_it_is_left(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session, seated = open_now(capacity=1, quota_per_authority=1), an_agent()
    await front.publish(session)
    await front.enrol(session, seated)
    other = an_agent(employer=PERSON["employer"] | {"siret": "21440109300015"})
    await front.enrol(session, other)

    entry = (await enrol(ask, session, above_capacity="Une chaise de plus")).json()

    assert entry["state"] == "enrolled"
    [kept] = await rows("SELECT facts FROM request WHERE facts->>'above_capacity' IS NOT NULL")
    assert kept.facts["above_capacity"] == "Une chaise de plus"
    [counts] = await rows("SELECT enrolled, seat_ceiling FROM session")
    assert (counts.enrolled, counts.seat_ceiling) == (2, 2)

    await front.withdraw(session, seated)

    assert await front.states(session, other) == ["waitlisted"], "the seat above capacity is nobody's now"
    [counts] = await rows("SELECT enrolled, seat_ceiling FROM session")
    assert (counts.enrolled, counts.seat_ceiling) == (1, 1)


async def test_a_reason_opens_no_session_that_is_over_or_for_others(front: Front, ask: Ask) -> None:
    now = datetime.now(UTC)
    over = on_the_day(ends_at=now - timedelta(minutes=1))
    others = open_now(audience={"functions": ["dirigeant"]})
    await front.publish(over, others)
    answers = [await enrol(ask, session, above_capacity="Une chaise") for session in (over, others)]
    assert [answer.json()["code"] for answer in answers] == ["deadline_passed", "not_eligible"]


async def test_what_is_refused_leaves_nothing_and_writes_to_nobody(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = open_now(capacity=0, waiting_list="none")
    await front.publish(session)
    before = await rows("SELECT 1 FROM outbox")
    problem(await enrol(ask, session), 409)
    for table in ("enrolment", "request"):
        assert await rows(f"SELECT 1 FROM {table}") == []
    assert await rows("SELECT 1 FROM outbox") == before


@pytest.mark.parametrize(("by", "status"), [("advisor-corse", 404), ("assistance", 403), (None, 401)])
async def test_only_the_sessions_organiser_may(front: Front, ask: Ask, by: str | None, status: int) -> None:
    session = open_now()
    await front.publish(session)
    problem(await enrol(ask, session, by=by), status)


async def test_a_seat_in_the_line_of_the_employer_needs_the_employers_word(front: Front, ask: Ask) -> None:
    session = open_now(approval="employer")
    await front.publish(session)
    waits = (await enrol(ask, session)).json()
    agreed = (await enrol(ask, session, email="yann@ville-exemple.fr", approved=True)).json()
    assert (waits["state"], agreed["state"]) == ("pending_approval", "enrolled")


async def test_organisers_are_told_whom_they_enrolled_when_and_nothing_of_the_agent(
    front: Front, ask: Ask, erasing: Eraser
) -> None:
    session = open_now()
    await front.publish(session)
    await enrol(ask, session)
    async with erasing.database.quiet_transaction() as tx:
        [proof] = (await erasing.export(tx, ORGANISER))["request"]
    assert (set(proof), proof["actor"]) == ({"at", "actor"}, ORGANISER)
