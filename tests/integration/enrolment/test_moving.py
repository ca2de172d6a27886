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
from sqlalchemy import Row

from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Position, Swap
from services.enrolment.service import requests as service
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.visiting import KEY, letter, page
from tests.support.builders import a_question, an_agent, open_now

PORTAL = "portail-bretagne"


def a_swap(here: SessionState, there: SessionState, agent: Agent) -> Swap:
    return Swap(
        uuid4(),
        clock.now(),
        here.session_id,
        agent.key,
        there.session_id,
        source=f"/portals/{PORTAL}",
        portal=PORTAL,
        position=Position("portal.enrolments", 0, 7),
    )


def agents(number: int) -> list[Agent]:
    return [an_agent(issuer=PORTAL) for _ in range(number)]


async def test_who_cross_from_session_to_session_at_once_never_wait_for_each_other_in_a_circle(
    front: Front, database: Database, rows: SelectRows
) -> None:
    sessions = [open_now(capacity=12) for _ in range(3)]
    await front.publish(*sessions)
    seated = {session.session_id: agents(10) for session in sessions}
    for session in sessions:
        await front.enrol(session, *seated[session.session_id])
    free = asyncio.Semaphore(8)

    async def move(agent: Agent, here: SessionState, there: SessionState) -> str:
        swap = a_swap(here, there, agent)
        async with free, database.transaction() as tx:
            answer = (await service.process(tx, [swap], Policy(), clock.now()))[swap.key]
        assert answer is not None
        return answer.state

    moving = [
        move(agent, here, there)
        for number in range(10)
        for here in sessions
        for there in sessions[number % 2 :: 2]
        if here is not there
        for agent in [seated[here.session_id][number]]
    ]
    outcomes = Counter(await asyncio.gather(*moving))
    assert outcomes.keys() <= {"enrolled", "refused"}
    assert outcomes["enrolled"] > 0
    counts = await rows(
        "SELECT enrolled, (SELECT count(*) FROM enrolment WHERE enrolment.session_id = session.session_id "
        "AND enrolment.state = 'enrolled') AS counted FROM session"
    )
    assert all(row.enrolled == row.counted <= 12 for row in counts)
    assert sum(row.enrolled for row in counts) == 30, "each has one seat, as before"


async def test_a_request_says_what_became_of_the_new_seat_to_this_day(front: Front, ask: Ask) -> None:
    here, there = open_now(capacity=1), open_now()
    await front.publish(here, there)
    agent, waiting = agents(2)
    await front.enrol(here, agent, waiting)
    swap = a_swap(here, there, agent)
    await front.answer(swap)
    answered = (await ask("GET", f"/api/v1/requests/{swap.request_id}", by=PORTAL)).json()
    assert (answered["asked"], answered["outcome"], answered["state_now"]) == ("swap", "enrolled", "enrolled")
    assert answered["event"] == "fr.cnfpt.enrolment.AgentEnrolled.v1"
    assert [(move["cause"], move["state"]) for move in answered["moves"]] == [
        ("moved", "withdrawn"),
        ("seat_freed", "enrolled"),
    ]
    assert answered["facts"]["to_session_id"] == str(there.session_id)
    await front.withdraw(there, agent)
    later = (await ask("GET", f"/api/v1/requests/{swap.request_id}", by=PORTAL)).json()
    assert later["state_now"] == "withdrawn"
    assert [move["cause"] for move in later["history"]] == ["withdrawal"]


async def test_a_move_that_is_read_twice_happens_once(front: Front) -> None:
    here, there = open_now(), open_now()
    await front.publish(here, there)
    [agent] = agents(1)
    await front.enrol(here, agent)
    swap = a_swap(here, there, agent)
    await front.answer(swap)
    await front.answer(a_swap(there, here, agent))
    await front.answer(swap)
    assert await front.states(here, agent) == ["enrolled"]


async def test_a_move_to_a_session_that_nobody_knows_yet_waits_for_it(
    front: Front, database: Database
) -> None:
    here, there = open_now(), open_now()
    await front.publish(here)
    [agent, other] = agents(2)
    await front.enrol(here, agent)
    await front.answer(a_swap(here, there, agent))
    await front.enrol(here, other)  # what comes meanwhile is answered, and answers nothing for it
    assert await front.states(here, agent, other) == ["enrolled", "enrolled"]
    await front.publish(there)
    async with database.transaction() as tx:
        await service.process_waiting(tx, Policy(), clock.now())
    assert await front.states(here, agent) == ["withdrawn"]
    assert await front.states(there, agent) == ["enrolled"]


