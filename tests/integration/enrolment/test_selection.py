"""How an organiser ranks the candidates of a selection, by JSON and by sheets: all or nothing."""

from typing import Any
from uuid import uuid4

import pytest

from services.enrolment.rules.requests import ApprovalDecision
from shared import clock
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent, Status
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import BRETAGNE, by_line, lines, of, send
from tests.support.builders import an_agent, open_now


async def an_inet_session(front: Front, **changes: Any) -> tuple[SessionState, list[Agent]]:
    session = open_now(approval="selection", capacity=1, **changes)
    agents = [an_agent(f"C-{number}") for number in range(3)]
    await front.publish(session)
    await front.enrol(session, *agents)
    return session, agents


async def test_a_ranking_decides_about_all_at_once_and_keeps_its_author(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session, agents = await an_inet_session(front)
    ranking = {"ranked": ["C-2", "C-0"], "not_selected": ["C-1"]}
    answer = await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking)
    assert answer.json() == {"enrolled": 1, "waitlisted": 1, "refused": 1}
    assert await front.states(session, *agents) == ["waitlisted", "refused", "enrolled"]
    authors = await rows("SELECT DISTINCT facts->>'author' AS author FROM enrolment_change")
    assert [row.author for row in authors] == [BRETAGNE]


async def test_of_two_steps_a_ranking_decides_about_those_whose_employer_agreed(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    """Rule 16."""
    session = open_now(approval="employer_then_selection", capacity=1)
    agreed, silent = an_agent("C-0"), an_agent("C-1")
    await front.publish(session)
    await front.enrol(session, agreed, silent)
    await front.answer(ApprovalDecision(uuid4(), clock.now(), session.session_id, agreed.key, True))
    assert await front.states(session, agreed, silent) == ["pending_selection", "pending_approval"]
    events = await rows(
        "SELECT CAST(data AS jsonb)->>'awaiting' AS awaiting FROM outbox WHERE key = 'C-0' ORDER BY id"
    )
    assert [event.awaiting for event in events] == ["employer_approval", "selection"]
    both = {"ranked": ["C-0", "C-1"]}
    problem(await ask("PUT", of(session, "selection"), by=BRETAGNE, json=both), 422)
    answer = await ask("PUT", of(session, "selection"), by=BRETAGNE, json={"ranked": ["C-0"]})
    assert answer.json() == {"enrolled": 1, "waitlisted": 0, "refused": 0}
    assert await front.states(session, agreed, silent) == ["enrolled", "pending_approval"]


@pytest.mark.parametrize(
    ("ranking", "errors"),
    [
        ({"ranked": ["C-0", "C-1"]}, {("missing", "C-2")}),
        ({"ranked": ["C-0", "C-1", "C-2", "C-9"]}, {("unknown", "C-9")}),
        ({"ranked": ["C-0", "C-1"], "not_selected": ["C-2", "C-1"]}, {("twice", "C-1")}),
        ({}, {("missing", "C-0"), ("missing", "C-1"), ("missing", "C-2")}),
    ],
)
async def test_a_ranking_that_is_not_of_all_who_applied_changes_nothing(
    front: Front, ask: Ask, ranking: dict[str, Any], errors: set[tuple[str, str]]
) -> None:
    session, agents = await an_inet_session(front)
    answer = await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking)
    problem(answer, 422)
    assert {(error["code"], error["agent_id"]) for error in answer.json()["errors"]} == errors
    assert await front.states(session, *agents) == ["pending_selection"] * 3


async def test_the_candidates_come_as_a_sheet_that_goes_back_filled_in(front: Front, ask: Ask) -> None:
    session, agents = await an_inet_session(front)
    heading, *candidates = lines(await ask("GET", of(session, "selection.csv"), by=BRETAGNE))
    assert heading[:2] == ["Rang", "Identifiant"]
    cells = dict(zip(("C-0", "C-1", "C-2"), ("20", "Non retenue", "3"), strict=True))
    filled = "\r\n".join(";".join(line) for line in [heading, *([cells[c[1]], *c[1:]] for c in candidates)])
    answer = await send(ask, "PUT", of(session, "selection.csv"), filled.encode("cp1252"))
    assert answer.json() == {"enrolled": 1, "waitlisted": 1, "refused": 1}
    assert await front.states(session, *agents) == ["waitlisted", "refused", "enrolled"]


@pytest.mark.parametrize(
    ("sheet", "errors"),
    [
        ("Identifiant;Rang\nC-0;1\nC-1;1\nC-2;\nC-0;2\n;3\n", [
            (3, "rank_twice"), (4, "not_a_rank"), (5, "twice"), (6, "empty"),
        ]),
        ("Identifiant;Rang\nC-0;0\nC-1;-1\nC-2;1,5\n", [(n, "not_a_rank") for n in (2, 3, 4)]),
        ("Identifiant;Rang\nC-0;1\n\nC-9;2\nC-1;non\n", [(1, "missing"), (4, "unknown")]),
        ("Identifiant\nC-0\n", [(1, "column_missing")]),
        ('Identifiant;Rang\n"C-0;1\n', [(2, "bad_quotes")]),
        ("", [(1, "empty")]),
    ],
)  # fmt: skip
async def test_a_sheet_that_cannot_be_a_ranking_is_refused_line_by_line(
    front: Front, ask: Ask, sheet: str, errors: list[tuple[int, str]]
) -> None:
    session, agents = await an_inet_session(front)
    assert by_line(await send(ask, "PUT", of(session, "selection.csv"), sheet)) == errors
    assert await front.states(session, *agents) == ["pending_selection"] * 3


async def test_what_is_decided_is_not_decided_again(front: Front, ask: Ask) -> None:
    session, agents = await an_inet_session(front)
    ranking = {"ranked": [agent.agent_id for agent in agents]}
    assert (await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking)).status_code == 200
    problem(await ask("PUT", of(session, "selection"), by=BRETAGNE, json=ranking), 422)


async def test_nobody_is_selected_for_a_cancelled_session(front: Front, ask: Ask) -> None:
    session, _ = await an_inet_session(front)
    await front.publish(session.model_copy(update={"version": 2, "status": Status.CANCELLED}))
    problem(await ask("PUT", of(session, "selection"), by=BRETAGNE, json={}), 409)


async def test_a_sheet_must_be_sent_as_one(front: Front, ask: Ask) -> None:
    session, _ = await an_inet_session(front)
    problem(await ask("PUT", of(session, "selection.csv"), by=BRETAGNE, json={"ranked": []}), 415)
