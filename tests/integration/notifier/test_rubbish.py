"""A link that we signed may be about anything: its page answers, never by a fault of ours."""

from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from services.notifier.settings import Settings
from shared import clock
from shared.web.links import Purpose
from tests.integration.services.composed import compose


@pytest.mark.parametrize("about", ["no-uuid", "", "\0", "é", "0" * 5000])
@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.PREFERENCES, Purpose.UNSUBSCRIBE])
async def test_a_signed_link_about_nothing_leads_nowhere(
    notifier_url: str, purpose: Purpose, about: str
) -> None:
    process = compose("notifier", notifier_url, refused_rate="10000/day", link_rate="10000/day")
    assert isinstance(process.settings, Settings)
    links = process.settings.links
    assert links is not None
    until = clock.now() + timedelta(days=1)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=process.api), base_url="https://test"
    ) as client:
        for subject in ((about,), (str(uuid4()), about), ()):
            path = quote(f"{purpose.value}/{links.token(purpose, *subject, until=until)}")
            assert (await client.get(path)).status_code in (200, 404, 410)
            assert (await client.post(path, data={"interet": about})).status_code < 500
    await process.database.close()
