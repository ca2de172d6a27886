"""Pages answer whatever is sent to them as what it is: never by a fault of ours."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from services.catalogue import pages as catalogue_pages
from shared.auth import Tokens
from shared.process import Process
from tests.integration.catalogue.conftest import ADMIN
from tests.integration.catalogue.test_bespoke import a_bespoke_request, hear
from tests.integration.services.composed import AREAS, SITE, browser_on
from tests.integration.services.conftest import Compose
from tests.integration.services.filled import FILL
from tests.support.guards import NOWHERE, a_guard
from tests.support.processes import SERVICES

RUBBISH = ("\0", "é\r\nBcc: x@y.example\ufeff\U0010ffff{0}%s", "9" * 5000)
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
QUERY = (
    *("recherche", "format", "delegation", "theme", "mois", "du", "au", "passees", "vue", "apres", "avant"),
    *("tri", "etat", "offre", "depuis", "debut", "type", "fait", "vers", "jeton", "agent", "cherche"),
    *("towns-0-town", "towns-0-starts_at", "modules-0-ends_at", "questions-0-kind", "reserved_seats-0-seats"),
    *("version", "ligne", "apercu", "confirmer", "decision", "interet", "adresse", "emetteur", "encore"),
)


@pytest.fixture(params=SERVICES)
def process(request: pytest.FixtureRequest, compose_service: Compose) -> Process:
    """A service that no rate keeps anybody from asking."""
    return compose_service(request.param, refused_rate="100000/day", link_rate="100000/day")


@pytest.fixture
async def admin(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_on(process) as browser:
        await browser.post(AREAS[process.name].log_in, data={"jeton": ADMIN})
        yield browser


async def addresses_of(process: Process) -> dict[str, str]:
    """Each page's route, and its address where what it is about is there."""
    known = await FILL[process.name](process.database)
    routes = list(process.api.routes)
    if process.name == "catalogue":
        known["bespoke_id"] = str(await hear(process.database, a_bespoke_request()))
        site = catalogue_pages.Site(database=NOWHERE, tokens=Tokens(), guard=a_guard(), address=SITE)
        routes += catalogue_pages.build(site).routes
    paths = {str(getattr(route, "path", "")) for route in routes}
    return {
        path: re.sub(r"\{(\w+)[^}]*\}", lambda found: known.get(found[1], str(UUID(int=0))), path)
        for path in sorted(paths)
        if not path.startswith(("/api/", "/health", "/metrics")) and not path.endswith("/deconnexion")
    }


async def test_rubbish_in_every_address_and_field_is_no_fault_of_ours(
    process: Process, admin: httpx.AsyncClient
) -> None:
    [key] = set(re.findall('name="cle" value="([^"]+)"', (await admin.get(AREAS[process.name].home)).text))
    found, there = {}, set()
    for route, address in (await addresses_of(process)).items():
        page = await admin.get(address)
        there.add(page.status_code)
        fields = {*QUERY, *re.findall(r'<(?:input|select|textarea)[^>]* name="([^"]+)"', page.text)}
        for rubbish in RUBBISH:
            answers = [
                await admin.get(address, params=dict.fromkeys(fields, rubbish[:300])),
                await admin.post(address, data=dict.fromkeys(fields, rubbish) | {"cle": key}),
            ]
            if "{" in route:
                elsewhere = re.sub(r"\{[^}]*\}", quote(rubbish, safe=""), route)
                answers += [await admin.get(elsewhere), await admin.post(elsewhere, data={"cle": key})]
            found[route, rubbish[:10]] = max(answer.status_code for answer in (page, *answers))
    assert {place: status for place, status in found.items() if status >= 500} == {}
    assert 200 in there


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b'{"jeton": "x"}', 400),
        ("", b"x", 403),
        (URLENCODED, b"", 403),
        (URLENCODED, b"jeton=%ff%fe", 400),
        (URLENCODED, b"\xff\x00&&==;" * 50, 400),
        (URLENCODED, "jeton=é".encode("latin-1"), 400),
        (URLENCODED, b"jeton=" + b"x" * 300_000, 413),
        (URLENCODED, "&".join(f"interet={number}" for number in range(1000)).encode(), 403),
        (
            MULTIPART,
            b"--x\r\nContent-Disposition: form-data; name=jeton; filename=a\r\n\r\nx\r\n--x--\r\n",
            400,
        ),
        (MULTIPART, b"--y\r\nnonsense", 400),
        ("multipart/form-data", b"--x--", 400),
    ],
)
async def test_what_is_no_form_of_the_log_in_is_refused(
    compose_service: Compose, kind: str, body: bytes, status: int
) -> None:
    async with browser_on(compose_service("catalogue", refused_rate="100000/day")) as browser:
        answer = await browser.post("/gestion/connexion", content=body, headers={"content-type": kind})
    assert answer.status_code == status
