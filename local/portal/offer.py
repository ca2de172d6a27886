import time
from typing import Any

import httpx

_FRESH_SECONDS = 1.0
Session = dict[str, Any]


class OfferAway(Exception):
    pass


class Offer:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._sessions: dict[str, Session] = {}
        self._fresh_until = 0.0

    async def sessions(self) -> dict[str, Session]:
        """Return the sessions sorted by start. Raises `OfferAway`."""
        if time.monotonic() > self._fresh_until:
            found: dict[str, Session] = {}
            query = {"limit": "100"}
            while query:
                page = await self._get("/api/v1/sessions", **query)
                found |= {session["session_id"]: session for session in page["items"]}
                query = query | {"cursor": page["next"]} if page["next"] else {}
            self._sessions, self._fresh_until = found, time.monotonic() + _FRESH_SECONDS
        return self._sessions

    async def session(self, session_id: str) -> Session | None:
        """Raises `OfferAway`."""
        try:
            return await self._get(f"/api/v1/sessions/{session_id}")
        except _Missing:
            return None

    async def _get(self, path: str, **query: str) -> dict[str, Any]:
        try:
            answer = await self._client.get(path, params=query)
        except httpx.TransportError as error:
            raise OfferAway from error
        if answer.status_code in (404, 422):
            raise _Missing
        if answer.is_error:
            raise OfferAway
        body: dict[str, Any] = answer.json()
        return body


class _Missing(Exception):
    pass
