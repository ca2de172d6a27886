"""Answers to a session's questions: read by its organiser alone, and gone when the question says."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.enrolment.handlers import router
from services.enrolment.personal_data import REGISTER
from services.enrolment.rules.policy import Policy
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.portal import EnrolmentRequested
from shared.events.vocabulary import Agent
from shared.messaging.erasure import Eraser
from shared.process.jobs import end_old_rows
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import ADMIN, BRETAGNE, CORSE, lines, listed, of
from tests.support.builders import a_question, an_agent, enrolment_request, open_now
from tests.support.consuming import received, take

SETTINGS = Settings(
    enrolment_database_url="postgresql://user@localhost/name", kafka_bootstrap_servers="localhost:1"
)
QUESTIONS = [
    a_question("amenagement", "adjustment"),
    a_question("repas", "choice", required=True, kept_days=7),
    a_question("train", "yes_no"),
    a_question("equipe", "number"),
]
ANSWERS = {"train": True, "repas": "végétarien", "equipe": 6, "amenagement": ["sign_language", "large_print"]}


async def ask_for_seat(
    database: Database, session: SessionState, agent: Agent, answers: dict[str, Any] = ANSWERS
) -> None:
    given = [{"question_id": question_id, "value": value} for question_id, value in answers.items()]
    data = enrolment_request(session.session_id, agent, answers=given)
    event = EnrolmentRequested.model_validate(data, context={"issuer": agent.issuer})
    await take(router, database, [received(event, issuer=agent.issuer)], policy=Policy())


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


@pytest.fixture
async def asking_session(front: Front) -> SessionState:
    session = open_now(questions=QUESTIONS, capacity=1)
    await front.publish(session)
    return session


async def test_the_organiser_reads_what_was_answered_and_nobody_else_does(
    database: Database, asking_session: SessionState, ask: Ask, rows: SelectRows
) -> None:
    agent = an_agent(issuer="portail-bretagne")
    await ask_for_seat(database, asking_session, agent)

    [entry] = await listed(ask, asking_session)
    assert {answer["question_id"]: answer["value"] for answer in entry["answers"]} == ANSWERS
    assert entry["answers"][0]["question"] == QUESTIONS[0]["label"]

    problem(await ask("GET", of(asking_session, "roster"), by=CORSE), 404)
    elsewhere = await ask("GET", f"/api/v1/enrolments?agent_id={agent.agent_id}", by="portail-bretagne")
    assert elsewhere.json()["items"]
    published = await rows("SELECT data FROM outbox UNION ALL SELECT facts::text FROM request")
    for text in (elsewhere.text, *(row.data for row in published)):
        assert "sign_language" not in text
        assert "végétarien" not in text


async def test_the_sheet_of_a_roster_has_a_column_for_each_question(
    database: Database, asking_session: SessionState, ask: Ask
) -> None:
    await ask_for_seat(database, asking_session, an_agent())
    await ask_for_seat(database, asking_session, an_agent(), {"repas": "sans gluten", "train": False})

    heading, first, second = lines(await ask("GET", of(asking_session, "roster.csv"), by=BRETAGNE))

    assert heading[-4:] == [f"Question : {question['label']}" for question in QUESTIONS]
    adjustment = "interprétation en langue des signes, documents en gros caractères"
    assert first[-4:] == [adjustment, "végétarien", "oui", "6"]
    assert second[-4:] == ["", "sans gluten", "non", ""]


async def test_the_sheet_has_the_answers_to_questions_that_were_taken_away_since(
    database: Database, front: Front, asking_session: SessionState, ask: Ask
) -> None:
    await ask_for_seat(database, asking_session, an_agent())
    kept = [question for question in QUESTIONS if question["question_id"] != "repas"]
    await front.publish(open_now(session_id=asking_session.session_id, version=2, questions=kept))

    heading, line = lines(await ask("GET", of(asking_session, "roster.csv"), by=BRETAGNE))

    label = QUESTIONS[[question["question_id"] for question in QUESTIONS].index("repas")]["label"]
    assert heading[-1] == f"Question retirée : {label}"
    assert line[-1] == "végétarien"
    assert heading.count(f"Question : {label}") == 0


async def test_what_became_of_a_request_says_which_question_was_not_answered(
    database: Database, asking_session: SessionState, ask: Ask, rows: SelectRows
) -> None:
    await ask_for_seat(database, asking_session, an_agent(), {})
    [request] = await rows("SELECT request_id FROM request")
    status = (await ask("GET", f"/api/v1/requests/{request.request_id}", by=ADMIN)).json()
    assert (status["reason"], status["facts"]["question"]) == ("answer_missing", "repas")
    assert await rows("SELECT 1 FROM question_answer") == []


async def test_what_is_answered_by_hand_is_held_to_the_same_rules(
    database: Database, asking_session: SessionState, ask: Ask
) -> None:
    person = an_agent().model_dump(mode="json", exclude={"agent_id", "issuer"})
    path = of(asking_session, "enrolments")
    without = await ask("POST", path, by=BRETAGNE, json=person)
    problem(without, 409)
    assert without.json()["code"] == "answer_missing"
    answers = [{"question_id": "repas", "value": "végétarien"}]
    twice = await ask("POST", path, by=BRETAGNE, json=person | {"answers": answers * 2})
    problem(twice, 422)
    entry = (await ask("POST", path, by=BRETAGNE, json=person | {"answers": answers})).json()
    assert [answer["value"] for answer in entry["answers"]] == ["végétarien"]


async def test_a_request_that_waits_for_its_session_keeps_its_answers(
    database: Database, front: Front, ask: Ask
) -> None:
    session = open_now(questions=QUESTIONS)
    await ask_for_seat(database, session, an_agent())
    await front.publish(session)
    [entry] = await listed(ask, session)
    assert len(entry["answers"]) == len(ANSWERS)


@pytest.mark.parametrize(("days", "left"), [(6, 4), (8, 3), (31, 0)])
async def test_an_answer_ends_when_its_question_says(
    database: Database,
    asking_session: SessionState,
    rows: SelectRows,
    monkeypatch: pytest.MonkeyPatch,
    *,
    days: int,
    left: int,
) -> None:
    await ask_for_seat(database, asking_session, an_agent())
    later = asking_session.ends_at + timedelta(days=days)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    await end_old_rows(database, REGISTER, SETTINGS)
    assert len(await rows("SELECT 1 FROM question_answer")) == left
    assert len(await rows("SELECT 1 FROM enrolment")) == 1


async def test_the_answers_of_who_withdraws_are_not_kept(
    database: Database, asking_session: SessionState, front: Front, rows: SelectRows
) -> None:
    stays, leaves = an_agent(), an_agent()
    await ask_for_seat(database, asking_session, stays)
    await ask_for_seat(database, asking_session, leaves, {"repas": "sans gluten"})
    await front.withdraw(asking_session, leaves)
    await end_old_rows(database, REGISTER, SETTINGS)
    kept = await rows("SELECT value FROM question_answer WHERE question_id = 'repas'")
    assert [row.value for row in kept] == ["végétarien"]


async def test_an_agent_is_given_their_answers_and_no_others(
    database: Database, asking_session: SessionState, erasing: Eraser
) -> None:
    own, other = an_agent(issuer="iel"), an_agent(issuer="iel")
    await ask_for_seat(database, asking_session, own)
    await ask_for_seat(database, asking_session, other, {"repas": "sans gluten"})
    async with database.quiet_transaction() as tx:
        kept = (await erasing.export(tx, own.key))["question_answer"]
    assert {row["question_id"]: row["value"] for row in kept} == ANSWERS


async def test_what_a_question_does_not_take_is_refused_at_the_door_without_being_said(ask: Ask) -> None:
    data = enrolment_request(uuid4(), answers=[{"question_id": "amenagement", "value": ["RQTH"]}])
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": str(uuid4()),
        "ce-source": "/portals/portail-bretagne",
        "ce-type": EnrolmentRequested.TYPE,
        "ce-time": clock.now().isoformat(),
    }
    refused = await ask(
        "POST", "/api/v1/events", by="portail-bretagne", content=json.dumps(data), headers=headers
    )
    problem(refused, 422)
    assert "RQTH" not in refused.text
    assert [found["pointer"] for found in refused.json()["problems"]] == ["/answers/0/value"]
