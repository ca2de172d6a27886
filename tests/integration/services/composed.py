"""The three services as their `app.py` composes them, inside this process; only their HTTP runs."""

import importlib
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from services.catalogue.pages.staff_area import STAFF_AREA as SESSIONS_AREA
from services.enrolment.pages.manage.staff_area import STAFF_AREA as ENROLMENTS_AREA
from services.notifier.pages.staff_area import SUPPORT_AREA
from shared.cli.definition import Definition
from shared.process import Process
from tests.conftest import settings_of

SITE = "https://parcours.example"
AREAS = {"catalogue": SESSIONS_AREA, "enrolment": ENROLMENTS_AREA, "notifier": SUPPORT_AREA}
"""The staff pages of each service; the owner of the token ADMIN may open all."""


def definition_of(service: str) -> Definition:
    definition: Definition = importlib.import_module(f"services.{service}.definition").DEFINITION
    return definition


def compose(service: str, url: str, **settings: Any) -> Process:
    """Compose a service on this database; ``settings`` are those that it has beside the least."""
    definition = definition_of(service)
    given = {name.lower(): value for name, value in settings_of(service, url, "localhost:1").items()}
    of_service: Any = definition.settings
    return definition.compose(of_service.model_validate(given | settings))


def browser_on(process: Process, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client of the service's HTTP, which keeps its cookies."""
    transport = httpx.ASGITransport(app=process.api, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url=SITE)


def gateway(processes: Mapping[str, Process]) -> ASGIApp:
    """All services at one address, by path, as behind the chart's ingress."""

    async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["path"].split("/")[1]
        service = {"inscriptions": "enrolment", "courriels": "notifier"}.get(first, "catalogue")
        await processes[service].api(scope, receive, send)

    return by_path
