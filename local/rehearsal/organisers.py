"""Organisers at their pages, as a browser shows them. Each answer is timed."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape

import httpx

from local.failures import LocalStackError
from local.people import Agent

CATALOGUE, ENROLMENT = "/gestion", "/inscriptions/gestion"
_HIDDEN = re.compile(r'name="(cle|version)" value="([^"]*)"')
_PATIENCE_SECONDS = 60.0


class Organiser:
    """`urls` has the addresses of the services by area. `took` gets the milliseconds to each answer."""

    def __init__(self, browser: httpx.AsyncClient, urls: Mapping[str, str], took: list[float]) -> None:
        self._browser = browser
        self._urls = urls
        self._took = took

    @classmethod
    @asynccontextmanager
    async def at_work(
        cls, urls: Mapping[str, str], token: str, took: list[float]
    ) -> AsyncIterator["Organiser"]:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as browser:
            organiser = cls(browser, urls, took)
            for area in urls:
                await organiser._send(f"{area}/connexion", {"jeton": token})
            yield organiser

    async def read(self, page: str) -> str:
        """Ask again while the service is being replaced, as a person would."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = await self._timed("GET", page)
            except httpx.TransportError:
                answer = httpx.Response(httpx.codes.SERVICE_UNAVAILABLE)
            if answer.is_success:
                return answer.text
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                raise LocalStackError(f"the page {page} answered {answer.status_code}")
            await asyncio.sleep(1)

    async def submit(self, page: str, **fields: str) -> None:
        """Fill in and send the form of a page."""
        hidden = {name: unescape(value) for name, value in _HIDDEN.findall(await self.read(page))}
        await self._send(page, hidden | fields)

    async def _send(self, page: str, form: Mapping[str, str]) -> None:
        answer = await self._timed("POST", page, form)
        if not answer.is_redirect:  # a refused form is shown again
            raise LocalStackError(f"the form of {page} answered {answer.status_code}")

    async def _timed(self, method: str, page: str, form: Mapping[str, str] | None = None) -> httpx.Response:
        url = next(url for area, url in self._urls.items() if page.startswith(area))
        began = time.monotonic()
        answer = await self._browser.request(method, url + page, data=form)
        self._took.append((time.monotonic() - began) * 1_000)
        return answer


def form_of(agent: Agent) -> dict[str, str]:
    """Return the fields of the form that enrols a person."""
    employer = agent.employer
    return {
        **{name: getattr(agent, name) for name in ("given_name", "family_name", "email", "function")},
        "employer": employer.name,
        "siret": employer.siret,
        "delegation": employer.delegation,
    }
