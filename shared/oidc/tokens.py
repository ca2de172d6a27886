"""Reads what the issuer has signed: ID tokens, logout tokens and statements about a person."""

from datetime import UTC, datetime

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry, Token

from shared import clock
from shared.oidc.identities import EndedAtIssuer, LogInRejected
from shared.oidc.issuer import Issuer, Published
from shared.oidc.settings import Claims

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


class SignedTokens:
    def __init__(self, issuer: Issuer, client_id: str) -> None:
        self._issuer = issuer
        self._client_id = client_id

    async def id_claims(self, id_token: str, access_token: str, nonce: str | None = None) -> Claims:
        """Raises :class:`LogInRejected` unless the issuer wrote the token for us, and for ``nonce``."""
        token = await self.verified(id_token)
        expected = {"client_id": self._client_id, "access_token": access_token}
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": self._issuer.address},
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
        token = await self.verified(logout_token)
        if token.header.get("typ") not in _LOGOUT_TYPES:
            raise LogInRejected("the token has another type than a logout token")
        claims = token.claims
        registry = JWTClaimsRegistry(
            now=lambda: int(clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer.address},
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

    async def verified(self, token: str) -> Token:
        """Raises :class:`LogInRejected` unless the issuer has signed the token."""
        try:
            try:
                return self._decoded(token, await self._issuer.published())
            except InvalidKeyIdError:  # the issuer may have a new key
                return self._decoded(token, await self._issuer.published(renew=True))
        except (JoseError, ValueError, TypeError) as error:  # TypeError: a header that is no list of texts
            raise LogInRejected(f"the token: {_reason(error)}") from error

    def _decoded(self, token: str, published: Published) -> Token:
        algorithms = SIGNED_BY.intersection(published.metadata.id_token_signing_alg_values_supported)
        registry = JWSRegistry(algorithms=sorted(algorithms), strict_check_header=False)
        return jwt.decode(token, published.keys, registry=registry)


def _reason(error: Exception) -> str:
    """The reason has none of the token's values."""
    claim = getattr(error, "claim", None)
    return type(error).__name__ if claim is None else f"{type(error).__name__} {claim}"
