"""A catalogue with the national offer, some sessions full, and what an authority asked."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.catalogue import api, pages
from services.catalogue.rules.bespoke import BespokeRequest
from services.catalogue.service import bespoke
from shared.auth import Tokens
from shared.database import Database
from shared.events.vocabulary import Contact
from shared.web.rendering import Sites
from tests.support.catalogue import load
from tests.support.guards import a_guard

PORTAL = "https://portail.example.org/inscription?session={session_id}"
NEWS = "https://courriels.example.org/abonnement"
TOKEN = "advisor-bretagne"
"""The token of somebody of Bretagne; its hash is in the tokens' file."""
EVERYWHERE = "siege"
"""The token of somebody who acts for all delegations."""

DEMAND = BespokeRequest(
    bespoke_id=UUID("7d2f4c1e-3f0a-4d5a-8a52-1d2a4c1e9b01"),
    source="/portals/essai",
    portal="essai",
    request_id=UUID("7d2f4c1e-3f0a-4d5a-8a52-1d2a4c1e9b01"),
    siret="21350238800019",
    authority="Ville de Rennes",
    delegation="bretagne",
    theme="enjeux-ia",
    trainees=15,
    received_at=datetime(2025, 3, 18, 9, tzinfo=UTC),
    requester=Contact(name="Léa Martin", email="lea.martin@ville-exemple.fr"),
    message="Plutôt au printemps.",
)
"""What an authority asked of Bretagne."""

_OCCUPANCY = """
INSERT INTO occupancy (session_id, version, capacity, enrolled, waiting, offered)
SELECT session_id, 1, capacity, capacity - number % 3 * 10, CASE WHEN number % 3 = 0 THEN 7 ELSE 0 END, 0
FROM (SELECT *, row_number() OVER (ORDER BY starts_at, session_id) AS number FROM session) AS numbered
WHERE capacity IS NOT NULL AND number % 4 > 0
"""


@asynccontextmanager
async def catalogue(url: str, folder: Path, address: str) -> AsyncIterator[tuple[Any, None]]:
    """The service on this database, filled."""
    tokens_file = folder / "tokens.json"
    entries = [
        {
            "name": name,
            "role": "organiser",
            "delegation": delegation,
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
        }
        for name, delegation in ((TOKEN, "bretagne"), (EVERYWHERE, None))
    ]
    tokens_file.write_text(json.dumps(entries))
    database, tokens = Database(url, application_name="pages-test"), Tokens(tokens_file)
    await load(database, as_of=date(2025, 3, 20))
    async with database.transaction() as tx:
        await tx.execute(text(_OCCUPANCY))
        await bespoke.receive(tx, [DEMAND])
    guard = a_guard(database)
    web = api.build(database, tokens, guard)
    site = pages.Site(
        database=database, tokens=tokens, guard=guard, address=address, portal=PORTAL, sites=Sites(news=NEWS)
    )
    pages.mount(web, pages.build(site))
    yield web, None
    await database.close()
