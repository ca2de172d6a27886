"""The notifier's pages in a real Chromium: nothing for axe to report, on a phone and on a organiser."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from services.notifier.app import compose
from services.notifier.letters import digest_id
from services.notifier.settings import Settings
from services.notifier.store import figures
from shared import clock
from shared.events.catalogue import ResourcePublished, SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentRefused
from shared.events.portal import SubscriptionChanged
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.web.links import Purpose
from tests.browser.conftest import new_tab, violations
from tests.conftest import settings_of
from tests.integration.enrolment.conftest import INTAKE_KEY
from tests.integration.notifier.conftest import Notifier
from tests.support.consuming import a_record
from tests.support.serving import serving
from tests.support.smtp import ScriptedRelay
from tests.unit.notifier.builders import a_decision, a_session, an_agent

pytestmark = pytest.mark.browser
ADDRESS = "a-1@ville.example"

TOKEN, ADMIN_TOKEN = "assistance", "exploitation"
LOG = "/courriels/suivi"


@dataclass
class Mails:
    """A notifier that answers on a port of its own, and the links that its subscriber has."""

    url: str
    links: dict[Purpose, str]


@pytest.fixture(scope="module")
def mails(new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mails]:
    """One mail that waits, one subscriber, one community to follow."""
    tokens_file = tmp_path_factory.mktemp("mails") / "tokens.json"
    entries = [
        {"name": token, "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}
        for token, role in ((TOKEN, "support"), (ADMIN_TOKEN, "admin"))
    ]
    tokens_file.write_text(json.dumps(entries))
    url, links = new_database("notifier"), dict[Purpose, str]()

    @asynccontextmanager
    async def notifier(address: str) -> AsyncIterator[object]:
        given = settings_of("notifier", url, "localhost:1") | {"PUBLIC_BASE_URL": address}
        settings = Settings.model_validate(
            {name.lower(): value for name, value in given.items()}
            | {"api_tokens_file": tokens_file, "intake_signing_key": INTAKE_KEY}
            | {"delegation_contacts": {"bretagne": {"digest": [ADDRESS]}}}
        )
        process = compose(settings)
        await fill(Notifier(process.database, ScriptedRelay()))
        async with process.database.quiet_transaction() as tx:
            subscriber = await tx.scalar(text("SELECT subscriber_id FROM subscriber"))
            request = await tx.scalar(text("SELECT request_id FROM subscription_request"))
        assert settings.links is not None
        mark = settings.links.mark(ADDRESS)
        subjects = {
            Purpose.PREFERENCES: (subscriber, mark),
            Purpose.UNSUBSCRIBE: (subscriber,),
            Purpose.CONFIRM: (request,),
            Purpose.DIGEST: (digest_id("bretagne"), mark),
        }
        until = clock.now() + timedelta(hours=1)
        for purpose, what in subjects.items():
            token = settings.links.token(purpose, *map(str, what), until=until)
            links[purpose] = f"{purpose.value}/{token}"
        yield process.api
        await process.database.close()

    with serving(notifier) as address:
        yield Mails(address, links)


async def fill(notifier: Notifier) -> None:
    community = {
        "resource_id": uuid4(),
        "version": 1,
        "kind": "community",
        "title": "E-communauté : ressources humaines",
        "url": "https://ressources.example/1",
        "themes": ["evolution-des-metiers"],
        "published_at": clock.now(),
    }
    await notifier.hear(ResourcePublished.model_validate(community))
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    yann = an_agent(agent_id="1002", given_name="Yann", email="yann@ville-exemple.fr")
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=yann))
    await notifier.hear(a_decision(EnrolmentRefused, enrolment_id=uuid4(), agent=yann, reason="session_full"))
    await notifier.hear(
        SubscriptionChanged(agent_id="A-1", email=ADDRESS, subscribed=True, community="evolution-des-metiers")
    )
    async with notifier.database.transaction() as tx:
        await figures.count(tx, timedelta(0))
        unreadable = replace(a_record(a_decision(AgentEnrolled)), headers=())
        await dead_letters.park(tx, [Parked(unreadable, None, "the attribute ce_id is missing")])
    await notifier.change(
        "INSERT INTO subscription_request (request_id, address, interests) "
        "VALUES (gen_random_uuid(), 'b@ville.example', '{delegation:bretagne}')"
    )


@pytest.fixture(params=[360, 1200], ids="{} px".format)
def tab(request: pytest.FixtureRequest, chromium: Browser, mails: Mails) -> Iterator[Page]:
    viewport = {"width": request.param, "height": 800}
    with new_tab(chromium, base_url=mails.url, viewport=viewport) as page:
        yield page


def looks_right(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    assert violations(page) == []
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_axe_finds_nothing_on_the_pages_of_subscribers_and_of_who_has_a_digest(
    tab: Page, mails: Mails
) -> None:
    tab.goto("/courriels/abonnement")
    looks_right(tab, "S’abonner aux nouveautés")
    expect(tab.get_by_role("group", name="E-communautés").get_by_role("checkbox")).to_have_count(1)
    tab.get_by_role("button", name="M’abonner").click()
    expect(tab.get_by_label("Votre adresse électronique")).to_have_accessible_description(
        "De la forme prenom.nom@ville.fr. Elle ne sert qu’à ces envois. "
        "Saisissez une adresse de la forme prenom.nom@ville.fr."
    )
    looks_right(tab, "S’abonner aux nouveautés")
    for purpose, heading in (
        (Purpose.CONFIRM, "Confirmer votre abonnement"),
        (Purpose.PREFERENCES, "Vos abonnements"),
        (Purpose.UNSUBSCRIBE, "Se désabonner"),
        (Purpose.DIGEST, "Ne plus recevoir le résumé du jour"),
    ):
        tab.goto(mails.links[purpose])
        looks_right(tab, heading)


def log_in(tab: Page, address: str) -> None:
    tab.goto(address)
    looks_right(tab, "Assistance")
    tab.get_by_label("Jeton d’accès").fill(TOKEN)
    tab.get_by_role("button", name="Se connecter").click()
    expect(tab.get_by_role("search")).to_be_visible()


def test_axe_finds_nothing_on_the_page_of_persons_and_on_that_of_one(tab: Page) -> None:
    log_in(tab, f"{LOG}/personnes")
    looks_right(tab, "Trouver une personne")
    tab.get_by_role("button", name="Chercher").click()
    search(tab, "nobody")
    expect(tab.get_by_text("Personne ne correspond")).to_be_visible()
    search(tab, "dur")
    expect(tab.get_by_role("heading", name="2 personnes")).to_be_visible()
    looks_right(tab, "Trouver une personne")
    tab.get_by_role("button", name="Voir le parcours de Yann Durand").click()
    looks_right(tab, "Yann Durand")
    tab.get_by_role("link", name="Trouver une personne").click()
    search(tab, "zoe.durand@ville-exemple.fr")
    looks_right(tab, "Zoé Durand")
    expect(tab.get_by_role("listitem").filter(has_text="Place obtenue")).to_be_visible()
    tab.get_by_role("link", name="Lettre : Votre inscription est confirmée").click()
    looks_right(tab, "Votre inscription est confirmée")
    tab.get_by_role("button", name="Voir cette personne").click()
    looks_right(tab, "Zoé Durand")


def test_axe_finds_nothing_on_the_pages_of_operators(tab: Page) -> None:
    tab.goto("/courriels/exploitation")
    tab.get_by_label("Jeton d’accès").fill(ADMIN_TOKEN)
    tab.get_by_role("button", name="Se connecter").click()
    looks_right(tab, "État")
    expect(tab.get_by_role("row", name="Incidents à décider")).to_contain_text("1, le plus ancien")
    tab.get_by_role("link", name="Incidents à décider").click()
    looks_right(tab, "Incidents")
    tab.get_by_role("link", name="Enregistrement illisible").click()
    expect(tab.get_by_role("button", name="Abandonner")).to_be_visible()
    assert violations(tab) == []
    tab.get_by_role("button", name="Reprendre").click()
    expect(tab.get_by_role("alert")).to_contain_text("Il n’a pas pu être repris")
    tab.get_by_label("Motif de la consultation").fill("ticket 12")
    tab.get_by_role("button", name="Voir le contenu").click()
    expect(tab.locator("pre")).to_contain_text("zoe.durand@ville-exemple.fr")
    assert violations(tab) == []


def test_axe_finds_nothing_on_the_page_of_figures(tab: Page) -> None:
    log_in(tab, LOG)
    tab.get_by_role("link", name="Chiffres").click()
    looks_right(tab, "Chiffres")
    expect(tab.get_by_role("img", name="Demandes et places obtenues par mois")).to_be_visible()
    tab.get_by_label("Offre", exact=True).select_option("ia-et-territoires")
    tab.get_by_role("button", name="Choisir").click()
    looks_right(tab, "Chiffres")
    expect(tab.get_by_role("row", name="IA et territoires")).to_contain_text("Bretagne")


def search(tab: Page, typed: str) -> None:
    tab.get_by_label("Personne", exact=True).fill(typed)
    tab.get_by_label("Motif de la consultation").fill("demande 4711")
    tab.get_by_role("button", name="Chercher").click()


def test_axe_finds_nothing_on_the_pages_of_the_mail_log(tab: Page) -> None:
    log_in(tab, LOG)
    looks_right(tab, "Suivi des courriels")
    tab.get_by_label("Motif de la consultation").fill("demande 4711")
    tab.get_by_label("Identifiant de l’agent").fill("IEL-0048151")
    tab.get_by_role("button", name="Chercher").click()
    looks_right(tab, "Suivi des courriels")
    tab.get_by_role("link", name="Votre inscription est confirmée").click()
    looks_right(tab, "Votre inscription est confirmée")
    tab.goto(LOG)
    tab.get_by_role("link", name="Effacer une personne").click()
    looks_right(tab, "Effacer une personne")
    tab.locator(".account summary").click()
    tab.get_by_role("button", name="Se déconnecter").click()
    expect(tab.get_by_label("Jeton d’accès")).to_be_visible()
