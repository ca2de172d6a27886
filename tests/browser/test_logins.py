"""Staff log in at their issuer in a real Chromium, which keeps to our policies and to those of cookies."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.sync_api import Browser, expect

from services.notifier.app import compose
from services.notifier.settings import Settings
from tests.browser.conftest import new_tab
from tests.browser.inspection import faults
from tests.conftest import settings_of
from tests.support.oidc import running_issuer
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
