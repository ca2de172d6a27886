"""Moving to another session on a real Postgres (rule 18): both sessions are locked, or wait, together."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Position, Swap
from services.enrolment.service import requests as service
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.test_my_enrolments import CONFIRM
from tests.integration.enrolment.visiting import KEY, letter
from tests.support.builders import a_question, an_agent, open_now

PORTAL = "portail-bretagne"
REFUSALS = "SELECT 1 FROM outbox WHERE type = 'fr.cnfpt.enrolment.EnrolmentRefused.v1'"


def a_swap(here: SessionState, there: SessionState, agent: Agent) -> Swap:
    sender: dict[str, Any] = {"source": f"/portals/{PORTAL}", "portal": PORTAL}
    asked = uuid4(), clock.now(), here.session_id, agent.key, there.session_id
    return Swap(*asked, **sender, position=Position("portal.enrolments", 0, 7))


def agents(number: int) -> list[Agent]:
    return [an_agent(issuer=PORTAL) for _ in range(number)]


async def test_agents_who_cross_from_session_to_session_at_once_never_wait_for_each_other_in_a_circle(
    front: Front, database: Database, rows: SelectRows
) -> None:
    sessions = [await front.open(capacity=12) for _ in range(3)]
    free = asyncio.Semaphore(8)

    async def move(agent: Agent, here: SessionState, there: SessionState) -> str:
        swap = a_swap(here, there, agent)
        async with free, database.transaction() as tx:
            result = (await service.process(tx, [swap], Policy(), clock.now()))[swap.key]
        assert result is not None
        return result.state

    moves = []
    for number, here in enumerate(sessions):
        seated = agents(10)
        await front.enrol(here, *seated)
        there = [sessions[number - 1], sessions[number - 2]] * 5
        moves += [move(agent, here, other) for agent, other in zip(seated, there, strict=True)]
    states = Counter(await asyncio.gather(*moves))

    assert states["enrolled"] > 0
    assert states.keys() <= {"enrolled", "refused"}
    counts = await rows(
        "SELECT enrolled, (SELECT count(*) FROM enrolment WHERE enrolment.session_id = session.session_id "
        "AND enrolment.state = 'enrolled') AS counted FROM session"
    )
    assert all(row.enrolled == row.counted <= 12 for row in counts)
    assert sum(row.enrolled for row in counts) == 30, "each has one seat, as before"


async def test_a_move_to_a_session_that_nobody_knows_yet_waits_for_it_and_happens_once(
    front: Front, database: Database
) -> None:
    here, there, [agent, other] = await front.open(), open_now(), agents(2)
    await front.enrol(here, agent)
    swap = a_swap(here, there, agent)
    await front.answer(swap)
    await front.enrol(here, other)  # what comes meanwhile is answered, and answers nothing for it
    assert await front.states(here, agent, other) == ["enrolled", "enrolled"]
    await front.publish(there)
    async with database.transaction() as tx:
        await service.process_waiting(tx, Policy(), clock.now())
    assert await front.states(here, agent) + await front.states(there, agent) == ["withdrawn", "enrolled"]
    await front.answer(a_swap(there, here, agent))
    await front.answer(swap)
    assert await front.states(here, agent) == ["enrolled"]


async def test_requests_for_a_session_do_not_read_the_moves_that_wait_for_another_session(
    front: Front, database: Database
) -> None:
    here, [agent, other] = await front.open(), agents(2)
    await front.answer(a_swap(here, open_now(), agent))
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE request SET body = body - 'agent_key'"))  # reading it would raise
    await front.enrol(here, other)
    assert await front.states(here, other) == ["enrolled"]


async def test_a_move_to_a_session_that_never_comes_is_refused_and_changes_nothing(
    front: Front, database: Database, rows: SelectRows
) -> None:
    [agent], later = agents(1), clock.now() + timedelta(minutes=6)
    here = await front.open(agent)
    await front.answer(a_swap(here, open_now(), agent))
    async with database.transaction() as tx:
        await service.refuse_unknown(tx, later, later)
    answered = await rows("SELECT outcome, reason FROM request WHERE kind = 'Swap'")
    assert answered == [("refused", "unknown_session")]
    assert await front.states(here, agent) == ["enrolled"]
    rejections = "SELECT CAST(data AS jsonb) AS data FROM outbox WHERE type LIKE '%RequestRejected%'"
    [rejected] = await rows(rejections)
    assert (rejected.data["code"], rejected.data["topic"], rejected.data["offset"]) == (
        "invalid",
        "portal.enrolments",
        7,
    )


# ------------------------------------------------------------ by the page


@pytest.fixture
def visit(asking: Callable[..., Ask]) -> Ask:
    return asking(link_signing_key=KEY, public_base_url="https://parcours.example")


async def test_the_page_shows_no_private_session_of_another_authority(front: Front, visit: Ask) -> None:
    here = await front.open(agent := an_agent())
    audience = {"sirets": ["26350999400012"]}
    private = await front.open(format="bespoke", audience=audience, title="Pour la régie du port")
    move = await letter(front, Purpose.MOVE, here, agent)
    answer = await visit("POST", move, data={"session": str(private.session_id)})
    assert (answer.status_code, private.title in answer.text) == (422, False)


async def page_to_move(front: Front, visit: Ask, session: SessionState, agent: Agent) -> str:
    """The path to which "Mes inscriptions" leads from the seat in this session."""
    mine = await visit("GET", await letter(front, Purpose.ENROLMENTS, session, agent))
    entry = mine.text.split(f">{session.title}<", 1)[1].split("<h3>", 1)[0]
    [found] = re.findall(f'href="https://parcours.example({Purpose.MOVE.value}/[^"]*)"', entry)
    return str(found)


async def test_an_agent_moves_by_the_page_that_shows_where_there_is_a_seat(front: Front, visit: Ask) -> None:
    [agent, other] = agents(2)
    here, mine = await front.open(agent, title="Ici"), await front.open(agent)
    there = await front.open(venue="Cité, Nantes", organiser="pays-de-la-loire")
    far = await front.open(venue="Mairie, Brest", questions=[a_question(required=True)])
    online = await front.open(venue=None, join_url="https://visio.example/ia")
    await front.open(other, capacity=1)
    await front.open(offer_id="autre-offre")
    await front.open(format="bespoke", audience={"sirets": ["21350238800019"]})
    await front.open(enrolment_closes_at=clock.now() - timedelta(hours=1))
    link = await page_to_move(front, visit, here, agent)

    shown = (await visit("GET", link)).text

    assert re.findall(r'name="session" value="([^"]*)"', shown) == [
        str(there.session_id),
        str(far.session_id),  # of the same delegation, but twice as far from Rennes
        str(online.session_id),
    ]
    assert await front.states(here, agent) == ["enrolled"], "to open the page changes nothing"
    chosen = {"session": str(there.session_id)}
    asked = (await visit("POST", link, data=chosen)).text
    assert [place in asked for place in ("Rennes", "Nantes", "Brest")] == [True, True, False]
    assert await front.states(here, agent) == ["enrolled"], "the choice is only shown"
    assert (await visit("POST", link, data=chosen | CONFIRM)).status_code == 200
    assert await front.states(here, agent) + await front.states(there, agent) == ["withdrawn", "enrolled"]
    assert (await visit("POST", link, data={"session": str(mine.session_id)})).status_code == 410


async def test_the_page_moves_nobody_to_a_session_that_refuses_or_does_not_exist_and_no_letter_is_sent(
    front: Front, visit: Ask, rows: SelectRows
) -> None:
    [agent] = agents(1)
    here, full = await front.open(agent), await front.open(capacity=0)
    other = await front.open(offer_id="autre-offre")
    link = await page_to_move(front, visit, here, agent)
    for chosen in (str(full.session_id), str(other.session_id), "", "x", str(UUID(int=0))):
        assert (await visit("POST", link, data={"session": chosen} | CONFIRM)).status_code == 422, chosen
    assert await front.states(here, agent) == ["enrolled"]
    assert await rows(REFUSALS) == []


async def test_an_agent_who_moves_answers_what_is_asked_there_before_they_give_up_anything(
    front: Front, visit: Ask, rows: SelectRows
) -> None:
    [agent] = agents(1)
    here = await front.open(agent, title="Ici")
    questions = [a_question(required=True), a_question("direction", required=True, functions=["dirigeant"])]
    there = await front.open(questions=questions)
    link, form = await page_to_move(front, visit, here, agent), {"session": str(there.session_id)}

    asked = await visit("POST", link, data=form)
    assert (asked.status_code, set(re.findall(' name="(question-[a-z]+)"', asked.text))) == (
        200,
        {"question-repas"},
    )
    wrong = await visit("POST", link, data=form | {"question-repas": "foin"} | CONFIRM)
    assert wrong.status_code == 422
    assert await front.states(here, agent) == ["enrolled"]

    await visit("POST", link, data=form | {"question-repas": "oui"} | CONFIRM)
    assert await front.states(there, agent) == ["enrolled"]
    assert await rows("SELECT question_id, value FROM question_answer") == [("repas", True)]


async def test_an_agent_who_only_waits_is_not_led_to_another_session(front: Front, visit: Ask) -> None:
    first, agent = agents(2)
    session = await front.open(first, agent, capacity=1)
    mine = await visit("GET", await letter(front, Purpose.ENROLMENTS, session, agent))
    assert Purpose.MOVE.value not in mine.text
    assert (await visit("GET", await letter(front, Purpose.MOVE, session, agent))).status_code == 410


# ------------------------------------------------------------ by the organiser


async def move(
    ask: Ask, enrolment_id: UUID, to_session_id: UUID, by: str = "advisor-bretagne", **fields: Any
) -> httpx.Response:
    body = {"to_session_id": str(to_session_id), **fields}
    return await ask("POST", f"/api/v1/enrolments/{enrolment_id}/move", by=by, json=body)


async def test_an_organiser_gives_the_answers_that_the_other_session_needs(front: Front, ask: Ask) -> None:
    [agent] = agents(1)
    here = await front.open(agent)
    there = await front.open(questions=[a_question(required=True)])
    seat = (await front.of(here, agent)).enrolment_id
    answer = {"question_id": "repas", "value": True}
    for answers, reason in (
        ([], "answer_missing"),
        ([answer | {"question_id": "autre"}], "answer_not_expected"),
    ):
        refused = await move(ask, seat, there.session_id, answers=answers)
        assert (refused.status_code, refused.json()["code"]) == (409, reason)
    [given] = (await move(ask, seat, there.session_id, answers=[answer])).json()["answers"]
    assert given.items() >= answer.items()


async def test_an_organiser_reads_why_nobody_moves_there_and_no_letter_is_sent(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    agent, gone = agents(2)
    here = await front.open(agent, gone)
    await front.withdraw(here, gone)
    full = await front.open(capacity=0)
    targets = {
        "unknown": uuid4(),
        "full": full.session_id,
        "of another delegation": (await front.open(organiser="corse")).session_id,
        "of another offer": (await front.open(offer_id="autre-offre")).session_id,
    }
    seat, left = [(await front.of(here, each)).enrolment_id for each in (agent, gone)]
    tried = ((seat, "advisor-bretagne"), (left, "advisor-bretagne"), (seat, "advisor-corse"))
    answers = {
        name: [(await move(ask, enrolment, to, by=by)).status_code for enrolment, by in tried]
        for name, to in targets.items()
    }
    assert answers == {name: [409, 409, 404] for name in targets}
    assert (await move(ask, seat, full.session_id)).json()["code"] == "session_full"
    assert await front.states(here, agent) == ["enrolled"]
    assert await rows(REFUSALS) == []