async def test_a_move_to_a_session_that_never_comes_is_refused_and_changes_nothing(
    front: Front, database: Database, rows: SelectRows
) -> None:
    here = open_now()
    await front.publish(here)
    [agent] = agents(1)
    await front.enrol(here, agent)
    swap = a_swap(here, open_now(), agent)
    await front.answer(swap)
    later = clock.now() + timedelta(minutes=6)
    async with database.transaction() as tx:
        await service.refuse_unknown(tx, later, later)
    [row] = await rows("SELECT outcome, reason FROM request WHERE request_id = :id", id=swap.request_id)
    assert (row.outcome, row.reason) == ("refused", "unknown_session")
    assert await front.states(here, agent) == ["enrolled"]
    [rejected] = await rejections(rows, swap.request_id)
    assert (rejected.type, rejected.code) == ("fr.cnfpt.enrolment.RequestRejected.v1", "invalid")


async def rejections(rows: SelectRows, request_id: UUID) -> list[Row[Any]]:
    return await rows(
        "SELECT type, CAST(data AS jsonb)->>'code' AS code FROM outbox "
        "WHERE CAST(data AS jsonb)->>'request_id' = :id",
        id=str(request_id),
    )


# ------------------------------------------------------------ by the page


@pytest.fixture
def visit(asking: Callable[..., Ask]) -> Ask:
    return asking(link_signing_key=KEY, public_base_url="https://parcours.example")


async def page_to_move(front: Front, visit: Ask, session: SessionState, agent: Agent) -> str:
    """The path to which "Mes inscriptions" leads from the seat in this session."""
    mine = await visit("GET", await letter(front, Purpose.ENROLMENTS, session, agent))
    entry = mine.text.split(f">{session.title}<", 1)[1].split("<h3>", 1)[0]
    [found] = re.findall(f'href="https://parcours.example({Purpose.MOVE.value}/[^"]*)"', entry)
    return str(found)


async def no_letter(rows: SelectRows) -> bool:
    refusals = await rows("SELECT 1 FROM outbox WHERE type = 'fr.cnfpt.enrolment.EnrolmentRefused.v1'")
    return not refusals


async def test_an_agent_moves_by_the_page_that_shows_where_there_is_a_seat(front: Front, visit: Ask) -> None:
    [agent, other] = agents(2)
    here = open_now(title="Ici")
    there = open_now(title="Ailleurs", venue="Cité des congrès, Nantes", organiser="pays-de-la-loire")
    full, foreign = open_now(title="Complète", capacity=1), open_now(title="Autre", offer_id="autre-offre")
    private = open_now(title="Privée", format="bespoke", audience={"sirets": ["21350238800019"]})
    closed = open_now(title="Close", enrolment_closes_at=clock.now() - timedelta(hours=1))
    mine = open_now(title="Déjà")
    asking = open_now(
        venue="Mairie, Brest",
        questions=[a_question(required=True)],
        starts_at=there.starts_at + timedelta(days=1),
        ends_at=there.ends_at + timedelta(days=1),
    )
    await front.publish(here, there, full, foreign, private, closed, mine, asking)
    await front.enrol(here, agent)
    await front.enrol(mine, agent)
    await front.enrol(full, other)
    link = await page_to_move(front, visit, here, agent)
    text = page(await visit("GET", link), 200, "Changer de session")
    towns = re.findall(r"<h3>([^<]*)<", text)
    assert towns == ["Brest", "Nantes"], "that of the same delegation first"
    assert f'<button class="second" name="session" value="{there.session_id}">' in text
    assert await front.states(here, agent) == ["enrolled"], "to open the page changes nothing"
    done = await visit("POST", link, data={"session": str(there.session_id)})
    assert "Ailleurs" in page(done, 200, "Vous avez changé de session")
    assert await front.states(here, agent) == ["withdrawn"]
    assert await front.states(there, agent) == ["enrolled"]
    page(
        await visit("POST", link, data={"session": str(mine.session_id)}),
        410,
        "Cette inscription a déjà pris fin",
    )


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ({"capacity": 0}, "session complète"),
        ({"offer_id": "autre-offre"}, "hors du public visé"),
        ({"status": "cancelled"}, "session annulée"),
        ({"approval": "employer"}, "pas d’accord de l’employeur"),
    ],
)
async def test_what_the_rules_refuse_the_page_says_and_no_letter_does(
    front: Front, visit: Ask, rows: SelectRows, there: dict[str, Any], why: str
) -> None:
    [agent] = agents(1)
    here, other = open_now(), open_now(**there)
    await front.publish(here, other)
    await front.enrol(here, agent)
    link = await page_to_move(front, visit, here, agent)
    answer = await visit("POST", link, data={"session": str(other.session_id)})
    assert f"n’est pas possible ({why})" in page(answer, 422, "Changer de session")
    assert await front.states(here, agent) == ["enrolled"]
    assert await no_letter(rows)


