"""Asks an issuer: where people log in, who has logged in, where they log out.

OpenID Connect Core 1.0 by the authorization code flow, with PKCE (RFC 7636), and Back-Channel Logout 1.0. The
issuer's metadata and keys are cached for an hour, and longer while it does not answer; each request has its
time limit.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry, Token
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from shared import clock
from shared.events.cloudevents import media_type_of
from shared.oidc import sealing
from shared.oidc.identities import (
    Attempt,
    EndedAtIssuer,
    Identity,
    IssuerTokens,
    LogInRejected,
    ProviderAway,
    RenewalUnfinished,
)
from shared.oidc.settings import Claims, Grant, OidcSettings, RoleRule, SecondFactor, is_safe
from shared.permissions import Role

FRESH = timedelta(hours=1)
RETRY_AFTER = timedelta(seconds=5)
"""After a failure, the issuer is not asked again for this long, so that no caller waits for it."""
SECONDS = 5.0
MAX_BYTES = 256 * 1024
"""Of a response of the issuer. It is asked to compress none, since few bytes can become many."""
MAX_PROOF_AGE = timedelta(minutes=10)
"""Before a grave act, the person must have logged in at the issuer less than this ago.

It is less than ``RECENT`` of :mod:`shared.permissions`, so that time is left for the act.
"""
_LOGOUT_TYPES = None, "JWT", "logout+jwt"
"""Many issuers do not type logout tokens, or only as a JWT. The claim ``events`` tells a logout token."""
_LOG_OUT = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST_LOG_OUT_SECONDS = 24 * 3600
LEEWAY_SECONDS = 60
"""The largest accepted difference between the issuer's clock and ours."""
SIGNED_BY = frozenset(
    (
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    )
)  # fmt: skip
"""The accepted signature algorithms. "none" and shared secrets are absent: only the issuer may sign."""


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


class TokenResponse(BaseModel):
    """A renewal may leave out the ID token, and the refresh token if it has not changed."""

    access_token: str
    id_token: str | None = None
    refresh_token: str | None = None


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


