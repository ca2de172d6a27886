"""What organisers see and do: their own delegation's sessions alone."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Row, text

from services.enrolment.jobs import expire
from services.enrolment.rules.policy import Policy
from shared import clock, security_log
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import (
    ADMIN,
    BRETAGNE,
    CORSE,
    CSV,
    MODULES,
    SUPPORT,
    lines,
    listed,
    of,
    published_events,
)
from tests.support.builders import an_agent, open_now

# ------------------------------------------------------------------------------------------- rosters


async def a_full_session(front: Front) -> tuple[SessionState, list[Agent]]:
    """One enrolled, one with an offer, two waiting, one refused, one gone."""
    session = open_now(capacity=2, waiting_list="offer")
    agents = [an_agent(f"A-{number}") for number in range(5)]
    await front.publish(session)
    await front.enrol(session, *agents)
    await front.withdraw(session, agents[1])  # whose seat is offered to A-2
    await front.enrol(session, agents[0])  # refused: enrolled already
    return session, agents


async def test_a_roster_lists_everybody_in_order_and_says_why(front: Front, ask: Ask) -> None:
    session, _ = await a_full_session(front)
    entries = await listed(ask, session)
    assert [
        (entry["agent"]["agent_id"], entry["state"], entry["position"], entry["reason"]) for entry in entries
    ] == [
        ("A-0", "enrolled", None, None),
        ("A-2", "offered", None, None),
        ("A-3", "waitlisted", 1, None),
        ("A-4", "waitlisted", 2, None),
        ("A-0", "refused", None, "already_enrolled"),
        ("A-1", "withdrawn", None, None),
    ]
    assert entries[1]["hold_until"] is not None
    assert {entry["address_is_bad"] for entry in entries} == {False}


async def test_who_waited_until_the_end_stands_in_the_roster_and_its_sheet(
    front: Front, ask: Ask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, first, waiting = open_now(capacity=1), an_agent("A-1"), an_agent("A-2")
    await front.publish(session)
    await front.enrol(session, first, waiting)
    after = session.starts_at + timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: after)
    await expire(database, Policy(), after)

    states = [(entry["agent"]["agent_id"], entry["state"]) for entry in await listed(ask, session)]

    assert states == [("A-1", "enrolled"), ("A-2", "not_obtained")]
    sheet = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    assert [line[0] for line in sheet[1:]] == [
        "inscription confirmée",
        "sans place à la fin de la liste d’attente",
    ]


async def test_a_roster_is_read_page_by_page_and_by_state(front: Front, ask: Ask) -> None:
    session, _ = await a_full_session(front)
    whole = await listed(ask, session)
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        page = (await ask("GET", of(session, f"roster?limit=2{after}"), by=BRETAGNE)).json()
        found += page["items"]
        cursor, pages = page["next"], pages + 1
    assert (found, pages) == (whole, 3)
    waiting = await listed(ask, session, "?state=waitlisted&state=offered")
    assert [entry["state"] for entry in waiting] == ["offered", "waitlisted", "waitlisted"]
    assert [entry["position"] for entry in waiting] == [None, 1, 2]


@pytest.mark.parametrize("query", ["?limit=0", "?limit=201", "?cursor=x", "?state=happy", "?page=2"])
async def test_a_roster_cannot_be_asked_for_otherwise(front: Front, ask: Ask, query: str) -> None:
    session, _ = await a_full_session(front)
    assert problem(await ask("GET", of(session, f"roster{query}"), by=BRETAGNE), 422)


async def test_whose_mails_come_back_is_marked(front: Front, ask: Ask, database: Database) -> None:
    session, _ = await a_full_session(front)
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO bad_address VALUES ('', 'A-3', now())"))
    assert [
        entry["agent"]["agent_id"] for entry in await listed(ask, session) if entry["address_is_bad"]
    ] == ["A-3"]
    heading, *rest = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    place = heading.index("Courriel à vérifier")
    assert [line[place] for line in rest] == ["", "", "oui", "", "", ""]


async def test_the_roster_as_a_sheet_is_in_french_and_runs_no_formula(front: Front, ask: Ask) -> None:
    session, agent = open_now(modules=MODULES), an_agent("A-0", given_name="=1+1", family_name="@SUM(A1)")
    await front.publish(session)
    await front.enrol(session, agent)
    heading, line = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    published = dict(zip(heading, line, strict=True))
    assert published["Situation"] == "inscription confirmée"
    assert (published["Prénom"], published["Nom"]) == ("'=1+1", "'@SUM(A1)")
    assert published["Fonction"] == "agente ou agent"
    assert {"Séance 1 : Comprendre", "Séance 2 : Pratiquer"} <= set(published)


@pytest.mark.parametrize("sheet", ["roster.csv", "selection.csv", "attendance.csv"])
async def test_each_sheet_of_people_that_is_taken_out_stands_in_the_security_log(
    front: Front, ask: Ask, caplog: pytest.LogCaptureFixture, sheet: str
) -> None:
    session, _ = await a_full_session(front)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    assert (await ask("GET", of(session, sheet), by=BRETAGNE)).status_code == 200
    let_in, line = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    assert (let_in["event"], let_in["outcome"], let_in["who"]) == ("token", "ok", line["who"])
    assert (line["event"], line["outcome"]) == ("export", "ok")
    assert line["who"].startswith("organiser:")
    assert line["where"] == f"/api/v1/sessions/{{session_id}}/{sheet}"


# ------------------------------------------------------------------------------------------- whose


def refused_rights(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Where the security log says that a right was refused."""
    lines = [vars(record) for record in caplog.records if record.name == security_log.LOGGER]
    return [line["where"] for line in lines if (line["event"], line["outcome"]) == ("right", "refused")]


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "roster", None),
        ("GET", "roster.csv", None),
        ("PUT", "selection", {"ranked": []}),
        ("GET", "selection.csv", None),
        ("PUT", "selection.csv", "agent_id;rank\nA-0;first\n"),
        ("POST", "attendance", {"records": [{"agent_id": "A-0", "attendance": "attended"}]}),
        ("GET", "attendance.csv", None),
        ("POST", "attendance.csv", "agent_id;attendance\nA-0;maybe\n"),
    ],
)
async def test_a_session_of_another_delegation_does_not_exist(
    *, front: Front, ask: Ask, caplog: pytest.LogCaptureFixture, method: str, rest: str, body: Any
) -> None:
    session, _ = await a_full_session(front)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    content: dict[str, Any] = (
        {"content": body, "headers": CSV} if isinstance(body, str) else {"json": body} if body else {}
    )
    problem(await ask(method, of(session, rest), by=CORSE, **content), 404)
    problem(await ask(method, f"/api/v1/sessions/{uuid4()}/{rest}", by=BRETAGNE, **content), 404)
    assert refused_rights(caplog) == [f"/api/v1/sessions/{{session_id}}/{rest}"], "of one that is another's"
    problem(await ask(method, of(session, rest), by=SUPPORT, **content), 403)
    problem(await ask(method, of(session, rest), **content), 401)
    assert (await ask(method, of(session, rest), by=ADMIN, **content)).status_code != 404


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("PUT", "priority", {"priority": 1, "reason": "r"}),
        ("POST", "withdrawal", {"by": "agent"}),
        ("POST", "offer-answer", {"accepted": True, "reason": "r"}),
        ("POST", "approval", {"granted": True, "reason": "r"}),
        ("PATCH", "agent", {"given_name": "Zo"}),
    ],
)
async def test_an_enrolment_of_another_delegation_does_not_exist(
    *, front: Front, ask: Ask, caplog: pytest.LogCaptureFixture, method: str, rest: str, body: Any
) -> None:
    session, agents = await a_full_session(front)
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    enrolment_id = (await front.of(session, agents[3])).enrolment_id
    problem(await ask(method, f"/api/v1/enrolments/{enrolment_id}/{rest}", by=CORSE, json=body), 404)
    problem(await ask(method, f"/api/v1/enrolments/{uuid4()}/{rest}", by=BRETAGNE, json=body), 404)
    assert refused_rights(caplog) == [f"/api/v1/enrolments/{{enrolment_id}}/{rest}"]
    assert await front.states(session, agents[3]) == ["waitlisted"]


