"""Finds employers in the State's public search of companies, if operators allow it (ADR 0077).

Form of the answers: https://recherche-entreprises.api.gouv.fr/docs/.
"""

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import Counter
from pydantic import BaseModel, ValidationError

from shared import VERSION, clock, places
from shared.events.vocabulary import Employer

log = logging.getLogger(__name__)

SECONDS = 1.0
"""For one search, and for all searches of one list. The page that waits has no transaction open."""
MAX_BYTES = 256 * 1024
MOST_AT_ONCE = 2
RETRY_AFTER = timedelta(minutes=1)
"""After a failure, nothing is asked for this long: no further page waits for a service that is away."""
FRESH = timedelta(days=1)
MOST_KEPT = 1_000
_LONGEST = 100
_PER_PAGE = "25"
_PUBLIC_LAW = ("4", "7")
"""First digits of INSEE's legal categories: establishments with a trade, and administrations."""

SEARCHES = Counter(
    "parcours_employer_searches_total", "Searches of employers in the State's register.", ["result"]
)
for result in ("found", "nothing", "failed", "spared"):
    SEARCHES.labels(result)


class EmployerSearchFailed(Exception):
    """The service does not answer in time, or not in the published form."""


class _Establishment(BaseModel):
    siret: str
    commune: str | None = None
    etat_administratif: str | None = None


class _Company(BaseModel):
    nom_complet: str | None = None
    nature_juridique: str | None = None
    siege: _Establishment
    matching_etablissements: tuple[_Establishment, ...] = ()

    def employer(self, asked: str) -> Employer | None:
        """Return the establishment with the SIRET that was asked for, else the seat."""
        here = next((each for each in self.matching_etablissements if each.siret == asked), self.siege)
        code = here.commune or ""
        found = places.named(code[:3] if code.startswith("97") else code[:2])
        is_public = (self.nature_juridique or "").startswith(_PUBLIC_LAW)
        if not (found and is_public and self.nom_complet) or here.etat_administratif == "F":
            return None
        try:
            return Employer(siret=here.siret, name=self.nom_complet, delegation=found[0].delegation)
        except ValidationError:
            return None


class _Answer(BaseModel):
    results: tuple[_Company, ...]


class EmployerSearch:
    """``address`` is that of the search, or None if nothing may be asked."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._known: OrderedDict[str, tuple[datetime, Sequence[Employer]]] = OrderedDict()
        self._retry_at = datetime.min.replace(tzinfo=UTC)
        self._asking = 0
        self._tls: ssl.SSLContext | None = None

    async def find(self, typed: str) -> Sequence[Employer]:
        """Return the public employers with this name or SIRET. Return none if the search is off or fails."""
        sought = " ".join(typed.split())[:_LONGEST]
        if self._address is None or not sought:
            return ()
        now = clock.now()
        since, known = self._known.get(sought, (None, ()))
        if since is not None and now < since + FRESH:
            return known
        if now < self._retry_at or self._asking >= MOST_AT_ONCE:
            SEARCHES.labels("spared").inc()
            return ()
        self._asking += 1
        try:
            found = await self.ask(sought)
        except EmployerSearchFailed as error:
            self._retry_at = clock.now() + RETRY_AFTER
            SEARCHES.labels("failed").inc()
            log.warning("employers were not searched: %s", error)
            return ()
        finally:
            self._asking -= 1
        SEARCHES.labels("found" if found else "nothing").inc()
        self._known[sought] = now, found
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return found

    async def find_each(self, numbers: Iterable[str]) -> Sequence[Employer]:
        """Return the employers with these SIRETs that are found within :data:`SECONDS`."""
        found: list[Employer] = []
        try:
            async with asyncio.timeout(SECONDS):
                for number in numbers:
                    found += [employer for employer in await self.find(number) if employer.siret == number]
        except TimeoutError:
            pass
        return found

    async def ask(self, sought: str) -> Sequence[Employer]:
        """Raises :class:`EmployerSearchFailed`."""
        import httpx  # noqa: PLC0415 few installations search

        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        query = {
            "q": sought,
            "etat_administratif": "A",
            "minimal": "true",
            "include": "siege,matching_etablissements",
            "per_page": _PER_PAGE,
        }
        headers = {"User-Agent": f"Parcours/{VERSION}", "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(SECONDS),
                httpx.AsyncClient(verify=self._tls, headers=headers) as client,
                client.stream("GET", self._address or "", params=query) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise EmployerSearchFailed(f"status {response.status_code}")
                content = bytearray()
                async for piece in response.aiter_raw():
                    content += piece
                    if len(content) > MAX_BYTES:
                        raise EmployerSearchFailed(f"the answer has more than {MAX_BYTES} bytes")
            companies = _Answer.model_validate_json(content).results
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            raise EmployerSearchFailed(type(error).__name__) from error
        employers = (company.employer(sought) for company in companies)
        return [employer for employer in employers if employer is not None]
