"""Staff log in in a real Chromium, which keeps to our policies and to those of cookies."""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from services.notifier.app import compose
from services.notifier.settings import Settings
from tests.browser.conftest import new_tab
from tests.browser.inspection import faults
from tests.conftest import settings_of
from tests.integration.services.composed import compose as compose_service
from tests.integration.services.composed import gateway
from tests.support.oidc import running_issuer
from tests.support.processes import SERVICES
from tests.support.serving import serving

pytestmark = pytest.mark.browser

LOG = "/courriels/suivi"


@pytest.fixture(scope="module")
def served(new_database: Callable[[str], str]) -> Iterator[str]:
    """A notifier whose staff log in at an issuer that knows Ali and Léa, of the support.

    Léa has no second factor.
    """
    with running_issuer() as issuer:
        httpx.put(
            f"{issuer.address}/users/ali",
            json={"email": "ali@cnfpt.example", "groups": ["assistance"], "amr": ["mfa"]},
        )
        httpx.put(
            f"{issuer.address}/users/lea", json={"email": "lea@cnfpt.example", "groups": ["assistance"]}
        )
        httpx.put(f"{issuer.address}/users/zoe", json={"email": "zoe@cnfpt.example"})

        @asynccontextmanager
        async def notifier(address: str) -> AsyncIterator[object]:
            given = settings_of("notifier", new_database("notifier"), "localhost:1")
            given |= {"PUBLIC_BASE_URL": address}
            rule = {"claim": "groups", "value": "assistance", "role": "support"}
            at_issuer = {
                "oidc_issuer": issuer.address,
                "oidc_client_id": "parcours",
                "oidc_client_secret": "a secret",
                "oidc_roles": [rule],
            }
            plain = {name.lower(): value for name, value in given.items()}
            process = compose(Settings.model_validate(plain | at_issuer))
            yield process.api
            await process.database.close()

        with serving(notifier) as address:
            yield address


def test_somebody_logs_in_at_the_issuer_and_out_again(chromium: Browser, served: str) -> None:
    with new_tab(chromium, base_url=served, viewport={"width": 360, "height": 800}) as tab:
        tab.goto(LOG)
        assert faults(tab) == []
        tab.get_by_text("Se connecter avec un jeton").click()
        expect(tab.get_by_label("Jeton d’accès")).to_be_visible()
        tab.get_by_role("link", name="Se connecter avec mon compte").click()
        tab.get_by_placeholder("sub").fill("ali")
        tab.get_by_role("button", name="Authorize").click()
        expect(tab.get_by_role("heading", name="Suivi des courriels")).to_be_visible()
        expect(tab).to_have_url(f"{served}{LOG}")

        tab.locator(".account summary").click()
        tab.get_by_role("link", name="Mes connexions").click()
        expect(tab.get_by_role("row")).to_have_count(2)

        tab.locator(".account summary").click()
        tab.get_by_role("button", name="Se déconnecter").click()
        expect(tab).to_have_url(re.compile("/oauth2/end_session"))
        tab.get_by_role("button", name="End session").click()
        expect(tab).to_have_url(re.compile(rf"^{served}{LOG}/connexion\?state="))
        tab.goto(LOG)
        expect(tab).to_have_url(re.compile("/connexion"))


def test_somebody_without_a_second_factor_is_told_what_to_do(chromium: Browser, served: str) -> None:
    with new_tab(chromium, base_url=served, viewport={"width": 360, "height": 800}) as tab:
        tab.goto(f"{LOG}/connexion/compte")
        tab.get_by_placeholder("sub").fill("lea")
        tab.get_by_role("button", name="Authorize").click()
        expect(tab.get_by_role("alert")).to_contain_text("n’a pas confirmé de second facteur")
        assert faults(tab) == []
        tab.get_by_role("link", name="Confirmer avec mon compte professionnel").click()
        tab.get_by_placeholder("sub").fill("ali")
        tab.get_by_role("button", name="Authorize").click()
        expect(tab.get_by_role("heading", name="Suivi des courriels")).to_be_visible()


def test_who_has_no_role_may_take_another_account(chromium: Browser, served: str) -> None:
    with new_tab(chromium, base_url=served) as tab:
        tab.goto(f"{LOG}/connexion/compte")
        tab.get_by_placeholder("sub").fill("zoe")
        tab.get_by_role("button", name="Authorize").click()
        expect(tab.get_by_role("heading", name="Votre compte n’ouvre pas cet espace")).to_be_visible()
        assert faults(tab) == []
        tab.get_by_role("link", name="Utiliser un autre compte").click()
        expect(tab).to_have_url(re.compile("prompt=login"))


@pytest.fixture(scope="module")
def gateway_address(
    new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The three services, with a token of an admin."""
    tokens: Path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    digest = hashlib.sha256(b"essai").hexdigest()
    tokens.write_text(json.dumps([{"name": "essai", "role": "admin", "sha256": digest}]))

    @asynccontextmanager
    async def services(address: str) -> AsyncIterator[object]:
        ours = {
            "public_base_url": address,
            "api_tokens_file": tokens,
            "link_signing_key": "a key of thirty-two characters for tests only",
        }
        processes = {name: compose_service(name, new_database(name), **ours) for name in SERVICES}
        yield gateway(processes)
        for process in processes.values():
            await process.database.close()

    with serving(services) as address:
        yield address


def test_one_log_in_and_one_log_out_are_enough(chromium: Browser, gateway_address: str) -> None:
    with new_tab(chromium, base_url=gateway_address, viewport={"width": 360, "height": 800}) as tab:
        tab.goto("/inscriptions/gestion")
        tab.get_by_label("Jeton d’accès").fill("essai")
        tab.get_by_role("button", name="Se connecter").click()
        expect(tab).to_have_url(f"{gateway_address}/inscriptions/gestion")
        for address in ("/gestion/offres", "/courriels/chiffres", LOG, "/courriels/exploitation"):
            tab.goto(address)
            expect(tab.locator(".account summary")).to_be_visible()
            expect(tab).to_have_url(f"{gateway_address}{address}")

        tab.locator(".account summary").click()
        tab.get_by_role("button", name="Se déconnecter").click()
        expect(tab).to_have_url(f"{gateway_address}/courriels/exploitation/connexion")
        assert tab.context.cookies() == []
