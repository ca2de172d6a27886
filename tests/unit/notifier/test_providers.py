"""Large mail hosts are known by name, in few words: metrics have no word for each domain."""

import pytest

from services.notifier.delivery.providers import provider_of


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("zoe@gmail.com", "google"),
        ("zoe@Wanadoo.FR", "orange"),
        ("zoe@ville-rennes.fr", "other"),
        ("zoe@mail.gmail.com.example", "other"),
    ],
)
def test_a_mailbox_is_at_a_large_provider_or_elsewhere(address: str, provider: str) -> None:
    assert provider_of(address) == provider
