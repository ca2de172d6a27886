"""What an organiser sends to the API and what comes back: sheets, and the events that follow."""

from typing import Any

import httpx

from shared.events.catalogue import SessionState
from tests.conftest import Ask
from tests.integration.enrolment.conftest import SelectRows, problem

BRETAGNE, CORSE, ADMIN, SUPPORT = "advisor-bretagne", "advisor-corse", "siege", "assistance"
CSV = {"content-type": "text/csv"}
MODULES = [
    {"title": title, "starts_at": f"2025-03-{day}T08:30Z", "ends_at": f"2025-03-{day}T11:00Z"}
    for title, day in (("Comprendre", 18), ("Pratiquer", 20))
]


def of(session: SessionState, rest: str) -> str:
    return f"/api/v1/sessions/{session.session_id}/{rest}"


async def listed(ask: Ask, session: SessionState, query: str = "") -> list[dict[str, Any]]:
    answer = await ask("GET", of(session, f"roster{query}"), by=BRETAGNE)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def lines(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    return [line.split(";") for line in answer.content.decode("utf-8-sig").splitlines()]


async def send(ask: Ask, method: str, path: str, sheet: str | bytes, *, by: str = BRETAGNE) -> httpx.Response:
    content = sheet.encode() if isinstance(sheet, str) else sheet
    return await ask(method, path, by=by, content=content, headers=CSV)


async def published_events(rows: SelectRows, kind: str, agent_id: str = "%") -> list[dict[str, Any]]:
    """The data of the events of a kind, in order; of one agent, or all."""
    found = await rows(
        "SELECT CAST(data AS jsonb) AS data FROM outbox WHERE type LIKE :kind AND key LIKE :key ORDER BY id",
        kind=f"%.{kind}.v1",
        key=agent_id,
    )
    return [row.data for row in found]


def by_line(answer: httpx.Response) -> list[tuple[int, str]]:
    """What is wrong with a sheet: line and code."""
    problem(answer, 422)
    return [(int(error["line"]), error["code"]) for error in answer.json()["errors"]]
