"""The three services as their `app.py` composes them, inside this process; only their HTTP runs."""

import importlib
from typing import Any

import httpx

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
