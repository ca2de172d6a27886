"""Sheets of sessions, imported by the API."""

from typing import Any

import httpx

from tests.conftest import Ask
from tests.integration.catalogue.conftest import BRETAGNE

HEADER = "Référence;Offre;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\r\n"
LINE = "{reference};essai;Un;30/03/2027 09:30;2027-03-30 17:00;2027-03-01 09:00;{places};{lieu}\r\n"


def sheet(*references: str, places: object = 5, lieu: str = "Rennes") -> bytes:
    lines = [LINE.format(reference=reference, places=places, lieu=lieu) for reference in references]
    return (HEADER + "".join(lines)).encode()


async def imported(ask: Ask, content: bytes | str, *, by: str = BRETAGNE, **fields: Any) -> httpx.Response:
    encoded = content.encode() if isinstance(content, str) else content
    return await ask("POST", "/sessions/import", by=by, content=encoded, **fields)


async def outcomes(ask: Ask, content: bytes | str, *, by: str = BRETAGNE, **fields: Any) -> list[str]:
    answer = await imported(ask, content, by=by, **fields)
    assert answer.is_success, answer.text
    return [line["outcome"] for line in answer.json()["lines"]]


async def faults(
    ask: Ask, content: bytes | str, *, by: str = BRETAGNE, **fields: Any
) -> list[tuple[int, str, str | None]]:
    answer = (await imported(ask, content, by=by, **fields)).json()
    assert (answer["lines"], answer["created"]) == ([], [])
    return [(fault["line"], fault["code"], fault["column"]) for fault in answer["faults"]]
