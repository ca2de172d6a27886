"""Pages and answers of the APIs among much data: time to the first byte over HTTP, of all three services.

``python -m tests.benchmarks.pages`` prints the times; ``python -m tests.benchmarks.pages enrolment`` those of
one service.
"""

import hashlib
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from local.postgres import PostgresServer
from services.catalogue.definition import DEFINITION as CATALOGUE
from services.catalogue.rules.offers import loaded_session_id
from services.catalogue.settings import Settings as CatalogueSettings
from services.enrolment.definition import DEFINITION as ENROLMENT
from services.enrolment.settings import Settings as EnrolmentSettings
from services.notifier.definition import DEFINITION as NOTIFIER
from services.notifier.settings import Settings as NotifierSettings
from shared import migrations
from shared.database import Database
from shared.web.links import LinkSettings, Purpose
from tests.benchmarks import much_data
from tests.benchmarks.much_data import BIG, OTHER, PERSON, address, agent_id, id_of
from tests.conftest import settings_of
from tests.support.serving import serving

REQUESTS = 40
WARM = 5
"""Requests before what is counted."""
MOST_MS = 100
"""What the 95th percentile of no page may exceed."""
ORGANISER, ADMIN = "advisor-bretagne", "siege"
TOKENS = [
    {"name": ORGANISER, "role": "organiser", "delegation": "bretagne"},
    {"name": ADMIN, "role": "admin"},
]
KEY = "a key of thirty-two characters for tests only"


@dataclass(frozen=True, slots=True)
class MeasuredPage:
    """What is asked for; ``form`` is what is sent, ``by`` who asks, with a token where ``area`` is empty."""

    path: str
    by: str | None = None
    area: str = ""
    form: Mapping[str, str] = field(default_factory=dict)


ORGANISING, SUPPORT = "/inscriptions/gestion", "/courriels/suivi"
_SESSION = f"{ORGANISING}/sessions/{BIG}"
_API = f"/api/v1/sessions/{BIG}"
_PURPOSE = {"motif": "appel de l’agent"}


def _organising(path: str, **form: str) -> MeasuredPage:
    return MeasuredPage(path, ORGANISER, ORGANISING, form)


def _support(path: str, **form: str) -> MeasuredPage:
    return MeasuredPage(path, ADMIN, SUPPORT, form)


def _operations(prefix: str) -> dict[str, MeasuredPage]:
    home = f"{prefix}/exploitation"
    return {
        "operations": MeasuredPage(home, ADMIN, home),
        "incidents": MeasuredPage(f"{home}/incidents", ADMIN, home),
        "incident": MeasuredPage(f"{home}/incidents/10", ADMIN, home),
    }


def _link(purpose: Purpose, person: int = PERSON) -> MeasuredPage:
    links = LinkSettings(link_signing_key=KEY).links
    assert links is not None
    ids = (str(id_of(person)), str(links.mark(address(person))), "0")
    return MeasuredPage(
        f"{purpose.value}/{links.token(purpose, *ids, until=datetime.now(UTC) + timedelta(days=60))}"
    )


