"""A stand-in for the State's search of companies, by its published form: one company for each search."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.support.serving import serving

SEAT = {"siret": "26350999400012", "commune": "35288", "departement": "35", "etat_administratif": "A"}
PORT = {
    "siren": "263509994",
    "nom_complet": "REGIE DU PORT DE SAINT-MALO",
    "nature_juridique": "4150",
    "etat_administratif": "A",
    "siege": SEAT,
    "matching_etablissements": [],
}


@dataclass
class StateRegister:
    """``asked`` are the queries. ``status``, ``body`` and ``is_silent`` say what is wrong."""

    companies: list[dict[str, Any]] = field(default_factory=lambda: [PORT])
    asked: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    is_silent: bool = False
    url: str = ""

    def mend(self) -> None:
        """Be as at the start."""
        self.companies, self.asked = [PORT], []
        self.status, self.body, self.is_silent = 200, None, False

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.asked.append(dict(parse_qsl(scope["query_string"].decode())))
        if self.is_silent:
            await asyncio.sleep(60)
        page = {"results": self.companies, "total_results": len(self.companies), "page": 1, "total_pages": 1}
        body = json.dumps(page).encode() if self.body is None else self.body
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def state_register() -> Iterator[StateRegister]:
    register = StateRegister()

    @asynccontextmanager
    async def composed(address: str) -> Any:
        register.url = f"{address}/search"
        yield register

    with serving(composed):
        yield register
