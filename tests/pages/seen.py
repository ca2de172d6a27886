"""Visit every state of every page."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.pages import states_catalogue, states_enrolment, states_notifier, states_portal
from tests.pages.served_catalogue import catalogue
from tests.pages.served_enrolment import enrolment
from tests.pages.served_notifier import notifier
from tests.pages.served_portal import portal
from tests.pages.slow_time import slow_database, slow_time
from tests.pages.states import SeenState, States, walk
from tests.pages.visitor import Visitor

ADDRESS = "http://parcours.example"
MOST_BYTES = 60_000
"""What a browser loads to show a page."""
NewDatabase = Callable[[str], str]


def of_catalogue(_: Any) -> dict[str, States]:
    return {"catalogue/public": states_catalogue.PUBLIC, "catalogue/organisers": states_catalogue.MANAGED}


def of_enrolment(known: Any) -> dict[str, States]:
    return {
        "enrolment/before": states_enrolment.before_a_session(known),
        "enrolment/after": states_enrolment.from_its_day_on(known),
        "enrolment/links": states_enrolment.by_link(known),
    }


def of_notifier(links: Any) -> dict[str, States]:
    return {
        "notifier/links": states_notifier.of_notifier(links),
        "notifier/support": states_notifier.SUPPORT,
        "notifier/operations": states_notifier.OPERATIONS,
    }


def of_portal(_: Any) -> dict[str, States]:
    return {"portal": states_portal.PORTAL}


SERVICES = {
    "catalogue": (catalogue, of_catalogue),
    "enrolment": (enrolment, of_enrolment),
    "notifier": (notifier, of_notifier),
    "portal": (portal, of_portal),
}


async def visit(service: str, new_database: NewDatabase) -> dict[str, list[SeenState]]:
    """Visit all states of a service. Returns them by the name of their group."""
    compose, tables = SERVICES[service]
    seen = {}
    with slow_time() as start, tempfile.TemporaryDirectory() as folder:
        url = "" if service == "portal" else new_database(service)
        if url:
            await slow_database(url, start)
        async with compose(url, Path(folder), ADDRESS) as (web, known):
            transport = httpx.ASGITransport(web)
            for name, states in tables(known).items():
                async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
                    seen[name] = await walk(Visitor(client), states)
    return seen