PAGES: Mapping[str, Mapping[str, MeasuredPage]] = {
    "catalogue": {
        "home": MeasuredPage("/"),
        "list": MeasuredPage("/sessions"),
        "list_filtered": MeasuredPage("/sessions?format=webinar&ouvertes=oui"),
        "list_theme": MeasuredPage("/sessions?theme=transition-ecologique"),
        "month": MeasuredPage("/sessions?vue=calendrier"),
        "map": MeasuredPage("/sessions?vue=carte"),
        "search": MeasuredPage("/sessions?recherche=transition+ecologique+des+territoires"),
        "search_rare": MeasuredPage("/sessions?recherche=mamoudzou+900"),
        "search_misspelt": MeasuredPage("/sessions?recherche=tranzition"),
        "session": MeasuredPage(f"/sessions/{loaded_session_id('ia-et-territoires', 'rennes')}"),
        "offer": MeasuredPage("/offres/ia-et-territoires"),
        "resources": MeasuredPage("/ressources"),
        "calendar": MeasuredPage("/agenda.ics?delegation=bretagne"),
        "feed": MeasuredPage("/replays.atom"),
        "sitemap": MeasuredPage("/sitemap.xml"),
        "own_sessions": MeasuredPage("/gestion", ORGANISER, "/gestion"),
        "own_resources": MeasuredPage("/gestion/ressources", ORGANISER, "/gestion"),
        "own_requests": MeasuredPage("/gestion/demandes", ORGANISER, "/gestion"),
        "api_list": MeasuredPage("/api/v1/sessions?limit=50"),
        "api_offers": MeasuredPage("/api/v1/offers"),
        "api_resources": MeasuredPage("/api/v1/resources"),
        "api_requests": MeasuredPage("/api/v1/bespoke-requests", ORGANISER),
        **_operations(""),
    },
    "enrolment": {
        "start": _organising(ORGANISING),
        "start_of_all": MeasuredPage(ORGANISING, ADMIN, ORGANISING),
        "tasks_of_all": MeasuredPage(f"{ORGANISING}/a-faire", ADMIN, ORGANISING),
        "participants": _organising(_SESSION),
        "participants_who_wait": _organising(f"{_SESSION}?etat=attente"),
        "participants_gone": _organising(f"{_SESSION}?etat=fin"),
        "participants_by_name": _organising(f"{_SESSION}?tri=nom"),
        "participants_by_employer": _organising(f"{_SESSION}?tri=employeur"),
        "participants_by_change": _organising(f"{_SESSION}?tri=depuis"),
        "participants_offered_by_name": _organising(f"{_SESSION}?tri=nom&etat=proposee"),
        "participants_searched": _organising(_SESSION, recherche="gauthier elise"),
        "participants_not_found": _organising(_SESSION, recherche="personne de ce nom"),
        "participants_found_often": _organising(_SESSION, recherche="ville"),
        "waiting_list": _organising(f"{_SESSION}/attente"),
        "ranking": _organising(f"{_SESSION}/candidatures"),
        "presence": _organising(f"{_SESSION}/presence"),
        "check_in": _organising(f"{_SESSION}/pointage"),
        "check_in_of_others": MeasuredPage(f"{ORGANISING}/sessions/{OTHER}/pointage", ADMIN, ORGANISING),
        "messages": _organising(f"{_SESSION}/messages"),
        "history": _organising(f"{_SESSION}/historique"),
        "sheets": _organising(f"{_SESSION}/fichiers"),
        "by_hand": _organising(f"{_SESSION}/ajout"),
        "person": _organising(f"{ORGANISING}/inscriptions/{id_of(PERSON)}"),
        "person_who_waits": _organising(f"{ORGANISING}/inscriptions/{id_of(80_070)}"),
        "my_enrolments": _link(Purpose.ENROLMENTS),
        "my_only_enrolment": _link(Purpose.ENROLMENTS, PERSON + 1),
        "my_calendar": _link(Purpose.CALENDAR),
        "withdrawal": _link(Purpose.WITHDRAW),
        "move": _link(Purpose.MOVE),
        "api_roster": MeasuredPage(f"{_API}/roster?limit=100", ORGANISER),
        "api_messages": MeasuredPage(f"{_API}/messages", ORGANISER),
        "api_enrolments": MeasuredPage(f"/api/v1/enrolments?agent_id={agent_id(PERSON)}", ADMIN),
        "api_request": MeasuredPage(f"/api/v1/requests/{id_of(PERSON)}", ADMIN),
        "api_answers": MeasuredPage("/api/v1/answers?after=50000", "portail"),
        **_operations("/inscriptions"),
    },
    "notifier": {
        "mail_log": _support(SUPPORT, **_PURPOSE),
        "mail_log_failed": _support(SUPPORT, **_PURPOSE, etat="failed"),
        "mail_log_sent": _support(SUPPORT, **_PURPOSE, etat="sent"),
        "mail_log_pending": _support(SUPPORT, **_PURPOSE, etat="pending"),
        "mail_log_superseded": _support(SUPPORT, **_PURPOSE, etat="superseded"),
        "mail_log_of_agent": _support(SUPPORT, **_PURPOSE, agent=agent_id(PERSON)),
        "mail_log_of_issuer": _support(SUPPORT, **_PURPOSE, emetteur="nobody"),
        "person": _support(f"{SUPPORT}/personnes", **_PURPOSE, agent=agent_id(PERSON), emetteur="portail"),
        "people_by_address": _support(f"{SUPPORT}/personnes", **_PURPOSE, cherche=address(PERSON)),
        "people_by_name": _support(f"{SUPPORT}/personnes", **_PURPOSE, cherche="gauthier"),
        "people_not_found": _support(f"{SUPPORT}/personnes", **_PURPOSE, cherche="personne"),
        "letter": _support(f"{SUPPORT}/MAIL"),
        "letter_shown": _support(f"{SUPPORT}/MAIL/lettre"),
        "figures": _support(f"{SUPPORT}/chiffres"),
        "figures_sheet": _support(f"{SUPPORT}/chiffres.csv"),
        "erasure": _support(f"{SUPPORT}/effacement"),
        "news": MeasuredPage("/courriels/abonnement"),
        "lost_link": MeasuredPage("/courriels/mes-inscriptions"),
        "api_mails": MeasuredPage("/api/v1/mails", ADMIN),
        "api_counts": MeasuredPage("/api/v1/mails/counts", ADMIN),
        **_operations("/courriels"),
    },
}


@dataclass(frozen=True, slots=True)
class FilledService:
    """A service, and what fills its database."""

    definition: Any
    settings: Any
    fill: Callable[[Database], Coroutine[Any, Any, None]]


