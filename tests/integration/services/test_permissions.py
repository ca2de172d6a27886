"""Every route names a row of the table of permissions, and lets in only the callers of that row."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.routing import BaseRoute, Route

from services.catalogue import pages as catalogue_pages
from services.notifier.pages.staff_area import FIGURES_AREA
from shared.auth import Tokens
from shared.messaging.portals.registry import TRIAL_PORTAL, Portal
from shared.permissions import WITHIN_DELEGATION, Caller, Permission, Role, Scope
from shared.process import Process
from shared.web.logins.staff_area import StaffArea
from shared.web.operations import area_of
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, PORTAL, TOKENS
from tests.integration.services.composed import AREAS, SITE, browser_on
from tests.integration.services.conftest import Compose
from tests.support.guards import NOWHERE, a_guard
from tests.support.processes import SERVICES


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


NATIONAL = "national"
STAFF: dict[str, tuple[Role, str | None]] = {
    ADMIN: (Role.ADMIN, None),
    BRETAGNE: (Role.ORGANISER, "bretagne"),
    NATIONAL: (Role.ORGANISER, None),
    PORTAL: (Role.SUPPORT, None),
}
"""The role and the delegation of each token."""
BY_KAFKA, UNSIGNED, EXPIRED = "portal-kafka", "portal-unsigned", "portal-expired"
PORTALS: dict[str, dict[str, Any]] = {
    "portal-everywhere": {
        "answers": ["http", "kafka"],
        "webhook": {"url": "https://iel.example/answers", "secrets": ["whsec_" + "a2V5" * 11]},
    },
    "portal-signing": {"keys": [{"id": "first", "secret": "whsec_" + "a2V5" * 11}]},
    "portal-bretagne": {"delegations": ["bretagne"]},
    "portal-employer": {"sirets": ["21350238800019"]},
    BY_KAFKA: {"answers": ["kafka"]},
    UNSIGNED: {"authentication": "none"},
    EXPIRED: {"tokens": [{"sha256": _digest(EXPIRED), "not_after": "2026-01-01T00:00:00Z"}]},
}
"""Portals of each kind, by their names, which are their tokens."""
TOKENS_OF_ALL = [*STAFF, *PORTALS]
IN_TRIAL = [(service, True) for service in SERVICES]
PLACES = [*IN_TRIAL, ("enrolment", False)]
"""Each service in a trial, and the one that portals ask outside a trial."""


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    entries: list[dict[str, Any]] = [*TOKENS, {"name": NATIONAL, "role": "organiser", "delegation": None}]
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([entry | {"sha256": _digest(entry["name"])} for entry in entries]))
    return path


@pytest.fixture(params=PLACES, ids=[f"{service}-{trial}" for service, trial in PLACES])
def process(request: pytest.FixtureRequest, compose_service: Compose, tmp_path: Path) -> Process:
    """Outside a trial too a portal may be called like that of a trial, for which an admin acts there."""
    service, trial = request.param
    settings: dict[str, Any] = dict.fromkeys(("refused_rate", "link_rate", "log_in_rate"), "100000/day")
    portals = PORTALS if trial else {TRIAL_PORTAL: {"tokens": []}} | PORTALS
    settings["portals_file"] = tmp_path / "portals-of-each-kind.json"
    settings["portals_file"].write_text(
        json.dumps(
            [
                {
                    "portal": name,
                    "issuer": name,
                    "contact": "a@b.example",
                    "tokens": [{"sha256": _digest(name)}],
                    "delegations": None,
                }
                | given
                for name, given in portals.items()
                if trial or name != UNSIGNED
            ]
        )
    )
    return compose_service(service, parcours_trial=trial, **settings)


def routes_of(process: Process) -> list[BaseRoute]:
    routes = list(process.api.routes)
    assert process.operations is process.api
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
    assert [str(route) for route in routes_of(process) if not permissions_of(route)] == []


def test_a_portal_of_each_kind_asks() -> None:
    of_each = {"portal", "issuer", "contact"}
    assert of_each.union(*PORTALS.values()) == Portal.model_fields.keys()


def address_of(route: Route) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", str(UUID(int=0)), route.path)


def is_open_to(permissions: set[Permission], token: str | None, process: Process) -> bool:
    return all(
        permission.value.callers.get(Caller.ANYBODY) is Scope.EVERYWHERE
        or _may(permission.value.callers, token, process)
        for permission in permissions
    )


def _may(callers: Mapping[Role | Caller, Scope], token: str | None, process: Process) -> bool:
    caller, delegation = (Caller.ANYBODY, None) if token is None else _owner_of(token, process)
    scope = None if caller is None else callers.get(caller)
    if scope in (None, Scope.TRIAL):
        return scope is not None and process.settings.parcours_trial
    return scope is not Scope.ALL_DELEGATIONS or delegation is None


def _owner_of(token: str, process: Process) -> tuple[Role | Caller | None, str | None]:
    """Return who has the token, and the delegation. The first is None if the service does not know it."""
    if token in STAFF:
        return STAFF[token]
    is_known = process.name == "enrolment" and token != EXPIRED
    return Caller.PORTAL if is_known and (
        process.settings.parcours_trial or token != UNSIGNED
    ) else None, None


def reads_token(route: APIRoute) -> bool:
    return any(isinstance(call, HTTPBearer) for call in _calls(route.dependant))


@pytest.mark.parametrize("token", [None, *TOKENS_OF_ALL])
async def test_an_operation_answers_only_the_callers_of_its_row(process: Process, token: str | None) -> None:
    """An unknown token is refused where a token is read. A portal that reads answers by Kafka has no feed."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    is_unknown = token is not None and _owner_of(token, process)[0] is None
    opened, expected = {}, {}
    async with browser_on(process) as client:
        for route in routes_of(process):
            if isinstance(route, APIRoute):
                method = min(route.methods or ())
                answer = await client.request(method, address_of(route), headers=headers)
                is_other_way = token == BY_KAFKA and "Not by HTTP" in answer.text
                opened[method, route.path] = answer.status_code not in (401, 403) or is_other_way
                expected[method, route.path] = not (is_unknown and reads_token(route)) and is_open_to(
                    permissions_of(route), token, process
                )
    assert opened == expected != {}


