"""A visitor of the public pages: what a page says, where it leads, which sessions a list shows."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
from icalendar import Calendar

from services.catalogue.rules.offers import loaded_session_id
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import MOOC, RENNES

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
        match = re.fullmatch(r"/sessions/([0-9a-f-]{36})", link)
        if match:
            yield match[1]


def entries(answer: httpx.Response) -> list[Any]:
    """The entries of a calendar."""
    return list(Calendar.from_ical(answer.content).walk("VEVENT"))
