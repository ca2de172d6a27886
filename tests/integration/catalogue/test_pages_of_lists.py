"""The lists of a delegation and of the public, a page at a time: on to the end, and back to the beginning."""

import re
from html import unescape

import pytest
from sqlalchemy import text

from services.catalogue.pages import browse
from services.catalogue.pages.manage import bespoke, offers, resources
from shared.database import Database
from tests.integration.catalogue.browsing import HttpBrowser, organiser

__all__ = ["organiser"]

FILL = (
    """
    INSERT INTO resource (resource_id, version, kind, title, url, themes, published_at, organiser)
    SELECT gen_random_uuid(), 1, 'replay', 'Replay ' || n, 'https://exemple.fr/' || n, jsonb_build_array(),
        now() - n / 2 * interval '1 hour', 'bretagne' FROM generate_series(1, 5) AS n""",
    """
    INSERT INTO bespoke_request (bespoke_id, request_id, source, siret, authority, delegation, theme,
        trainees, received_at, requester_name, requester_email, version, state)
    SELECT gen_random_uuid(), gen_random_uuid(), '/portals/essai', '21350238800019', 'Ville ' || n,
        'bretagne', 'IA', 12, now() - n / 2 * interval '1 hour', 'Zoé', 'zoe@ville-exemple.fr', 1, 'received'
    FROM generate_series(1, 5) AS n""",
    """
    INSERT INTO offer (offer_id, format, title, summary, themes, terms, source, choices)
    SELECT 'offre-' || n, format, 'Offre ' || n, summary, themes, terms, source, choices
    FROM offer, generate_series(1, 4) AS n""",
)
"""Five of each, some of them of the same moment."""


@pytest.mark.parametrize(
    ("module", "path", "row"),
    [
        (browse, "/ressources", r"https://exemple\.fr/\d"),
        (resources, "/gestion/ressources", r'"/gestion/ressources/([0-9a-f-]{36})"'),
        (bespoke, "/gestion/demandes/liste", r"Ville \d"),
        (offers, "/gestion/offres", r'<a href="/gestion/offres/([a-z0-9-]+)"'),
    ],
)
async def test_a_list_is_walked_in_both_directions_and_shows_the_same(
    organiser: HttpBrowser,
    *,
    an_empty_offer: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    path: str,
    row: str,
) -> None:
    async with database.transaction() as tx:
        for statement in FILL:
            await tx.execute(text(statement))

    async def walk(path: str, way: str) -> tuple[list[list[str]], str]:
        parts = []
        while True:
            page = (await organiser.get(path)).text
            parts.append(re.findall(row, page))
            link = re.search(rf'rel="{way}" href="([^"]+)"', page)
            if link is None:
                return parts, path
            path = unescape(link[1])

    ((whole,), _) = await walk(path, "next")
    assert len(whole) == 5
    monkeypatch.setattr(module, "PAGE", 2)
    forward, last = await walk(path, "next")
    assert forward == [whole[:2], whole[2:4], whole[4:]]
    backward, _ = await walk(last, "prev")
    assert backward == forward[::-1]
