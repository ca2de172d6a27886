"""The log-in at an issuer: where people log in, who has logged in, where they log out.

OpenID Connect Core 1.0 by the authorization code flow, with PKCE (RFC 7636), and Back-Channel Logout 1.0.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import BaseModel, ValidationError

from shared import clock
from shared.oidc import sealing
from shared.oidc.identities import (
    Attempt,
    Identity,
    IssuerTokens,
    LogInRejected,
    NoRole,
    ProviderAway,
    RenewalUnfinished,
)
from shared.oidc.issuer import Issuer, Metadata
from shared.oidc.settings import Claims, Grant, IssuerClient, SecondFactor
from shared.oidc.tokens import SignedTokens
from shared.permissions import Role

MAX_PROOF_AGE = timedelta(minutes=10)
"""Before a grave act, the person must have logged in at the issuer less than this ago.

It is less than ``RECENT`` of :mod:`shared.permissions`, so that time is left for the act.
"""
LONGEST_NAME = 200


class TokenResponse(BaseModel):
    """A renewal may leave out the ID token, and the refresh token if it has not changed."""

    access_token: str
    id_token: str | None = None
    refresh_token: str | None = None


class Provider:
    def __init__(self, client: IssuerClient) -> None:
        self.client = client
        self.issuer = Issuer(client.issuer)
        self.signed = SignedTokens(self.issuer, client.client_id)

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
        metadata = await self.issuer.metadata()
        strength = _asking_for(self.client.second_factor, metadata) if second_factor else {}
        address: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            self.client.client_id,
            "code",
            redirect_uri=return_to,
            scope=self.client.scope,
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

        Without the ID token some issuers ask the person first, and ProConnect refuses. ProConnect also wants
        a state. It needs no check, because nobody is logged in on the way back.
        """
        try:
            place = (await self.issuer.metadata()).end_session_endpoint
        except ProviderAway:
            return None
        if place is None:
            return None
        tokens = None if sealed is None else sealing.unseal(sealed, secret)
        parameters = {
            "id_token_hint": None if tokens is None else tokens.id_token,
            "client_id": self.client.client_id,
            "post_logout_redirect_uri": return_to,
            "state": secrets.token_urlsafe(32),
        }
        given = [(name, value) for name, value in parameters.items() if value is not None]
        address: str = add_params_to_uri(place, given)
        return address

    # ----------------------------------------------------------------------------------------- the way back

    async def identify(self, attempt: Attempt, answer: Mapping[str, str], *, return_to: str) -> Identity:
        """``answer`` is the query with which the browser returned.

        Raises :class:`LogInRejected` for an answer that must not be believed, :class:`ProviderAway`.
        """
        metadata = await self.issuer.metadata()
        self._check_sender(metadata, answer)
        form = {
            "grant_type": "authorization_code",
            "code": answer.get("code", ""),
            "redirect_uri": return_to,
            "code_verifier": attempt.verifier,
        }
        given = await self._exchange(metadata, form)
        if given.id_token is None:
            raise ProviderAway("the issuer gives no ID token for a code")
        claims = await self.signed.id_claims(given.id_token, given.access_token, nonce=attempt.nonce)
        tokens = IssuerTokens(str(claims["sub"]), given.id_token, given.refresh_token)
        return await self._identity(metadata, given.access_token, claims, tokens)

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
        metadata = await self.issuer.metadata()
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        given = await self._exchange(metadata, form)
        kept = IssuerTokens(
            tokens.subject, given.id_token or tokens.id_token, given.refresh_token or tokens.refresh_token
        )
        claims: Claims = {"sub": tokens.subject}
        try:
            if given.id_token is not None:
                claims = await self.signed.id_claims(given.id_token, given.access_token)
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
            has_second_factor=self.client.second_factor.is_proved(claims),
        )

    def _check_sender(self, metadata: Metadata, answer: Mapping[str, str]) -> None:
        """Raise :class:`LogInRejected` unless this issuer sent the answer (RFC 9207), with a code."""
        sender = answer.get("iss")
        if sender is None and metadata.authorization_response_iss_parameter_supported:
            raise LogInRejected("the answer does not say which issuer sends it")
        if sender is not None and sender != self.issuer.address:
            raise LogInRejected("the answer is of another issuer")
        if "error" in answer or not answer.get("code"):
            raise LogInRejected("the issuer gave no code")

    async def _exchange(self, metadata: Metadata, form: dict[str, str]) -> TokenResponse:
        auth = None
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            auth = httpx.BasicAuth(quote_plus(self.client.client_id), quote_plus(self.client.client_secret))
        else:
            form |= {"client_id": self.client.client_id, "client_secret": self.client.client_secret}
        response = await self.issuer.ask("POST", metadata.token_endpoint, data=form, auth=auth)
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
        response = await self.issuer.ask(
            "GET", metadata.userinfo_endpoint, headers={"Authorization": f"Bearer {access_token}"}
        )
        if response.status != 200:
            raise ProviderAway(f"the issuer answers {response.status} to userinfo")
        if response.media_type == "application/jwt":
            token = await self.signed.verified(response.content.decode("ascii", "replace"))
            claims: Any = token.claims
            if claims.get("iss", self.issuer.address) != self.issuer.address:
                raise LogInRejected("what is said of the person is of another issuer")
            audience = claims.get("aud", self.client.client_id)
            if self.client.client_id not in (audience if isinstance(audience, list) else [audience]):
                raise LogInRejected("what is said of the person is for another client")
        else:
            try:
                claims = response.document
            except ValueError as error:
                raise ProviderAway("what the issuer says of the person is not JSON") from error
        if not isinstance(claims, dict) or claims.get("sub") != subject:
            raise LogInRejected("what is said of the person is of another")
        return claims

    def grant(self, identity: Identity, roles: frozenset[Role]) -> Grant | NoRole:
        """The first matching rule counts."""
        if self.client.sirets and (why := self._why_of_no_organisation(identity.claims)) is not None:
            return why
        rules = [rule for rule in self.client.roles if rule.role in roles]
        for rule in rules:
            if (grant := rule.grant(identity.claims)) is not None:
                return replace(grant, by=self.client.prefixed(grant.by))
        if all(rule.claim != "email" for rule in rules):
            return NoRole.NO_RULE
        if "email" not in identity.claims:
            return NoRole.NO_ADDRESS
        is_verified = identity.claims.get("email_verified") is True
        return NoRole.NO_RULE if is_verified else NoRole.UNVERIFIED_ADDRESS

    def _why_of_no_organisation(self, claims: Claims) -> NoRole | None:
        siret = claims.get("siret")
        if not siret:
            return NoRole.NO_SIRET
        return None if siret in self.client.sirets.split() else NoRole.OTHER_SIRET

    def still_grants(self, by: str) -> bool:
        """A log-in ends with the rule that granted its role."""
        return any(self.client.prefixed(rule.text) == by for rule in self.client.roles)


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


def _name(claims: Claims, subject: str) -> str:
    """Return the name of a person in audit lists.

    If people may choose the name (all but an address, or one that the issuer did not verify), the subject
    follows in brackets.
    """
    for claim in ("email", "preferred_username", "name"):
        name = claims.get(claim)
        if isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME:
            is_chosen = claim != "email" or claims.get("email_verified") is False
            return f"{name} ({subject[:LONGEST_NAME]})" if is_chosen else name
    return subject[:LONGEST_NAME]
