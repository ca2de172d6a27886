"""Problems of the API: in the language that is preferred, each with a page that explains it."""

import ast
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import services.enrolment.api
from shared.events.cloudevents import STRUCTURED
from shared.events.outcomes import RejectionCode
from shared.events.reasons import Reason
from shared.http import CODES
from tests.conftest import Ask
from tests.integration.enrolment.sending import PORTAL, post, structured

FRENCH = {"accept-language": "fr-FR,fr;q=0.9,en;q=0.8"}
HOME = "http://localhost:8001"
"""The default of PUBLIC_BASE_URL."""


async def test_a_problem_is_in_the_language_that_is_preferred(ask: Ask) -> None:
    path = f"/api/v1/requests/{uuid4()}"
    english, french = [await ask("GET", path, by=PORTAL, headers=head) for head in ({}, FRENCH)]
    assert (english.headers["content-language"], french.headers["content-language"]) == ("en", "fr")
    assert (english.json()["title"], french.json()["title"]) == ("No such request", "Demande introuvable")
    assert french.headers["vary"] == "Accept-Language"
    assert french.json()["type"] == f"{HOME}/problems/not_found"


async def test_what_is_wrong_with_each_field_is_said_in_that_language_too(ask: Ask) -> None:
    event = structured({"session_id": "x"})
    answer = await post(ask, event, STRUCTURED, **FRENCH)
    assert answer.json()["problems"] == [
        {"pointer": "/session_id", "message": "doit être un UUID"},
        {"pointer": "/agent", "message": "champ obligatoire"},
    ]
    [item] = (await post(ask, [event], "application/cloudevents-batch+json", **FRENCH)).json()
    assert item["problem"]["problems"] == answer.json()["problems"]
    wrong = await ask("GET", "/api/v1/enrolments", by=PORTAL, headers=FRENCH)
    assert wrong.json()["errors"] == [{"field": "query.agent_id", "message": "champ obligatoire"}]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/api/v1/events", 405, "method_not_allowed"),
        ("GET", "/api/v1/answers", 401, "token_needed"),
    ],
)
async def test_problems_of_http_itself_are_explained_too(
    ask: Ask, method: str, path: str, status: int, code: str
) -> None:
    answer = await ask(method, path, headers=FRENCH)
    problem = answer.json()
    assert (answer.status_code, problem["type"], problem["code"]) == (status, f"{HOME}/problems/{code}", code)
    assert problem["title"] not in ("Not Found", "Method Not Allowed", "A token is needed")


def codes_in_the_code() -> set[str]:
    found = set()
    for path in Path(services.enrolment.api.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    return found


async def test_each_problem_and_each_reason_of_a_refusal_has_a_page_in_both_languages(ask: Ask) -> None:
    unexplained, written = [], codes_in_the_code()
    assert written
    for code in {*CODES.values(), *RejectionCode, *Reason, *written, "other"}:
        page = await ask("GET", f"/problems/{code}")
        parts = (f"<code>{code}</code>", '<html lang="fr">', '<section lang="en">')
        if page.status_code != 200 or not all(part in page.text for part in parts):
            unexplained.append(code)
    assert unexplained == []
    assert (await ask("GET", "/problems/nothing")).status_code == 404


async def test_a_database_that_is_away_is_a_problem_that_says_when_to_come_again(asking: Any) -> None:
    ask = asking(enrolment_database_url="postgresql://nobody@localhost:1/nothing")
    answer = await ask("GET", f"/api/v1/requests/{uuid4()}", by=PORTAL)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