# ------------------------------------------------------------------------------------------- one enrolment


def path_of(enrolment: Row[Any], rest: str) -> str:
    return f"/api/v1/enrolments/{enrolment.enrolment_id}/{rest}"


async def test_a_priority_moves_somebody_in_line_and_keeps_author_and_reason(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session, agents = await a_full_session(front)
    last = await front.of(session, agents[4])
    change = {"priority": 5, "reason": "Projet en cours"}
    answer = await ask("PUT", path_of(last, "priority"), by=BRETAGNE, json=change)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["position"], answer.json()["priority"]) == (1, 5)
    waiting = await listed(ask, session, "?state=waitlisted")
    assert [entry["agent"]["agent_id"] for entry in waiting] == ["A-4", "A-3"]
    [kept] = await rows("SELECT facts FROM enrolment_change WHERE cause = 'priority'")
    assert (kept.facts["author"], kept.facts["reason"]) == (BRETAGNE, "Projet en cours")


@pytest.mark.parametrize(
    "body",
    [
        {"priority": 5},
        {"priority": 5, "reason": " "},
        {"priority": 1001, "reason": "r"},
        {"priority": -1, "reason": "r"},
    ],
)
async def test_a_priority_without_a_reason_is_refused(front: Front, ask: Ask, body: dict[str, Any]) -> None:
    session, agents = await a_full_session(front)
    assert problem(
        await ask("PUT", path_of(await front.of(session, agents[4]), "priority"), by=BRETAGNE, json=body), 422
    )


