"""Whoever finds a weakness learns whom to tell, and what they read is never out of date."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette

from shared.web import security_txt
from shared.web.security_settings import SecuritySettings
from shared.web.security_txt import write

NOON = datetime(2025, 3, 20, 12, 0, 10, tzinfo=UTC)


async def answered(settings: SecuritySettings) -> httpx.Response:
    app = Starlette()
    security_txt.add_to(app, settings)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://parcours.example") as client:
        return await client.get("/.well-known/security.txt")


def fields(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


async def test_it_is_served_as_plain_text_where_there_is_a_contact() -> None:
    answer = await answered(SecuritySettings(security_contact="securite@cnfpt.example"))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert fields(answer.text).keys() == {"Contact", "Expires", "Preferred-Languages"}
    assert (await answered(SecuritySettings())).status_code == 404


@pytest.mark.parametrize("days", [0, 100, 1_000, 10_000])
def test_it_names_contact_and_policy_and_always_expires_within_a_year(days: int) -> None:
    policy, now = "https://cnfpt.example/securite", NOON + timedelta(days=days)
    settings = SecuritySettings(security_contact="securite@cnfpt.example", security_policy_url=policy)
    written = fields(write(settings, now))
    expires = datetime.fromisoformat(written.pop("Expires"))
    assert timedelta(days=30) < expires - now < timedelta(days=365)
    assert written == {
        "Contact": "mailto:securite@cnfpt.example",
        "Preferred-Languages": "fr, en",
        "Policy": policy,
    }


@pytest.mark.parametrize("contact", ["securite", "http://cnfpt.example/f", "a@b.fr\nContact: c@d.fr"])
def test_what_is_no_contact_stops_the_start(contact: str) -> None:
    with pytest.raises(ValidationError, match="is not an address such as"):
        SecuritySettings(security_contact=contact)


def test_the_policy_is_a_page_over_https() -> None:
    with pytest.raises(ValidationError, match="begins with https"):
        SecuritySettings(security_policy_url="http://cnfpt.example/securite")
