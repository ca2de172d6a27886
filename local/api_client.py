import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from local.failures import LocalStackError

_MORE_ATTEMPTS = 5


class ApiClient:
    """Raises `LocalStackError` if the service refuses or does not answer."""

    def __init__(self, service: str, client: httpx.AsyncClient) -> None:
        self._service = service
        self._client = client

    @classmethod
    @asynccontextmanager
    async def connect(cls, service: str, url: str, token: str) -> AsyncIterator["ApiClient"]:
        async with httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            # A dead service is back in some seconds, so try again for a minute, as any client would.
            transport=httpx.AsyncHTTPTransport(retries=8),
            trust_env=False,
        ) as client:
            yield cls(service, client)

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | str | None = None
    ) -> dict[str, Any]:
        """Send a `body` as JSON, or as CSV if it is a text. Return the JSON of the answer."""
        content = {"content": body} if isinstance(body, str) else {"json": body}
        headers = {"Content-Type": "text/csv; charset=utf-8"} if isinstance(body, str) else {}
        request = self._client.build_request(method, path, headers=headers, **content)
        answer = await self._send(request)
        for _ in range(_MORE_ATTEMPTS):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(1)  # its database was away for a moment, so nothing was done
            answer = await self._send(request)
        if answer.is_error:
            raise LocalStackError(
                f"the {self._service} refused {method} {path} with {answer.status_code}: {answer.text[:500]}"
            )
        result: dict[str, Any] = answer.json()
        return result

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request)
        except httpx.TransportError as error:
            what = f"{request.method} {request.url.path}"
            raise LocalStackError(f"the {self._service} did not answer {what}: {error}") from error

    async def exists(self, path: str) -> bool:
        return (await self._client.get(path)).is_success

    async def items(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        query = f"{path}?limit=100"
        while True:
            page = await self.call("GET", query)
            items += page["items"]
            if page["next"] is None:
                return items
            query = f"{path}?limit=100&cursor={page['next']}"


async def submit_page(link: str, **fields: str) -> bool:
    """Open the page behind a link in a mail and press its button.

    Returns False if the service is away for the moment, so that the caller tries again.
    """
    async with httpx.AsyncClient(timeout=30, trust_env=False) as browser:
        try:
            answers = await browser.get(link), await browser.post(link, data=fields)
        except httpx.TransportError:
            return False
    if any(answer.status_code == httpx.codes.SERVICE_UNAVAILABLE for answer in answers):
        return False
    for answer in answers:
        if answer.is_error:
            # The link works for anyone who has it, so the message does not repeat it.
            raise LocalStackError(f"the page of a link answered {answer.status_code}")
    return True
