"""An organiser at the pages of a delegation: logs in, fills in forms, reads errors."""

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


def local(days: float) -> str:
    """A moment as a field of a form has it."""
    return in_days(days).strftime("%Y-%m-%dT%H:%M")


async def send(browser: HttpBrowser, page: str, to: str = "", **fields: str) -> httpx.Response:
    """Fill in the form of a page as a browser does: all its fields, with ``fields`` changed."""
    return await browser.post(to or page, data=unseen_fields((await browser.get(page)).text) | fields)


def a_form(offer_id: str, /, **changes: str) -> dict[str, str]:
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


def wrong_fields(page: httpx.Response) -> list[str]:
    """The fields with an error beside them, to which the list above the form leads."""
    assert page.status_code == 422, page.text
    fields = re.findall(r'id="([^"]+)-erreur"', page.text)
    assert all(f'<li><a href="#{field}">' in page.text for field in fields)
    return fields


def text_of(page: str) -> str:
    """What the page says, without its tags."""
    main = page[page.index("<main") : page.index("</main")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


async def upload(
    organiser: HttpBrowser, content: bytes, *, key: str | None = None, **fields: str
) -> httpx.Response:
    path = "/gestion/sessions/importer"
    form = {"cle": hidden((await organiser.get(path)).text, "cle") if key is None else key} | fields
    return await organiser.post(path, data=form, files={"fichier": ("sessions.csv", content, "text/csv")})
