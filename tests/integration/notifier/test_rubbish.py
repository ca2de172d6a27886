"""A link that we signed may be about anything: its page answers, never by a fault of ours."""

from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from shared.web.links import Purpose
from tests.integration.notifier.subscribing import client, link

__all__ = ["client"]


@pytest.mark.parametrize("about", ["no-uuid", "", "\0", "é", "0" * 5000], ids=lambda about: ascii(about[:9]))
@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.PREFERENCES, Purpose.UNSUBSCRIBE])
async def test_a_signed_link_about_nothing_leads_nowhere(
    client: httpx.AsyncClient, purpose: Purpose, about: str
) -> None:
    for subject in ((about,), (str(uuid4()), about), ()):
        path = quote(link(purpose, *subject))
        assert (await client.get(path)).status_code in (200, 404, 410)
        assert (await client.post(path, data={"interet": about})).status_code < 500
