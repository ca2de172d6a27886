"""Portals that hear answers, and what a database holds for them."""

import json
from collections.abc import Sequence
from pathlib import Path

from shared.database import Database, Row
from shared.messaging.portals.registry import PortalsFile
from tests.support.statements import execute

_PORTALS = [
    {"portal": "iel", "issuer": "iel", "answers": ["kafka", "http"]},
    {"portal": "iel-mobile", "issuer": "iel", "answers": ["http"]},
    {"portal": "ouest", "issuer": "ouest", "answers": ["kafka"]},
]


def a_registry(folder: Path) -> PortalsFile:
    """Two portals of one issuer, one of which hears by HTTP alone, and one of another; they sign nothing."""
    path = folder / "portals.json"
    same = {"contact": "equipe@portail.example", "authentication": "none"}
    path.write_text(json.dumps([portal | same for portal in _PORTALS]))
    return PortalsFile(path, trial=True)


async def rows(database: Database, which: str = "true") -> Sequence[Row]:
    """The rows of the outbox for which this SQL holds, in order."""
    return await execute(database, f"SELECT * FROM outbox WHERE {which} ORDER BY id")
