"""Every route names a row of the table of permissions, and lets in only the callers of that row."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from services.catalogue import pages as catalogue_pages
from services.notifier.pages.staff_area import FIGURES_AREA
from shared.auth import Tokens
from shared.permissions import Caller, Permission, Role, Scope
from shared.process import Process
from shared.web.logins.staff_area import StaffArea
from shared.web.operations import area_of
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, PORTAL
from tests.integration.services.composed import AREAS, SITE, browser_on
from tests.integration.services.conftest import Compose
from tests.support.guards import NOWHERE, a_guard
from tests.support.processes import SERVICES

BY_FRAMEWORK = "/openapi.json"
TOKEN_OF = {Role.ADMIN: ADMIN, Role.ORGANISER: BRETAGNE, Role.SUPPORT: PORTAL}


@pytest.fixture(params=SERVICES)
def process(request: pytest.FixtureRequest, compose_service: Compose) -> Process:
    rates = dict.fromkeys(("refused_rate", "link_rate", "log_in_rate"), "100000/day")
    return compose_service(request.param, **rates)


def routes_of(process: Process) -> list[BaseRoute]:
    routes = [*process.api.routes, *process.operations.routes]
    if process.name == "catalogue":
        site = catalogue_pages.Site(database=NOWHERE, tokens=Tokens(), guard=a_guard(), address=SITE)
        routes += catalogue_pages.build(site).routes
    return routes


def permissions_of(route: BaseRoute) -> set[Permission]:
    """An operation that names two rows needs both."""
    calls = _calls(route.dependant) if isinstance(route, APIRoute) else [getattr(route, "endpoint", None)]
    return {call.permission for call in calls if hasattr(call, "permission")}


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for dependency in dependant.dependencies:
        yield from _calls(dependency)


def test_every_route_names_its_row(process: Process) -> None:
    nameless = [str(route) for route in routes_of(process) if not permissions_of(route)]
    assert [route for route in nameless if BY_FRAMEWORK not in route] == []


def address_of(route: Route) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", str(UUID(int=0)), route.path)


def is_open_to(permissions: set[Permission], role: Role | None) -> bool:
    """Whether a visitor without a token may, or a token of the role (an organiser's is of one delegation)."""
    return all(
        permission.value.callers.get(Caller.ANYBODY) is Scope.EVERYWHERE
        or (Caller.ANYBODY in permission.value.callers and role is None)
        or (role is not None and permission.allows(role, "bretagne" if role is Role.ORGANISER else None))
        for permission in permissions
    )


@pytest.mark.parametrize("role", [None, *Role])
async def test_an_operation_answers_only_the_callers_of_its_row(process: Process, role: Role | None) -> None:
    headers = {} if role is None else {"authorization": f"Bearer {TOKEN_OF[role]}"}
    wrong = {}
    async with browser_on(process) as client:
        for route in routes_of(process):
            if isinstance(route, APIRoute):
                method = min(route.methods or ())
                answer = await client.request(method, address_of(route), headers=headers)
                if (answer.status_code not in (401, 403)) != is_open_to(permissions_of(route), role):
                    wrong[method, route.path] = answer.status_code
    assert wrong == {}


def areas_of(process: Process) -> list[StaffArea]:
    areas = [AREAS[process.name], area_of(process.name)]
    return [*areas, FIGURES_AREA] if process.name == "notifier" else areas


@asynccontextmanager
async def logged_in(process: Process, role: Role) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, str]]]:
    """A browser that is logged in wherever the role may, and the keys of its forms."""
    keys: dict[str, str] = {}
    async with browser_on(process) as browser:
        for area in areas_of(process):
            await browser.post(area.log_in, data={"jeton": TOKEN_OF[role]})
            page = await browser.get(area.own_logins)
            if found := re.search('name="cle" value="([^"]+)"', page.text):
                keys[area.home] = found[1]
        yield browser, keys


def has_opened(answer: httpx.Response, permissions: set[Permission]) -> bool:
    if Permission.FOLLOW_LINK in permissions:  # a page of a link that nobody signed is not there
        return answer.status_code != 404
    led_to_log_in = answer.status_code == 303 and "/connexion" in answer.headers["location"]
    return answer.status_code != 403 and not led_to_log_in


@pytest.mark.parametrize("role", Role)
async def test_a_page_opens_only_to_the_roles_of_its_row(process: Process, role: Role) -> None:
    wrong = {}
    homes = sorted((area.home for area in areas_of(process)), key=len, reverse=True)
    async with logged_in(process, role) as (browser, keys):
        for route in routes_of(process):
            permissions = permissions_of(route)
            if (
                not isinstance(route, Route)
                or isinstance(route, APIRoute)
                or route.path.endswith("/deconnexion")
            ):
                continue
            path = address_of(route)
            home = next((home for home in homes if path.startswith(home)), "")
            if "GET" in (route.methods or ()):
                answer = await browser.get(path)
            else:
                answer = await browser.post(path, data={"cle": keys.get(home, "")})
            if permissions and has_opened(answer, permissions) != is_open_to(permissions, role):
                wrong[route.path] = answer.status_code
    assert wrong == {}
