"""A real issuer of OpenID Connect, in a thread, and people who log in at it.

It does what its protocol has it do, PKCE too; ``tampers`` says what it does wrong in the next ID token.
"""

import dataclasses
import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import flask
import httpx
from authlib.oauth2.rfc7636.challenge import compare_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey

from shared import clock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses a part of authlib that its next release moves
    import oidc_provider_mock
    from oidc_provider_mock._server import _threaded_server

Header: TypeAlias = dict[str, Any]
Claims: TypeAlias = dict[str, Any]
Tamper = Callable[[Header, Claims], RSAKey | None]
"""Changes a token's header and claims in place; returns another key to sign it with, if any."""


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=False)  # noqa: S501 without TLS: to read all authorities takes long


class OidcIssuer:
    """The issuer. ``metadata`` is laid over what it publishes; ``failing`` answers 500 to everything.

    ``changes`` has functions by path that change its response.
    ``given`` are the tokens that it gave last. With ``renews`` it gives refresh tokens, a new one at each
    renewal: the one before counts no more. With ``signs_userinfo`` it signs userinfo, with these claims.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.app = oidc_provider_mock.app()
        self.app.before_request(self._check)
        self.app.after_request(self._answer)
        self.address = ""
        self._key: RSAKey | None = None
        self._refreshes: Any = None
        self.foreign_key = RSAKey.generate_key(2048, parameters={"kid": "foreign"})
        self.forget()

    def forget(self) -> None:
        """Be as at the start."""
        self.tampers: Tamper | None = None
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.signs_userinfo: Claims | None = None
        self.failing = False
        self.changes: dict[str, Callable[[flask.Response], None]] = {}
        self.renews = True
        self.given: dict[str, Any] = {}
        self.requests: list[str] = []
        self._challenges: dict[str, str] = {}

    async def know(self, subject: str, **claims: object) -> None:
        """Know somebody, of whom it says this."""
        async with _client() as client:
            (await client.put(f"{self.address}/users/{subject}", json=claims)).raise_for_status()

    async def log_in(self, address: str, subject: str) -> str:
        """Have somebody log in where their browser was led; where it is led back to."""
        async with _client() as client:
            answer = await client.post(address, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def signed(self, claims: Claims, key: RSAKey | None = None, **header: str) -> str:
        """Return a token of the issuer, or of another ``key``."""
        assert self._key is not None
        return _signed({"alg": "RS256", "kid": self._key.kid or "", **header}, claims, key or self._key)

    def _check(self) -> flask.Response | None:
        self.requests.append(flask.request.path)
        storage = flask.g.oidc_provider_mock_storage
        self._key = RSAKey.import_key(storage.jwk.as_dict(is_private=True))
        if self.failing:
            return flask.Response(status=500)
        if flask.request.path == "/oauth2/token":
            self._refreshes = storage.get_refresh_token(flask.request.form.get("refresh_token"))
            challenge = self._challenges.pop(flask.request.form.get("code", ""), None)
            verifier = flask.request.form.get("code_verifier", "")
            if challenge is not None and not compare_s256_code_challenge(verifier, challenge):
                return flask.Response('{"error": "invalid_grant"}', 400, mimetype="application/json")
        return None

    def _answer(self, response: flask.Response) -> flask.Response:
        match flask.request.path:
            case "/oauth2/authorize" if response.status_code == 302:
                query = dict(parse_qsl(urlsplit(response.headers["location"]).query))
                self._challenges[query["code"]] = flask.request.args["code_challenge"]
            case "/.well-known/openid-configuration" if self.metadata:
                response.set_data(json.dumps(response.get_json() | self.metadata))
            case "/userinfo" if self.userinfo:
                response.set_data(json.dumps(response.get_json() | self.userinfo))
            case "/oauth2/token" if response.status_code == 200:
                given = response.get_json()
                if flask.request.form["grant_type"] == "refresh_token":
                    given |= self._renewed(given["access_token"])
                if not self.renews:
                    given.pop("refresh_token", None)
                if self.tampers is not None:
                    given |= {"id_token": self._tampered(given["id_token"])}
                self.given = given
                response.set_data(json.dumps(given))
            case _:
                pass
        if flask.request.path == "/userinfo" and self.signs_userinfo is not None:
            claims = response.get_json() | {"iss": self.address, "aud": "parcours"} | self.signs_userinfo
            response = flask.Response(self.signed(claims), mimetype="application/jwt")
        if flask.request.path in self.changes:
            self.changes[flask.request.path](response)
        return response

    def _renewed(self, access_token: str) -> dict[str, str]:
        """Return the ID token and the next refresh token of a renewal, which the library leaves out."""
        storage, used = flask.g.oidc_provider_mock_storage, self._refreshes
        storage._refresh_tokens.pop(used.token)
        renewed = dataclasses.replace(used, token=f"{used.token}+", access_token=access_token)
        storage.store_refresh_token(renewed)
        now = int(clock.now().timestamp())
        person = {"iss": self.address, "aud": used.client_id, "sub": used.user_id, "iat": now}
        claims = storage.get_user(used.user_id).claims | person | {"exp": now + 3600}
        return {"id_token": self.signed(claims), "refresh_token": renewed.token}

    def _tampered(self, id_token: str) -> str:
        assert self.tampers is not None
        assert self._key is not None
        key = self._key
        token = jwt.decode(id_token, key)
        header, claims = dict(token.header), dict(token.claims)
        other_key = self.tampers(header, claims)
        return _signed(header, claims, other_key or key)


def _signed(header: Header, claims: Claims, key: RSAKey) -> str:
    """A token that is signed as its header says, by none too."""
    if header["alg"] == "none":
        parts = (
            urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)
        )
        return ".".join([*parts, ""])
    return jwt.encode(header, claims, key)


@contextmanager
def running_issuer() -> Iterator[OidcIssuer]:
    """An issuer that answers on this machine."""
    issuer = OidcIssuer()
    with _threaded_server(issuer.app, poll_interval=0.01) as server:
        issuer.address = f"http://localhost:{server.server_port}"
        yield issuer