class Provider:
    def __init__(self, issuer: str, settings: OidcSettings) -> None:
        self.issuer = issuer
        self._client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret
        self._scope = settings.oidc_scope
        self._rules: tuple[RoleRule, ...] = tuple(settings.oidc_roles)
        self._second_factor = settings.second_factor
        self._tls: ssl.SSLContext | None = None
        self._published: Published | None = None
        self._retry_at = datetime.min.replace(tzinfo=UTC)
        self._asking = asyncio.Lock()

    # ------------------------------------------------------------------------------------------ the way there

    async def authorization_address(
        self,
        attempt: Attempt,
        *,
        state: str,
        return_to: str,
        as_somebody_else: bool = False,
        recent: bool = False,
        second_factor: bool = False,
    ) -> str:
        """With ``as_somebody_else`` the issuer asks for a log-in, even if it knows the person.

        With ``recent`` it asks for one if the last is older than :data:`MAX_PROOF_AGE`.

        Raises :class:`ProviderAway`.
        """
        metadata = (await self._known()).metadata
        strength = _asking_for(self._second_factor, metadata) if second_factor else {}
        address: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            self._client_id,
            "code",
            redirect_uri=return_to,
            scope=self._scope,
            state=state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
            prompt="login" if as_somebody_else else None,
            max_age=int(MAX_PROOF_AGE.total_seconds()) if recent else None,
            **strength,
        )
        return address

    async def log_out_address(self, sealed: str | None, secret: str, *, return_to: str) -> str | None:
        """Return None if the issuer has none, or is away (OpenID Connect RP-Initiated Logout 1.0).

        Without the ID token some issuers ask the person first, and ProConnect refuses.
        """
        try:
            place = (await self._known()).metadata.end_session_endpoint
        except ProviderAway:
            return None
        if place is None:
            return None
        tokens = None if sealed is None else sealing.unseal(sealed, secret)
        parameters = {
            "id_token_hint": None if tokens is None else tokens.id_token,
            "client_id": self._client_id,
            "post_logout_redirect_uri": return_to,
        }
        given = [(name, value) for name, value in parameters.items() if value is not None]
        address: str = add_params_to_uri(place, given)
        return address

    # ----------------------------------------------------------------------------------------- the way back

    async def identify(self, attempt: Attempt, answer: Mapping[str, str], *, return_to: str) -> Identity:
        """``answer`` is the query with which the browser returned.

        Raises :class:`LogInRejected` for an answer that must not be believed, :class:`ProviderAway`.
        """
        published = await self._known()
        self._check_sender(published.metadata, answer)
        form = {
            "grant_type": "authorization_code",
            "code": answer.get("code", ""),
            "redirect_uri": return_to,
            "code_verifier": attempt.verifier,
        }
        given = await self._exchange(published.metadata, form)
        if given.id_token is None:
            raise ProviderAway("the issuer gives no ID token for a code")
        claims = await self._id_claims(given.id_token, given.access_token, nonce=attempt.nonce)
        tokens = IssuerTokens(str(claims["sub"]), given.id_token, given.refresh_token)
        return await self._identity(published.metadata, given.access_token, claims, tokens)

    def sealed(self, tokens: IssuerTokens, secret: str) -> str:
        """Return what to store of the tokens. Only ``secret`` opens them again."""
        return sealing.seal(tokens, secret)

    async def renew(self, sealed: str, secret: str) -> Identity:
        """Ask the issuer who the person is now (OpenID Connect Core 1.0, section 12).

        Raises :class:`LogInRejected` if the issuer ended the log-in, :class:`ProviderAway`.
        """
        tokens = sealing.unseal(sealed, secret)
        if tokens is None or tokens.refresh_token is None:
            raise LogInRejected("there is no refresh token")
        metadata = (await self._known()).metadata
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        given = await self._exchange(metadata, form)
        kept = IssuerTokens(
            tokens.subject, given.id_token or tokens.id_token, given.refresh_token or tokens.refresh_token
        )
        claims: Claims = {"sub": tokens.subject}
        try:
            if given.id_token is not None:
                claims = await self._id_claims(given.id_token, given.access_token)
            if claims["sub"] != tokens.subject:
                raise LogInRejected("the renewed ID token is of another person")
            return await self._identity(metadata, given.access_token, claims, kept)
        except ProviderAway as error:
            raise RenewalUnfinished(str(error), kept) from error

    async def _identity(
        self, metadata: Metadata, access_token: str, claims: Claims, tokens: IssuerTokens
    ) -> Identity:
        """How the person proved who they are stands in the signed ID token alone."""
        subject = tokens.subject
        all_claims = {**claims, **await self._userinfo(metadata, access_token, subject)}
        session = claims.get("sid")
        return Identity(
            subject,
            _name(all_claims, subject),
            all_claims,
            tokens,
            session=session if isinstance(session, str) and session else None,
            proved_at=_moment(claims.get("auth_time")),
            has_second_factor=self._second_factor.is_proved(claims),
        )

    async def _id_claims(self, id_token: str, access_token: str, nonce: str | None = None) -> Claims:
        """Raises :class:`LogInRejected` unless the issuer wrote the token for us, and for ``nonce``."""
        token = await self._verified(id_token)
        expected = {"client_id": self._client_id, "access_token": access_token}
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self._client_id},
            },
            expected if nonce is None else expected | {"nonce": nonce},
        )
        try:
            claims.validate(int(clock.now().timestamp()), LEEWAY_SECONDS)
        except JoseError as error:
            raise LogInRejected(f"the ID token's claims: {_reason(error)}") from error
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise LogInRejected("the ID token has no subject")
        return dict(claims)

    async def read_logout_token(self, logout_token: str) -> EndedAtIssuer:
        """Return what the issuer ended (OpenID Connect Back-Channel Logout 1.0, section 2.6).

        Raises :class:`LogInRejected` for a token that must not be believed, :class:`ProviderAway`.
        """
        token = await self._verified(logout_token)
        if token.header.get("typ") not in _LOGOUT_TYPES:
            raise LogInRejected("the token has another type than a logout token")
        claims = token.claims
        registry = JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._client_id},
            iat={"essential": True},
            exp={"essential": True},
            jti={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise LogInRejected(f"the logout token's claims: {_reason(error)}") from error
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(_LOG_OUT), dict):
            raise LogInRejected("the token is no logout token")
        if "nonce" in claims:
            raise LogInRejected("the logout token has a nonce")
        subject, session, token_id = claims.get("sub"), claims.get("sid"), claims["jti"]
        if not all(isinstance(value, str | None) for value in (subject, session, token_id)):
            raise LogInRejected("the logout token's claims are no texts")
        if not subject and not session:
            raise LogInRejected("the logout token names nobody")
        if claims["exp"] > clock.now().timestamp() + _LONGEST_LOG_OUT_SECONDS:
            raise LogInRejected("the logout token lasts too long")
        expires_at = datetime.fromtimestamp(claims["exp"] + LEEWAY_SECONDS, UTC)
        return EndedAtIssuer(subject or None, session or None, token_id, expires_at)

    def _check_sender(self, metadata: Metadata, answer: Mapping[str, str]) -> None:
        """Raise :class:`LogInRejected` unless this issuer sent the answer (RFC 9207), with a code."""
        sender = answer.get("iss")
        if sender is None and metadata.authorization_response_iss_parameter_supported:
            raise LogInRejected("the answer does not say which issuer sends it")
        if sender is not None and sender != self.issuer:
            raise LogInRejected("the answer is of another issuer")
        if "error" in answer or not answer.get("code"):
            raise LogInRejected("the issuer gave no code")

    async def _exchange(self, metadata: Metadata, form: dict[str, str]) -> TokenResponse:
        auth = None
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            auth = httpx.BasicAuth(quote_plus(self._client_id), quote_plus(self._secret))
        else:
            form |= {"client_id": self._client_id, "client_secret": self._secret}
        response = await self._ask("POST", metadata.token_endpoint, data=form, auth=auth)
        if response.status == 400:
            raise LogInRejected(f"the issuer answers {response.status} to the {form['grant_type']}")
        try:
            return TokenResponse.model_validate_json(response.content)
        except ValidationError as error:
            raise ProviderAway("what the issuer gives is no token") from error

    async def _userinfo(self, metadata: Metadata, access_token: str, subject: str) -> Claims:
        """Some issuers put no claims into the ID token. Some sign this answer."""
        if metadata.userinfo_endpoint is None:
            return {}
        response = await self._ask(
            "GET", metadata.userinfo_endpoint, headers={"Authorization": f"Bearer {access_token}"}
        )
        if response.status != 200:
            raise ProviderAway(f"the issuer answers {response.status} to userinfo")
        if response.media_type == "application/jwt":
            token = await self._verified(response.content.decode("ascii", "replace"))
            claims: Any = token.claims
            if claims.get("iss", self.issuer) != self.issuer:
                raise LogInRejected("what is said of the person is of another issuer")
        else:
            try:
                claims = response.document
            except ValueError as error:
                raise ProviderAway("what the issuer says of the person is not JSON") from error
        if not isinstance(claims, dict) or claims.get("sub") != subject:
            raise LogInRejected("what is said of the person is of another")
        return claims

    async def _verified(self, token: str) -> Token:
        """Raises :class:`LogInRejected` unless the issuer has signed the token."""
        try:
            try:
                return self._decoded(token, await self._known())
            except InvalidKeyIdError:  # the issuer may have a new key
                return self._decoded(token, await self._known(renew=True))
        except (JoseError, ValueError) as error:
            raise LogInRejected(f"the token: {_reason(error)}") from error

    def _decoded(self, token: str, published: Published) -> Token:
        algorithms = SIGNED_BY.intersection(published.metadata.id_token_signing_alg_values_supported)
        registry = JWSRegistry(algorithms=sorted(algorithms), strict_check_header=False)
        return jwt.decode(token, published.keys, registry=registry)

    # ---------------------------------------------------------------------------------------- what they may

    def grant(self, identity: Identity, roles: frozenset[Role]) -> Grant | None:
        """The first matching rule counts."""
        grants = (rule.grant(identity.claims) for rule in self._rules if rule.role in roles)
        return next((grant for grant in grants if grant is not None), None)

    def still_grants(self, by: str) -> bool:
        """A log-in ends with the rule that granted its role."""
        return any(rule.text == by for rule in self._rules)

    # ------------------------------------------------------------------------------------- what it publishes

    async def _known(self, *, renew: bool = False) -> Published:
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
                    self._published = await self._fetch(now)
                    return self._published
                except ProviderAway:
                    self._retry_at = now + RETRY_AFTER
            if known is None:
                raise ProviderAway("the issuer does not answer")
            return known

    async def _fetch(self, now: datetime) -> Published:
        try:
            answer = await self._ask("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            metadata = Metadata.model_validate_json(answer.content)
            keys = await self._ask("GET", metadata.jwks_uri)
            key_set = KeySet.import_key_set(keys.document)
        except (ValueError, KeyError, TypeError, JoseError) as error:
            raise ProviderAway("the issuer's discovery document or keys cannot be read") from error
        if metadata.issuer != self.issuer:
            raise ProviderAway("the discovery document is of another issuer")
        return Published(metadata, key_set, now)

    async def _ask(self, method: str, address: str, **sent: Any) -> IssuerResponse:
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


def _asking_for(second_factor: SecondFactor, metadata: Metadata) -> dict[str, str]:
    """ProConnect and Keycloak insist on an essential claim, and may leave out ``acr_values``."""
    if not metadata.claims_parameter_supported:
        return {"acr_values": " ".join(second_factor.acr)} if second_factor.acr else {}
    asked: dict[str, object] = {"amr": {"essential": True}, "auth_time": {"essential": True}}
    if second_factor.acr:
        asked["acr"] = {"essential": True, "values": second_factor.acr}
    return {"claims": json.dumps({"id_token": asked})}


def _moment(auth_time: object) -> datetime | None:
    """A clock of the issuer that is fast must not prolong what it says."""
    if not isinstance(auth_time, int | float) or isinstance(auth_time, bool) or not auth_time >= 0:
        return None  # "not" and ">=", because NaN is not less than 0
    now = clock.now()
    return datetime.fromtimestamp(auth_time, UTC) if auth_time < now.timestamp() else now


def _reason(error: Exception) -> str:
    """The reason has none of the token's values."""
    claim = getattr(error, "claim", None)
    return type(error).__name__ if claim is None else f"{type(error).__name__} {claim}"


LONGEST_NAME = 200


def _name(claims: Claims, subject: str) -> str:
    """Return the name of a person in audit lists.

    If people can choose the name freely (``name``, or an address that the issuer did not verify), the subject
    follows in brackets.
    """
    for claim in ("email", "preferred_username", "name"):
        name = claims.get(claim)
        if isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME:
            is_chosen = claim == "name" or (claim == "email" and claims.get("email_verified") is False)
            return f"{name} ({subject[:LONGEST_NAME]})" if is_chosen else name
    return subject[:LONGEST_NAME]
