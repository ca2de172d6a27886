"""The offer in LHEO: valid under the published schema, true of the sessions, and only what is public."""

import functools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from services.catalogue.pages import feeds
from services.catalogue.pages.lheo import NAMESPACE
from services.catalogue.settings import TrainingOrganisation
from shared.database import Database
from tests.conftest import Ask, pooled
from tests.integration.catalogue.browsing import HttpBrowser
from tests.integration.catalogue.conftest import (
    BRETAGNE,
    PUBLIC_URL,
    drafted,
    in_days,
    published,
    seats_taken,
    time_is,
    visiting,
)
from tests.support.lacking import lacking_schema
from tests.support.pools import Pools

SCHEMA = Path(__file__).parents[4] / "shared" / "specs" / "lheo-2.3.xsd"
"""The published schema. It stands beside the project, which does not copy it."""
PATH = "/offre.lheo.xml"
ORGANISATION = TrainingOrganisation(
    activity_number="11755555555",
    siret="18001404500009",
    name="Centre national de la fonction publique territoriale",
    street="80 rue de Reuilly",
    postal_code="75012",
    commune="Paris",
)
OPEN, FULL, NOT_YET = "1", "2", "3"


@pytest.fixture
async def harvester(database: Database, tokens_file: Path) -> AsyncIterator[HttpBrowser]:
    async with visiting(database, tokens_file, organisation=ORGANISATION) as browser:
        yield browser


@functools.cache
def schema() -> xmlschema.XMLSchema:
    if not SCHEMA.exists():
        lacking_schema(SCHEMA)
    return xmlschema.XMLSchema(SCHEMA)


def errors(document: bytes) -> list[str]:
    return [f"{error.path}: {error.reason}" for error in schema().iter_errors(document)]


async def harvest(browser: HttpBrowser) -> ET.Element:
    answer = await browser.get(PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (200, feeds.XML)
    return ET.fromstring(answer.content)


def texts(document: ET.Element, *path: str) -> list[str | None]:
    steps = "/".join(f"{{{NAMESPACE}}}{step}" for step in path)
    return [found.text for found in document.iterfind(f".//{steps}")]


def ids(document: ET.Element) -> list[str | None]:
    return [found.get("numero") for found in document.iter(f"{{{NAMESPACE}}}session")]


async def test_the_national_offer_is_valid_under_the_published_schema(
    loaded_url: str, tokens_file: Path, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MAX_IN_A_PART", 7)
    async with (
        pooled(loaded_url, pools) as database,
        visiting(database, tokens_file, organisation=ORGANISATION) as browser,
    ):
        answer = await browser.get(PATH)
    assert errors(answer.content) == []
    document = ET.fromstring(answer.content)
    assert len(ids(document)) == len(set(ids(document))) > 20
    assert set(texts(document, "organisme-formation-responsable", "numero-activite")) == {"11755555555"}
    assert {"0", "2"} == set(texts(document, "modalites-enseignement"))


async def test_there_is_no_lheo_before_the_training_organisation_is_set(visit: HttpBrowser) -> None:
    assert (await visit.get(PATH)).status_code == 404


async def test_a_session_has_its_days_place_audience_and_contact(
    an_empty_offer: str, ask: Ask, harvester: HttpBrowser
) -> None:
    session_id = await published(
        ask,
        an_empty_offer,
        title="Lire & écrire <avec> l’IA",
        venue="Maison des associations, 12 rue du Port, 29200 Brest",
        audience={"functions": ["encadrant"]},
    )
    answer = await harvester.get(PATH)
    assert errors(answer.content) == []
    document = ET.fromstring(answer.content)
    (session,) = document.iter(f"{{{NAMESPACE}}}session")
    assert (session.get("numero"), session.get("info")) == (session_id, "Lire & écrire <avec> l’IA")
    assert texts(document, "lieu-de-formation", "coordonnees", "adresse", "ligne") == [
        "Maison des associations, 12 rue du Port"
    ]
    assert texts(document, "lieu-de-formation", "coordonnees", "adresse", "codepostal") == ["29200"]
    assert texts(document, "lieu-de-formation", "coordonnees", "adresse", "ville") == ["Brest"]
    assert texts(document, "info-public-vise") == ["Encadrantes et encadrants"]
    assert texts(document, "contact-session", "coordonnees", "nom") == ["Délégation Bretagne du CNFPT"]
    assert texts(document, "url-session", "urlweb") == [f"{PUBLIC_URL}/sessions/{session_id}"]
    page = (await harvester.get(f"/sessions/{session_id}")).text
    assert '"streetAddress":"Maison des associations, 12 rue du Port","postalCode":"29200"' in page


async def test_recruitment_opens_and_ends_with_the_clock_and_the_seats_and_so_does_the_etag(
    an_empty_offer: str, ask: Ask, harvester: HttpBrowser, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = in_days(2)
    session_id = await published(ask, an_empty_offer, enrolment_opens_at=opens.isoformat(), capacity=30)

    async def again(etag: str = "") -> tuple[int, str, Any]:
        answer = await harvester.get(PATH, headers={"if-none-match": etag})
        state = texts(ET.fromstring(answer.content), "etat-recrutement") if answer.content else None
        return answer.status_code, answer.headers["etag"], state

    status, etag, state = await again()
    assert (status, state) == (200, [NOT_YET])
    assert await again(etag) == (304, etag, None)
    async with time_is(monkeypatch, opens + timedelta(minutes=1)):
        status, etag, state = await again(etag)
        assert (status, state) == (200, [OPEN])
        await seats_taken(database, session_id, 30)
        status, etag, state = await again(etag)
        assert (status, state) == (200, [FULL])
        assert await again(etag) == (304, etag, None)


async def test_drafts_cancelled_and_bespoke_sessions_and_links_to_join_are_left_out(
    an_empty_offer: str, ask: Ask, harvester: HttpBrowser
) -> None:
    join = "https://visio.example.org/secret"
    kept = await published(ask, an_empty_offer, join_url=join)
    cancelled = await published(ask, an_empty_offer)
    await ask("POST", f"/sessions/{cancelled}/cancel", by=BRETAGNE)
    await drafted(ask, an_empty_offer)
    answer = await harvester.get(PATH)
    assert ids(ET.fromstring(answer.content)) == [kept]
    assert join not in answer.text


async def test_characters_that_xml_forbids_and_long_texts_leave_it_valid(
    an_empty_offer: str, ask: Ask, harvester: HttpBrowser
) -> None:
    await published(ask, an_empty_offer, title="\ufffe" + "É" * 299, venue="x" * 120 + " " + "y" * 179)
    assert errors((await harvester.get(PATH)).content) == []
