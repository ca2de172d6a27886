"""Somebody of a delegation at its pages: logs in, fills in forms, reads what stands beside a field."""

import re
from html import unescape

import httpx
import pytest

from tests.integration.catalogue.conftest import BRETAGNE, in_days

HttpBrowser = httpx.AsyncClient


async def log_in(browser: HttpBrowser, token: str = BRETAGNE) -> httpx.Response:
    return await browser.post("/gestion/connexion", data={"jeton": token})


@pytest.fixture
async def organiser(visit: HttpBrowser) -> HttpBrowser:
    """Somebody of Bretagne, logged in."""
    assert (await log_in(visit)).status_code == 303
    return visit


def hidden(page: str, name: str) -> str:
    match = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert match, page
    return unescape(match[1])


def unseen_fields(page: str) -> dict[str, str]:
    """What the form of a page sends beside what is typed."""
    of_some = [name for name in ("version", "avant-modele") if f'name="{name}"' in page]
    return {name: hidden(page, name) for name in ("cle", *of_some)}


async def send(browser: HttpBrowser, page: str, to: str = "", **fields: str) -> httpx.Response:
    """Fill in the form of a page as a browser does: all its fields, with ``fields`` changed."""
    return await browser.post(to or page, data=unseen_fields((await browser.get(page)).text) | fields)


def a_form(offer_id: str, /, **changes: str) -> dict[str, str]:
    def local(days: float) -> str:
        return in_days(days).strftime("%Y-%m-%dT%H:%M")

    fields = {
        "offer_id": offer_id,
        "title": "L'IA à Brest",
        "starts_at": local(40),
        "ends_at": local(40.3),
        "enrolment_opens_at": local(-1),
        "venue": "Brest",
    }
    return fields | changes


async def created(organiser: HttpBrowser, offer_id: str, /, **changes: str) -> str:
    answer = await send(organiser, "/gestion/sessions/nouvelle", **a_form(offer_id, **changes))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].split("?")[0]


def error_of(page: httpx.Response, field: str) -> str:
    """What stands beside the field; the list above the form leads there and says the same."""
    match = re.search(rf'id="{field}-erreur">([^<]*)<', page.text)
    assert match, page.text
    assert re.search(rf'<li><a href="#{field}">[^<]+\u00a0: {re.escape(match[1])}</a>', page.text), page.text
    assert f' id="{field}"' in page.text
    assert re.search(rf'name="{field}"[^>]*aria-describedby="[^"]*{field}-erreur"', page.text)
    return unescape(match[1])


async def upload(
    organiser: HttpBrowser, content: bytes, *, key: str | None = None, **fields: str
) -> httpx.Response:
    path = "/gestion/sessions/importer"
    form = {"cle": hidden((await organiser.get(path)).text, "cle") if key is None else key} | fields
    return await organiser.post(path, data=form, files={"fichier": ("sessions.csv", content, "text/csv")})