async def test_only_who_waits_has_a_priority(front: Front, ask: Ask) -> None:
    session, agents = await a_full_session(front)
    body = {"priority": 5, "reason": "r"}
    for agent in agents[:3]:
        problem(
            await ask("PUT", path_of(await front.of(session, agent), "priority"), by=BRETAGNE, json=body), 409
        )


async def test_an_organiser_withdraws_somebody_and_the_next_is_served(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session, agents = await a_full_session(front)
    body = {"by": "employer", "reason": "Mutation"}
    answer = await ask(
        "POST", path_of(await front.of(session, agents[0]), "withdrawal"), by=BRETAGNE, json=body
    )
    # The last enrolment of A-0 is the refusal: the seat is another enrolment.
    problem(answer, 409)
    seat = next(entry for entry in await listed(ask, session) if entry["state"] == "enrolled")
    answer = await ask(
        "POST", f"/api/v1/enrolments/{seat['enrolment_id']}/withdrawal", by=BRETAGNE, json=body
    )
    assert answer.json()["state"] == "withdrawn", answer.text
    assert await front.states(session, agents[3]) == ["offered"]
    [published] = await published_events(rows, "EnrolmentWithdrawn", agent_id="A-0")
    assert (published["by"], published["reason"]) == ("employer", "Mutation")
    [kept] = await rows("SELECT facts FROM enrolment_change WHERE cause = 'employer' AND agent_id = 'A-0'")
    assert kept.facts["author"] == BRETAGNE


async def test_nobody_is_withdrawn_twice_nor_after_the_start_and_nothing_is_published(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    now = datetime.now(UTC)
    session, agent = open_now(starts_at=now - timedelta(hours=1)), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    published = len(await rows("SELECT 1 FROM outbox"))
    answer = await ask(
        "POST", path_of(await front.of(session, agent), "withdrawal"), by=BRETAGNE, json={"by": "agent"}
    )
    assert "attendance" in answer.json()["detail"]
    problem(answer, 409)
    assert len(await rows("SELECT 1 FROM outbox")) == published


# -------------------------------------------------------------------------------- by telephone or mail


@pytest.mark.parametrize(
    ("accepted", "state", "next_state", "cause"),
    [
        (True, "enrolled", "waitlisted", "offer_accepted"),
        (False, "lapsed", "offered", "offer_declined"),
    ],
)
async def test_an_organiser_answers_an_offer_for_who_phones(
    *, front: Front, ask: Ask, rows: SelectRows, accepted: bool, state: str, next_state: str, cause: str
) -> None:
    session, agents = await a_full_session(front)
    body = {"accepted": accepted, "reason": "Au téléphone"}

    answer = await ask(
        "POST", path_of(await front.of(session, agents[2]), "offer-answer"), by=BRETAGNE, json=body
    )

    assert answer.json()["state"] == state, answer.text
    assert await front.states(session, agents[3]) == [next_state]
    if accepted:
        [published] = (await published_events(rows, "AgentEnrolled", agent_id="A-2"))[-1:]
        assert published["from_waiting_list"] is True
    else:
        [published] = await published_events(rows, "SeatOfferLapsed", agent_id="A-2")
        assert published["cause"] == "declined"
    [kept] = await rows("SELECT facts FROM enrolment_change WHERE cause = :cause", cause=cause)
    assert (kept.facts["author"], kept.facts["reason"]) == (BRETAGNE, "Au téléphone")
    others = await rows("SELECT facts FROM enrolment_change WHERE agent_id <> 'A-2'")
    assert not any("reason" in change.facts for change in others), "it is nobody else's"


async def test_an_offer_is_not_answered_once_its_time_is_over(
    front: Front, ask: Ask, rows: SelectRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, agents = await a_full_session(front)
    offer = await front.of(session, agents[2])
    published = len(await rows("SELECT 1 FROM outbox"))
    monkeypatch.setattr(clock, "now", lambda: offer.hold_until)
    for answered, code in ((offer, "deadline_passed"), (await front.of(session, agents[3]), "no_offer")):
        body = {"accepted": True, "reason": "Au téléphone"}
        answer = await ask("POST", path_of(answered, "offer-answer"), by=BRETAGNE, json=body)
        problem(answer, 409)
        assert answer.json()["code"] == code
    assert len(await rows("SELECT 1 FROM outbox")) == published


@pytest.mark.parametrize(
    ("granted", "states", "cause"),
    [(True, ["enrolled", "waitlisted"], "approval_granted"), (False, ["refused"] * 2, "approval_denied")],
)
async def test_an_organiser_notes_what_an_employer_said(
    *, front: Front, ask: Ask, rows: SelectRows, granted: bool, states: list[str], cause: str
) -> None:
    session = open_now(capacity=1, approval="employer")
    agents = [an_agent("A-0"), an_agent("A-1")]
    await front.publish(session)
    await front.enrol(session, *agents)
    body = {"granted": granted, "reason": "La DRH, par courrier"}

    paths = [path_of(await front.of(session, agent), "approval") for agent in agents]
    for path in paths:
        assert (await ask("POST", path, by=BRETAGNE, json=body)).status_code == 200

    assert await front.states(session, *agents) == states
    for kept in await rows("SELECT facts, cause FROM enrolment_change"):
        assert (kept.cause, kept.facts["author"], kept.facts["reason"]) == (cause, BRETAGNE, body["reason"])
    if not granted:
        published = await published_events(rows, "EnrolmentRefused")
        assert [event["reason"] for event in published] == ["approval_denied"] * 2
    answer = await ask("POST", paths[-1], by=BRETAGNE, json=body)
    problem(answer, 409)
    assert answer.json()["code"] == ("already_enrolled" if granted else "not_enrolled")


@pytest.mark.parametrize("body", [{"accepted": True}, {"accepted": True, "reason": " "}, {"reason": "r"}])
async def test_how_an_answer_was_heard_is_asked(front: Front, ask: Ask, body: dict[str, Any]) -> None:
    session, agents = await a_full_session(front)
    offer = await front.of(session, agents[2])
    assert problem(await ask("POST", path_of(offer, "offer-answer"), by=BRETAGNE, json=body), 422)


# ------------------------------------------------------------------------------------------- corrections


async def test_an_organiser_corrects_an_agent_in_all_sessions_and_is_kept_as_the_author(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    agent = an_agent(email="faute@exemple.fr")
    ours, others = open_now(), open_now()
    await front.publish(ours, others)
    await front.enrol(ours, agent)
    await front.enrol(others, agent)
    path = path_of(await front.of(ours, agent), "agent")

    answer = await ask("PATCH", path, by=BRETAGNE, json={"email": "zoe@exemple.fr"})

    assert answer.json()["agent"]["email"] == "zoe@exemple.fr", answer.text
    assert (await front.of(others, agent)).agent["email"] == "zoe@exemple.fr"
    [kept] = await rows("SELECT * FROM correction")
    assert (kept.author, kept.before, kept.after) == (
        BRETAGNE,
        [{"email": "faute@exemple.fr"}],
        {"email": "zoe@exemple.fr"},
    )
    [published] = await published_events(rows, "AgentDetailsCorrected", agent_id=agent.agent_id)
    assert (published["email"], published["given_name"]) == ("zoe@exemple.fr", None)
    assert published["corrected_by"] == "organiser"

    again = await ask("PATCH", path, by=BRETAGNE, json={"email": "zoe@exemple.fr"})
    assert again.status_code == 200
    corrected = await rows("SELECT before FROM correction ORDER BY received_at")
    assert [row.before for row in corrected] == [kept.before, []], "nothing was wrong any more"


async def test_who_organises_only_some_of_an_agents_sessions_may_not_correct_them(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    """Letters about the others would go to an address of this organiser's choice."""
    agent, ours, others = an_agent(), open_now(), open_now(organiser="corse")
    await front.publish(ours, others)
    await front.enrol(ours, agent)
    await front.enrol(others, agent)
    path = path_of(await front.of(ours, agent), "agent")
    problem(await ask("PATCH", path, by=BRETAGNE, json={"email": "mine@exemple.fr"}), 409)
    assert await rows("SELECT 1 FROM correction") == []
    assert (await ask("PATCH", path, by=ADMIN, json={"email": "zoe@exemple.fr"})).status_code == 200
    assert (await front.of(others, agent)).agent["email"] == "zoe@exemple.fr"


@pytest.mark.parametrize(
    "body",
    [{}, {"email": None}, {"email": "zoe"}, {"given_name": "https://x.example"}, {"agent_id": "A-2"}],
)
async def test_a_correction_that_says_nothing_or_nonsense_changes_nothing(
    front: Front, ask: Ask, rows: SelectRows, body: Any
) -> None:
    session, agent = open_now(), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    problem(await ask("PATCH", path_of(await front.of(session, agent), "agent"), by=BRETAGNE, json=body), 422)
    assert await rows("SELECT 1 FROM correction") == []
