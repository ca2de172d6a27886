"""A visitor and an organiser at the pages: log in, fill in forms, read errors, links and lists."""

import json
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from icalendar import Calendar

from services.catalogue.rules.offers import loaded_session_id
from tests.integration.catalogue.conftest import BRETAGNE, MOOC, RENNES, in_days

HttpBrowser = httpx.AsyncClient


async def log_in(browser: HttpBrowser, token: str = BRETAGNE) -> httpx.Response:
    return await browser.post("/gestion/connexion", data={"jeton": token})


@pytest.fixture
async def organiser(visit: HttpBrowser) -> HttpBrowser:
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


def edited(page: str) -> str:
    """The page of a session has its form at a step."""
    return f"{page}?etape=quoi" if re.fullmatch(r"/gestion/sessions/[0-9a-f-]{36}", page) else page


async def send(browser: HttpBrowser, page: str, to: str = "", **fields: str) -> httpx.Response:
    """Fill in the form of a page as a browser does: all its fields, with ``fields`` changed."""
    opened = page if to else edited(page)
    return await browser.post(to or page, data=unseen_fields((await browser.get(opened)).text) | fields)


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
    main = page[page.index("<main") : page.index("</main")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


async def upload(
    organiser: HttpBrowser, content: bytes, *, key: str | None = None, **fields: str
) -> httpx.Response:
    path = "/gestion/sessions/importer"
    form = {"cle": hidden((await organiser.get(path)).text, "cle") if key is None else key} | fields
    return await organiser.post(path, data=form, files={"fichier": ("sessions.csv", content, "text/csv")})


MAMOUDZOU = loaded_session_id("ia-et-territoires", "mamoudzou")
PAGES = (
    "/",
    "/sessions",
    "/sessions?format=local_event&delegation=bretagne",
    "/sessions?recherche=intelligence",
    "/sessions?vue=calendrier",
    "/sessions?vue=carte",
    f"/sessions/{MOOC}",
    f"/sessions/{RENNES}",
    "/offres/mooc-fondamentaux-ia",
    "/offres/sur-mesure-enjeux-ia",
    "/ressources",
    "/accessibilite",
    "/mentions-legales",
    "/donnees-personnelles",
)


class LinkedPage(HTMLParser):
    """What a page says and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.data: list[Any] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [value for name in ("href", "src") if (value := given.get(name))]
        if tag == "script":  # a file of ours, or data
            assert given.get("src") or given.get("type") == "application/ld+json"
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            self.data.append(json.loads(data))
        else:
            self.text += re.sub(r"[\s\u00a0\u202f]+", " ", data)


async def read(browser: HttpBrowser, path: str, status: int = 200) -> LinkedPage:
    answer = await browser.get(path)
    assert answer.status_code == status, answer.text
    return LinkedPage(answer.text)


async def found(browser: HttpBrowser, **query: str) -> set[str]:
    """The ids of the sessions that a list shows, all its pages."""
    path, ids = "/sessions?" + str(httpx.QueryParams(query)), set[str]()
    while path:
        page = await read(browser, path)
        ids |= set(session_links(page))
        path = next((link for link in page.links if "apres=" in link), "")
    return ids


def session_links(page: LinkedPage) -> Iterator[str]:
    for link in page.links:
        match = re.fullmatch(r"/sessions/([0-9a-f-]{36})(?:\?[^#]*)?", link)
        if match:
            yield match[1]


def entries(answer: httpx.Response) -> list[Any]:
    return list(Calendar.from_ical(answer.content).walk("VEVENT"))
