"""Answers to a session's questions: read by its organiser alone, and gone when the question says."""

from datetime import timedelta
from typing import Any

import pytest

from services.enrolment.handlers import router
from services.enrolment.personal_data import REGISTER
from services.enrolment.rules.policy import Policy
from services.enrolment.settings import Settings
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.portal import EnrolmentRequested
from shared.events.vocabulary import Agent
from shared.messaging.erasure import Eraser
from shared.process.jobs import end_old_rows
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.manage import OrganiserClient, page_of, text_of
from tests.integration.enrolment.organising import ADMIN, BRETAGNE, lines, listed, of
from tests.integration.enrolment.sending import a_request, rejected
from tests.integration.enrolment.sending import send as send_event
from tests.support.builders import a_question, an_agent, enrolment_request, open_now
from tests.support.consuming import received, take

SETTINGS = Settings(
    enrolment_database_url="postgresql://user@localhost/name", kafka_bootstrap_servers="localhost:1"
)
REPAS = a_question("repas", "choice", required=True, kept_days=7)
QUESTIONS = [
    a_question("amenagement", "adjustment"),
    REPAS,
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
async def session(front: Front) -> SessionState:
    return await front.open(questions=QUESTIONS, capacity=1)


async def test_the_organiser_reads_the_answers_and_nobody_else_does(
    *, database: Database, session: SessionState, ask: Ask, organiser: OrganiserClient, rows: SelectRows
) -> None:
    agent = an_agent(issuer="portail-bretagne")
    await ask_for_seat(database, session, agent)
    [entry] = await listed(ask, session)
    assert {answer["question_id"]: answer["value"] for answer in entry["answers"]} == ANSWERS
    assert entry["answers"][0]["question"] == QUESTIONS[0]["label"]
    assert "végétarien" in text_of(await organiser.get(page_of(session)))
    portal = await ask("GET", f"/api/v1/enrolments?agent_id={agent.agent_id}", by="portail-bretagne")
    assert portal.json()["items"]
    published = await rows("SELECT data FROM outbox UNION ALL SELECT facts::text FROM request")
    for text in (portal.text, *(row.data for row in published)):
        assert ("sign_language" in text, "végétarien" in text) == (False, False)


async def test_the_sheet_of_a_roster_has_a_column_for_each_question_also_for_one_taken_away_since(
    database: Database, front: Front, session: SessionState, ask: Ask
) -> None:
    await ask_for_seat(database, session, an_agent())
    await ask_for_seat(database, session, an_agent(), {"repas": "sans gluten", "train": False})
    heading, first, second = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    assert heading[-4:] == [f"Question : {question['label']}" for question in QUESTIONS]
    adjustment = "interprétation en langue des signes, documents en gros caractères"
    assert first[-4:] == [adjustment, "végétarien", "oui", "6"]
    assert second[-4:] == ["", "sans gluten", "non", ""]
    kept = [question for question in QUESTIONS if question is not REPAS]
    await front.publish(open_now(session_id=session.session_id, version=2, questions=kept))
    heading, first, _ = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    assert (heading[-1], first[-1]) == (f"Question retirée : {REPAS['label']}", "végétarien")
    assert f"Question : {REPAS['label']}" not in heading


async def test_a_refusal_says_which_question_was_not_answered_and_keeps_no_answer(
    database: Database, session: SessionState, ask: Ask, rows: SelectRows
) -> None:
    await ask_for_seat(database, session, an_agent(), {"train": True})
    [request] = await rows("SELECT request_id FROM request")
    status = (await ask("GET", f"/api/v1/requests/{request.request_id}", by=ADMIN)).json()
    assert (status["reason"], status["facts"]["question"]) == ("answer_missing", "repas")
    assert await rows("SELECT 1 FROM question_answer") == []


async def test_an_enrolment_by_hand_answers_by_the_same_rules(session: SessionState, ask: Ask) -> None:
    person = an_agent().model_dump(mode="json", exclude={"agent_id", "issuer"})
    answer = {"question_id": "repas", "value": "végétarien"}
    without, twice, once = [
        await ask("POST", of(session, "enrolments"), by=BRETAGNE, json=person | {"answers": answers})
        for answers in ([], [answer, answer], [answer])
    ]
    assert (without.status_code, without.json()["code"], twice.status_code) == (409, "answer_missing", 422)
    assert [found["value"] for found in once.json()["answers"]] == ["végétarien"]


async def test_a_request_that_waits_for_its_session_keeps_its_answers(
    database: Database, front: Front, ask: Ask
) -> None:
    session = open_now(questions=QUESTIONS)
    await ask_for_seat(database, session, an_agent())
    await front.publish(session)
    [entry] = await listed(ask, session)
    assert len(entry["answers"]) == len(ANSWERS)


async def test_an_answer_ends_when_its_question_says(
    database: Database, session: SessionState, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask_for_seat(database, session, an_agent())
    kept = {}
    for days in (6, 8, 31):
        monkeypatch.setattr("shared.clock.now", lambda days=days: session.ends_at + timedelta(days=days))
        await end_old_rows(database, REGISTER, SETTINGS)
        kept[days] = len(await rows("SELECT 1 FROM question_answer"))
    assert kept == {6: 4, 8: 3, 31: 0}
    assert len(await rows("SELECT 1 FROM enrolment")) == 1


async def test_the_answers_of_an_agent_who_withdraws_are_not_kept(
    database: Database, session: SessionState, front: Front, rows: SelectRows
) -> None:
    stays, leaves = an_agent(), an_agent()
    await ask_for_seat(database, session, stays)
    await ask_for_seat(database, session, leaves, {"repas": "sans gluten"})
    await front.withdraw(session, leaves)
    await end_old_rows(database, REGISTER, SETTINGS)
    kept = await rows("SELECT value FROM question_answer WHERE question_id = 'repas'")
    assert [row.value for row in kept] == ["végétarien"]


async def test_an_agent_is_given_their_answers_and_no_others(
    database: Database, session: SessionState, erasing: Eraser
) -> None:
    own, other = an_agent(issuer="iel"), an_agent(issuer="iel")
    await ask_for_seat(database, session, own)
    await ask_for_seat(database, session, other, {"repas": "sans gluten"})
    async with database.quiet_transaction() as tx:
        kept = (await erasing.export(tx, own.key))["question_answer"]
    assert {row["question_id"]: row["value"] for row in kept} == ANSWERS


async def test_an_answer_that_no_question_takes_is_refused_at_the_door_without_being_said(ask: Ask) -> None:
    refused = await send_event(ask, a_request(answers=[{"question_id": "amenagement", "value": ["RQTH"]}]))
    assert rejected(refused, 422, "invalid") == ["/answers/0/value"]
    assert "RQTH" not in refused.text
