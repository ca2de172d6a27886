"""Who follows half a link gets a page that leads on, and a program what it can read."""

from typing import Any

import httpx
import pytest

from services.enrolment import app as enrolment
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier import app as notifier
from services.notifier.settings import Settings as NotifierSettings
from tests.conftest import settings_of


def application(service: str) -> Any:
    given = settings_of(service, "postgresql://x@localhost/x", "x:1")
    values = {name.lower(): value for name, value in given.items()}
    if service == "enrolment":
        return enrolment.compose(EnrolmentSettings.model_validate(values)).api
    return notifier.compose(NotifierSettings.model_validate(values)).api


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("enrolment", "/inscriptions/mes-inscriptions"),
        ("enrolment", "/inscriptions/gestion/session"),
        ("notifier", "/courriels/abonnements/"),
    ],
)
async def test_an_address_that_is_no_page_is_answered_by_one(service: str, path: str) -> None:
    transport = httpx.ASGITransport(application(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as visitor:
        lost = await visitor.get(path)
        program = await visitor.get("/api/v1/nothing")
    assert (lost.status_code, lost.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Page introuvable" in lost.text
    assert program.json()["code"] == "not_found"
