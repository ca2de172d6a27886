"""Half a link leads to a page that leads on, and a program gets what it can read."""

import re
from typing import Any

import httpx
import pytest

from services.enrolment import app as enrolment
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier import app as notifier
from services.notifier.settings import Settings as NotifierSettings
from shared.web.links import LOST_LINK
from tests.conftest import settings_of

SETTINGS: dict[str, Any] = {"enrolment": EnrolmentSettings, "notifier": NotifierSettings}


def settings(service: str) -> Any:
    given = settings_of(service, "postgresql://x@localhost/x", "x:1")
    return SETTINGS[service].model_validate({name.lower(): value for name, value in given.items()})


def application(service: str) -> Any:
    compose: Any = enrolment.compose if service == "enrolment" else notifier.compose
    return compose(settings(service)).api


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
    assert program.json()["code"] == "not_found"
    main = lost.text.partition("<main")[2].partition("</main>")[0]
    first, *_ = re.findall('<a href="([^"]+)">', main)
    assert first.endswith(LOST_LINK)


@pytest.mark.parametrize("service", ["enrolment", "notifier"])
async def test_the_root_of_a_service_leads_to_the_first_page_of_all(service: str) -> None:
    transport = httpx.ASGITransport(application(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as visitor:
        answer = await visitor.get("/")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"{settings(service).public_url('catalogue')}/",
    )
