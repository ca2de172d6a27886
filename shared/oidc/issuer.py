"""The issuer's metadata and keys, cached for an hour, and longer while the issuer does not answer."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator

from shared import clock
from shared.events.cloudevents import media_type_of
from shared.oidc.identities import ProviderAway
from shared.oidc.settings import is_safe

FRESH = timedelta(hours=1)
RETRY_AFTER = timedelta(seconds=5)
"""After a failure, the issuer is not asked again for this long, so that no caller waits for it."""
SECONDS = 5.0
MAX_BYTES = 256 * 1024
"""Of a response of the issuer. It is asked to compress none, since few bytes can become many."""


class Metadata(BaseModel):
    """The issuer's metadata (OpenID Connect Discovery 1.0, section 3; RFC 9207)."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    id_token_signing_alg_values_supported: list[str] = ["RS256"]
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    claims_parameter_supported: bool = False
    authorization_response_iss_parameter_supported: bool = False

    @field_validator(
        "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"
    )
    @classmethod
    def _is_safe(cls, address: str | None) -> str | None:
        if address is not None and not is_safe(address):
            raise ValueError("is no https address")
        return address


@dataclass(frozen=True, slots=True)
class IssuerResponse:
    status: int
    media_type: str
    content: bytes

    @property
    def document(self) -> Any:
        """Raises ``ValueError`` for what is no JSON, or nested too deeply."""
        return _JSON.validate_json(self.content)


_JSON: TypeAdapter[Any] = TypeAdapter(Any)


@dataclass(frozen=True, slots=True)
class Published:
    metadata: Metadata
    keys: KeySet
    read_at: datetime


class Issuer:
    def __init__(self, address: str) -> None:
        self.address = address
        self._tls: ssl.SSLContext | None = None
        self._published: Published | None = None
        self._retry_at = datetime.min.replace(tzinfo=UTC)
        self._asking = asyncio.Lock()

    async def metadata(self) -> Metadata:
        return (await self.published()).metadata

    async def published(self, *, renew: bool = False) -> Published:
        """Concurrent callers share one request to the issuer. The result may be from the cache.

        Metadata that was just read is never read again: anybody can send a token of an unknown key.
        """
        async with self._asking:
            now = clock.now()
            known = self._published
            lasts = RETRY_AFTER if renew else FRESH
            if known is not None and now < known.read_at + lasts:
                return known
            if now >= self._retry_at:
                try:
                    self._published = await self._fetch()
                    return self._published
                except ProviderAway:
                    self._retry_at = clock.now() + RETRY_AFTER  # a silent issuer took long to fail
            if known is None:
                raise ProviderAway("the issuer does not answer")
            return known

    async def _fetch(self) -> Published:
        try:
            answer = await self.ask("GET", f"{self.address.rstrip('/')}/.well-known/openid-configuration")
            metadata = Metadata.model_validate_json(answer.content)
            keys = await self.ask("GET", metadata.jwks_uri)
            key_set = KeySet.import_key_set(keys.document)
        except (ValueError, KeyError, TypeError, JoseError) as error:
            raise ProviderAway("the issuer's discovery document or keys cannot be read") from error
        if metadata.issuer != self.address:
            raise ProviderAway("the discovery document is of another issuer")
        return Published(metadata, key_set, clock.now())

    async def ask(self, method: str, address: str, **sent: Any) -> IssuerResponse:
        """Raises :class:`ProviderAway` after :data:`SECONDS`, or for more than :data:`MAX_BYTES`."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        try:
            async with (
                asyncio.timeout(SECONDS),
                httpx.AsyncClient(verify=self._tls, headers={"Accept-Encoding": "identity"}) as client,
                client.stream(method, address, **sent) as response,
            ):
                content = await _bounded(response)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise ProviderAway(f"the issuer does not answer: {type(error).__name__}") from error
        if response.status_code >= 500:
            raise ProviderAway(f"the issuer answers {response.status_code}")
        return IssuerResponse(
            response.status_code, media_type_of(response.headers.get("content-type", "")), content
        )


async def _bounded(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProviderAway("the issuer compresses its response, though it was asked not to")
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > MAX_BYTES:
            raise ProviderAway(f"the issuer's response has more than {MAX_BYTES} bytes")
    return bytes(content)
