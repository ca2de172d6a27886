"""A real issuer of OpenID Connect, in a thread, and people who log in at it.

It does what its protocol has it do, PKCE too; ``tampers`` says what it does wrong in the next ID token.
"""

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
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.app = oidc_provider_mock.app(issue_refresh_token=False)
        self.app.before_request(self._check)
        self.app.after_request(self._answer)
        self.address = ""
        self.foreign_key = RSAKey.generate_key(2048, parameters={"kid": "foreign"})
        self.forget()

    def forget(self) -> None:
        """Be as at the start."""
        self.tampers: Tamper | None = None
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.failing = False
        self.changes: dict[str, Callable[[flask.Response], None]] = {}
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

    def _check(self) -> flask.Response | None:
        self.requests.append(flask.request.path)
        if self.failing:
            return flask.Response(status=500)
        if flask.request.path == "/oauth2/token":
            challenge = self._challenges.pop(flask.request.form["code"], None)
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
            case "/oauth2/token" if self.tampers is not None and response.status_code == 200:
                given = response.get_json()
                response.set_data(json.dumps(given | {"id_token": self._tampered(given["id_token"])}))
            case _:
                pass
        if flask.request.path in self.changes:
            self.changes[flask.request.path](response)
        return response

    def _tampered(self, id_token: str) -> str:
        assert self.tampers is not None
        key = RSAKey.import_key(flask.g.oidc_provider_mock_storage.jwk.as_dict(is_private=True))
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
