"""Problems of the API: in the language that is preferred, each with a page that explains it."""

import ast
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

import services.enrolment.api
from services.enrolment.settings import Settings
from shared.events.cloudevents import STRUCTURED
from shared.events.outcomes import RejectionCode
from shared.events.reasons import Reason
from shared.http import CODES
from tests.conftest import Ask
from tests.integration.enrolment.sending import PORTAL, post, structured

FRENCH = {"accept-language": "fr-FR,fr;q=0.9,en;q=0.8"}
HOME = "http://localhost:8001"
"""The default of PUBLIC_BASE_URL."""


async def test_a_problem_says_the_same_in_the_language_that_is_preferred(ask: Ask) -> None:
    in_english = await ask("GET", f"/api/v1/requests/{uuid4()}", by=PORTAL)
    in_french = await ask("GET", f"/api/v1/requests/{uuid4()}", by=PORTAL, headers=FRENCH)
    assert in_english.json()["title"] == "No such request"
    assert in_french.json()["title"] == "Demande introuvable"
    assert in_french.json()["detail"].startswith("Aucune demande")
    assert [answer.headers["content-language"] for answer in (in_english, in_french)] == ["en", "fr"]
    assert {answer.headers["vary"] for answer in (in_english, in_french)} == {"Accept-Language"}
    assert {answer.json()["type"] for answer in (in_english, in_french)} == {f"{HOME}/problems/not_found"}


async def test_what_is_wrong_with_each_field_is_said_in_that_language_too(ask: Ask) -> None:
    event = structured({"session_id": "x"})
    answer = await post(ask, event, STRUCTURED, **FRENCH)
    assert answer.json()["problems"] == [
        {"pointer": "/session_id", "message": "doit être un UUID"},
        {"pointer": "/agent", "message": "champ obligatoire"},
    ]
    [item] = (await post(ask, [event], "application/cloudevents-batch+json", **FRENCH)).json()
    assert item["problem"]["title"] == "L’événement n’est pas valable"
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
    assert answer.status_code == status
    problem = answer.json()
    assert (problem["type"], problem["code"]) == (f"{HOME}/problems/{code}", code)
    assert problem["title"] not in ("Not Found", "Method Not Allowed", "A token is needed")


def codes_in_the_code() -> set[str]:
    found = set()
    for path in Path(services.enrolment.api.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    return found


CODES_OF_PAGES = sorted({*CODES.values(), *RejectionCode, *Reason, *codes_in_the_code(), "other"})


@pytest.mark.parametrize("code", CODES_OF_PAGES)
async def test_each_problem_and_each_reason_of_a_refusal_has_a_page_in_both_languages(
    ask: Ask, code: str
) -> None:
    page = await ask("GET", f"/problems/{code}")
    assert page.status_code == 200
    assert f"<code>{code}</code>" in page.text
    assert '<html lang="fr">' in page.text
    assert page.text.count("<h2>") == 1
    assert '<section lang="en">' in page.text
    again = await ask("GET", f"/problems/{code}", headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 304


async def test_what_is_no_problem_has_no_page(ask: Ask) -> None:
    page = await ask("GET", "/problems/nothing")
    assert page.status_code == 404
    assert "text/html" in page.headers["content-type"]


async def test_a_database_that_is_away_is_a_problem_that_says_when_to_come_again(
    asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Settings, "database_url", property(lambda _: "postgresql://nobody@localhost:1/nothing")
    )
    answer: httpx.Response = await asking()("GET", f"/api/v1/requests/{uuid4()}", by=PORTAL)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