async def test_what_is_no_session_moves_nobody(front: Front, visit: Ask, rows: SelectRows) -> None:
    [agent] = agents(1)
    here = open_now()
    await front.publish(here)
    await front.enrol(here, agent)
    link = await page_to_move(front, visit, here, agent)
    for session in ("", "x", "'; --", str(uuid4()), str(here.session_id)):
        page(await visit("POST", link, data={"session": session}), 422, "Changer de session")
    assert await front.states(here, agent) == ["enrolled"]
    assert await no_letter(rows)


QUESTIONS = [
    a_question("repas", "choice", required=True),
    a_question("parking", "yes_no"),
    a_question("enfants", "number", required=True),
    a_question("remarque", "text"),
    a_question("amenagement", "adjustment"),
    a_question("direction", "text", required=True, functions=["dirigeant"]),
]
"""Of which the last is not asked of agents."""
ANSWERS = {
    "question-repas": "végétarien",
    "question-parking": "non",
    "question-enfants": "2",
    "question-remarque": "Une ligne.\r\nUne autre.",
    "question-amenagement": ["large_print", "live_captions"],
}


async def asking(front: Front, visit: Ask) -> tuple[Agent, list[SessionState], str, dict[str, Any]]:
    """Somebody who wants to move where something is asked: both sessions, the page's path, and the choice."""
    [agent] = agents(1)
    here, there = open_now(title="Ici"), open_now(title="Ailleurs", questions=QUESTIONS)
    await front.publish(here, there)
    await front.enrol(here, agent)
    link = await page_to_move(front, visit, here, agent)
    return agent, [here, there], link, {"session": str(there.session_id)}


async def test_who_moves_answers_what_is_asked_there_before_they_give_up_anything(
    front: Front, visit: Ask, rows: SelectRows
) -> None:
    agent, (here, there), link, chosen = await asking(front, visit)
    text = page(await visit("POST", link, data=chosen), 200, "Questions de l’organisateur")
    assert re.findall(' name="(question-[a-z]+)"', text) == [
        "question-repas",
        "question-parking",
        "question-enfants",
        "question-remarque",
        *["question-amenagement"] * 7,
    ]
    assert await front.states(here, agent) == ["enrolled"], "who is asked has given up nothing yet"

    page(
        await visit("POST", link, data=chosen | ANSWERS | {"repondu": "oui"}),
        200,
        "Vous avez changé de session",
    )

    assert await front.states(there, agent) == ["enrolled"]
    kept = await rows("SELECT question_id, value FROM question_answer ORDER BY question_id")
    assert {row.question_id: row.value for row in kept} == {
        "amenagement": ["large_print", "live_captions"],
        "enfants": 2,
        "parking": False,
        "remarque": "Une ligne.\nUne autre.",
        "repas": "végétarien",
    }


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"question-repas": ""}, "Répondez à cette question"),
        ({"question-repas": "du foin"}, "Choisissez l’une des réponses proposées"),
        ({"question-enfants": "deux"}, "Saisissez un nombre entier"),
        ({"question-enfants": "9999999999"}, "Saisissez un nombre entier"),
        ({"question-parking": "peut-être"}, "Choisissez oui ou non"),
        ({"question-remarque": "x" * 1001}, "1 000 caractères au plus"),
        ({"question-amenagement": ["un trône"]}, "parmi les aménagements proposés"),
    ],
)
async def test_what_is_no_answer_is_said_at_its_question_and_keeps_the_others(
    front: Front, visit: Ask, rows: SelectRows, typed: dict[str, Any], wrong: str
) -> None:
    agent, (here, _), link, chosen = await asking(front, visit)
    answer = await visit("POST", link, data=chosen | ANSWERS | {"repondu": "oui"} | typed)
    text = page(answer, 422, "Questions de l’organisateur")
    assert "<title>Erreur – " in text
    assert re.search(r'role="alert".*href="#question-', text, re.DOTALL)
    assert text.count('aria-invalid="true"') == 1
    assert wrong in text.replace("\u00a0", " ").replace("\u202f", " ")
    assert ("Une autre." in text) == ("question-remarque" not in typed)
    assert await front.states(here, agent) == ["enrolled"]
    assert await no_letter(rows)