def areas_of(process: Process) -> list[StaffArea]:
    areas = [AREAS[process.name], area_of(process.name)]
    return [*areas, FIGURES_AREA] if process.name == "notifier" else areas


async def log_in_everywhere(browser: httpx.AsyncClient, process: Process, token: str) -> dict[str, str]:
    """Log in wherever the token may be used. Return the keys of the forms, by area."""
    keys: dict[str, str] = {}
    for area in areas_of(process):
        await browser.post(area.log_in, data={"jeton": token})
        page = await browser.get(area.own_logins)
        if found := re.search('name="cle" value="([^"]+)"', page.text):
            keys[area.home] = found[1]
    return keys


def has_opened(answer: httpx.Response, permissions: set[Permission]) -> bool:
    if Permission.FOLLOW_LINK in permissions:  # a page of a link that nobody signed is not there
        return answer.status_code != 404
    is_page = answer.request.method == "GET"  # a form of nobody gets a 403
    led_to_log_in = is_page and answer.status_code == 303 and "/connexion" in answer.headers["location"]
    return answer.status_code != 403 and not led_to_log_in


def ends_log_in(route: BaseRoute) -> bool:
    return getattr(route, "path", "").endswith("/deconnexion")


def test_a_role_that_a_delegation_can_limit_has_no_row_everywhere() -> None:
    scopes = {permission.value.callers.get(role) for permission in Permission for role in WITHIN_DELEGATION}
    assert Scope.EVERYWHERE not in scopes


@pytest.mark.parametrize("process", IN_TRIAL, indirect=True, ids=SERVICES)
@pytest.mark.parametrize("token", TOKENS_OF_ALL)
async def test_a_page_opens_only_to_the_roles_of_its_row(process: Process, token: str) -> None:
    """Each service runs as in a trial here."""
    opened, expected = {}, {}
    homes = sorted((area.home for area in areas_of(process)), key=len, reverse=True)
    async with browser_on(process) as browser:
        browser.headers["authorization"] = f"Bearer {token}"
        keys = await log_in_everywhere(browser, process, token)
        for route in sorted(routes_of(process), key=ends_log_in):
            permissions = permissions_of(route)
            if not isinstance(route, Route) or isinstance(route, APIRoute):
                continue
            path = address_of(route)
            home = next((home for home in homes if path.startswith(home)), "")
            if "GET" in (route.methods or ()):
                answer = await browser.get(path)
            else:
                if ends_log_in(route):  # the one before has ended all
                    keys = await log_in_everywhere(browser, process, token)
                answer = await browser.post(path, data={"cle": keys.get(home, "")})
            opened[route.path] = has_opened(answer, permissions)
            expected[route.path] = is_open_to(permissions, token, process)
    assert opened == expected
    assert any(opened.values())
