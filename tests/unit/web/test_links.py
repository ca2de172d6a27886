"""Signed links: one purpose each, until they expire, and nobody else's."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from shared.web.links import Expired, Forged, Links, LinkSettings, Purpose

NOW = datetime(2025, 3, 17, 8, 30, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)


OLD, NEW = "o" * 32, "n" * 32


def links(key: str = OLD) -> Links:
    made = LinkSettings(link_signing_key=key, public_base_url="https://parcours.example/").links
    assert made is not None
    return made


def test_a_link_leads_to_its_page_and_says_what_it_is_about() -> None:
    url = links().url(Purpose.OFFER, "4f", "2", until=TOMORROW)
    address, _, token = url.rpartition("/")
    assert address == "https://parcours.example/inscriptions/offre"
    assert links().read(Purpose.OFFER, token, NOW) == (("4f", "2"), TOMORROW)


def test_a_service_may_have_an_address_of_its_own() -> None:
    settings = LinkSettings(link_signing_key=OLD, enrolment_public_url="https://inscriptions.example")
    assert settings.links is not None
    assert settings.links.url(Purpose.OFFER, until=NOW).startswith(
        "https://inscriptions.example/inscriptions/"
    )
    assert settings.links.url(Purpose.PREFERENCES, until=NOW).startswith("http://localhost:8001/courriels/")


def test_a_link_expires_at_its_instant() -> None:
    token = links().token(Purpose.OFFER, "4f", until=TOMORROW)
    links().read(Purpose.OFFER, token, TOMORROW - timedelta(seconds=1))
    with pytest.raises(Expired):
        links().read(Purpose.OFFER, token, TOMORROW)


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "a.b", "é", "x" * 100_000, "W10.c2ln"),
        links().token(Purpose.CERTIFICATE, "4f", until=TOMORROW),
        links(NEW).token(Purpose.OFFER, "4f", until=TOMORROW),
    ],
    ids=[
        *("empty", "a dot", "a.b", "accent", "long", "no signature"),
        "of another purpose",
        "of another key",
    ],
)
def test_any_other_token_is_forged(token: str) -> None:
    with pytest.raises(Forged):
        links().read(Purpose.OFFER, token, NOW)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_link_serves_one_purpose_and_no_other(purpose: Purpose) -> None:
    token = links().token(purpose, "4f", until=TOMORROW)
    assert links().read(purpose, token, NOW).ids == ("4f",)
    for other in set(Purpose) - {purpose}:
        with pytest.raises(Forged):
            links().read(other, token, NOW)


def test_a_key_that_is_replaced_is_accepted_until_it_is_removed() -> None:
    old = links(OLD).token(Purpose.OFFER, "4f", until=TOMORROW)
    assert links(f"{OLD}, {NEW}").read(Purpose.OFFER, old, NOW).ids == ("4f",)
    with pytest.raises(Forged):
        links(NEW).read(Purpose.OFFER, old, NOW)
    with pytest.raises(Forged):
        links(OLD).read(Purpose.OFFER, links(f"{OLD}, {NEW}").token(Purpose.OFFER, until=TOMORROW), NOW)


@pytest.mark.parametrize("key", ["k", "k" * 31, f"{OLD}, k"])
def test_a_key_that_can_be_guessed_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="at least 32 characters"):
        LinkSettings(link_signing_key=key)


def test_without_a_key_there_are_no_links() -> None:
    assert LinkSettings(link_signing_key="").links is None