async def test_who_only_waits_is_not_led_to_another_session(front: Front, visit: Ask) -> None:
    session, (first, agent) = open_now(capacity=1), agents(2)
    await front.publish(session)
    await front.enrol(session, first, agent)
    mine = await visit("GET", await letter(front, Purpose.ENROLMENTS, session, agent))
    assert Purpose.MOVE.value not in mine.text
    move = await letter(front, Purpose.MOVE, session, agent)
    page(await visit("GET", move), 410, "Cette inscription a déjà pris fin")


# ------------------------------------------------------------ by the organiser


async def moved(
    ask: Ask, enrolment_id: UUID, to_session_id: UUID, by: str = "advisor-bretagne", **fields: Any
) -> httpx.Response:
    body = {"to_session_id": str(to_session_id), **fields}
    return await ask("POST", f"/api/v1/enrolments/{enrolment_id}/move", by=by, json=body)


async def test_an_organiser_gives_the_answers_that_the_other_session_needs(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    [agent] = agents(1)
    here, there = open_now(), open_now(questions=[a_question(required=True)])
    await front.publish(here, there)
    await front.enrol(here, agent)
    seat = (await front.of(here, agent)).enrolment_id
    for answers, reason in (
        ([], "answer_missing"),
        ([{"question_id": "autre", "value": True}], "answer_not_expected"),
    ):
        refused = await moved(ask, seat, there.session_id, answers=answers)
        assert (refused.status_code, refused.json()["code"]) == (409, reason)
    entry = (
        await moved(ask, seat, there.session_id, answers=[{"question_id": "repas", "value": True}])
    ).json()
    assert [(given["question_id"], given["value"]) for given in entry["answers"]] == [("repas", True)]
    assert await no_letter(rows)


@pytest.mark.parametrize(
    "there",
    [{"organiser": "corse"}, {"offer_id": "autre-offre"}, None],
    ids=["another's", "of another offer", "of nobody"],
)
async def test_an_organiser_moves_nobody_to_what_is_not_theirs_or_of_another_offer(
    front: Front, ask: Ask, there: dict[str, Any] | None
) -> None:
    here, other = open_now(), open_now(**(there or {}))
    [agent] = agents(1)
    await front.publish(here, *([other] if there else []))
    await front.enrol(here, agent)
    seat = (await front.of(here, agent)).enrolment_id
    for to in (other.session_id, here.session_id):
        problem(await moved(ask, seat, to), 409)
    assert await front.states(here, agent) == ["enrolled"]


async def test_an_organiser_reads_why_the_rules_refuse_and_nobody_is_written_to(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    here, there = open_now(), open_now(capacity=0)
    agent, gone = agents(2)
    await front.publish(here, there)
    await front.enrol(here, agent, gone)
    await front.withdraw(here, gone)
    seat, left = [(await front.of(here, who)).enrolment_id for who in (agent, gone)]
    for enrolment_id, code in ((seat, "session_full"), (left, "not_enrolled")):
        answer = await moved(ask, enrolment_id, there.session_id)
        problem(answer, 409)
        assert answer.json()["code"] == code
    problem(await moved(ask, seat, there.session_id, by="advisor-corse"), 404)
    problem(await moved(ask, uuid4(), there.session_id), 404)
    assert await front.states(here, agent) == ["enrolled"]
    assert await no_letter(rows)