SERVICES: Mapping[str, FilledService] = {
    "catalogue": FilledService(CATALOGUE, CatalogueSettings, much_data.fill_catalogue),
    "enrolment": FilledService(ENROLMENT, EnrolmentSettings, much_data.fill_enrolment),
    "notifier": FilledService(NOTIFIER, NotifierSettings, much_data.fill_notifier),
}


def run(*services: str) -> dict[str, float]:
    """Milliseconds to the first byte of each page, as a client on this machine sees them: median and p95."""
    figures = {}
    for service in services or SERVICES:
        with served(service) as client:
            for name, (median, p95) in _first_bytes(client, PAGES[service]):
                figures[f"{service}_{name}_median_ms"] = median
                figures[f"{service}_{name}_p95_ms"] = p95
    return figures


def too_slow(figures: Mapping[str, float]) -> list[str]:
    """Return the names of the 95th percentiles of pages that are above the limit."""
    return [name for name, value in figures.items() if name.endswith("_p95_ms") and value > MOST_MS]


@contextmanager
def served(name: str) -> Iterator[httpx.Client]:
    """A service with much data, and a client of it."""
    service = SERVICES[name]
    with PostgresServer.temporary(durable=True) as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.create_database(name)
        migrations.upgrade(url, service.definition.revisions)

        @asynccontextmanager
        async def composed(at: str) -> AsyncIterator[object]:
            process = service.definition.compose(service.settings(**_settings(name, url, at, Path(folder))))
            await service.fill(process.database)
            yield process.api
            await process.database.close()

        with serving(composed, seconds=300) as at, httpx.Client(base_url=at, timeout=60) as client:
            client.headers["accept-encoding"] = "gzip"
            yield client


def _settings(service: str, url: str, at: str, folder: Path) -> dict[str, Any]:
    tokens = [token | {"sha256": hashlib.sha256(token["name"].encode()).hexdigest()} for token in TOKENS]
    portal = {"portal": "portail", "issuer": "portail", "contact": "equipe@portail.example"}
    keys = {"tokens": [{"sha256": hashlib.sha256(b"portail").hexdigest()}]}
    (folder / "tokens.json").write_text(json.dumps(tokens))
    (folder / "portals.json").write_text(json.dumps([portal | keys]))
    environment = settings_of(service, url, "localhost:1") | {
        "API_TOKENS_FILE": str(folder / "tokens.json"),
        "PORTALS_FILE": str(folder / "portals.json"),
        "PUBLIC_BASE_URL": at,
        "LINK_SIGNING_KEY": KEY,
        "READ_RATE": "1000000/second",
        "LINK_RATE": "1000000/second",
    }
    return {key.lower(): value for key, value in environment.items()}


def _first_bytes(
    client: httpx.Client, pages: Mapping[str, MeasuredPage]
) -> Iterator[tuple[str, tuple[float, float]]]:
    for name, page in pages.items():
        ask = _asked(client, page)
        times = []
        for _ in range(WARM + REQUESTS):
            began = time.perf_counter()
            with client.stream(**ask) as answer:
                times.append((time.perf_counter() - began) * 1000)
                answer.read()
            assert answer.status_code == 200, (name, answer.status_code, answer.text[:2000])
        warm = sorted(times[WARM:])
        yield name, (statistics.median(warm), warm[int(len(warm) * 0.95)])


def _asked(client: httpx.Client, page: MeasuredPage) -> dict[str, Any]:
    """Return the request of a page; who asks is logged in to its area first."""
    if not page.area:
        headers = {} if page.by is None else {"authorization": f"Bearer {page.by}"}
        return {"method": "GET", "url": page.path, "headers": headers}
    client.cookies.clear()
    client.post(f"{page.area}/connexion", data={"jeton": page.by})
    home = page.path if page.area not in page.path else page.area
    key = _hidden(client.get(home, follow_redirects=True).text)
    path = page.path
    if "MAIL" in path:
        found = client.post(page.area, data={"cle": key, **_PURPOSE, "agent": agent_id(PERSON)}).text
        (mail, *_) = re.findall(rf'href="{page.area}/([0-9a-f-]{{36}})"', found)
        path = path.replace("MAIL", mail)
    if not page.form:
        return {"method": "GET", "url": path}
    return {"method": "POST", "url": path, "data": {"cle": key, **page.form}}


def _hidden(page: str) -> str:
    found = re.search(r'name="cle" value="([^"]*)"', page)
    assert found is not None, page[:2000]
    return found[1]


def main() -> None:
    """Print the times; end with 1 where a page is too slow."""
    figures = run(*sys.argv[1:])
    for name in (name.removesuffix("_median_ms") for name in figures if name.endswith("_median_ms")):
        print(f"{name:42} {figures[f'{name}_median_ms']:8.1f} {figures[f'{name}_p95_ms']:8.1f} ms")
    if slow := too_slow(figures):
        sys.exit(f"above {MOST_MS} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main()
