"""Whom an issuer knows is believed, and nothing else that comes in its name."""

import asyncio
import base64
import gzip
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import flask
import pytest

from shared import clock
from shared.oidc import issuer as issuer_module
from shared.oidc import providers_of, sealing
from shared.oidc.identities import Identity, IssuerTokens, LogInRejected, NoRole, ProviderAway
from shared.oidc.issuer import IssuerResponse
from shared.oidc.provider import Provider
from shared.oidc.settings import Grant, IssuerClient, OidcSettings, RoleRule
from shared.permissions import Role
from tests.support.oidc import Claims, Header, OidcIssuer, Tamper

BACK = "https://parcours.example/gestion/connexion/retour"
RULES = [
    {"claim": "groups", "value": "parcours-admin", "role": "admin"},
    {"claim": "realm_access.roles", "value": "organisateur-{delegation}", "role": "organiser"},
    {"claim": "groups", "value": "assistance", "role": "support"},
]


@dataclass
class Begun:
    nonce: str = "a nonce of this log-in"
    verifier: str = "a verifier of at least forty-three characters, as RFC 7636 asks"


BEGUN = Begun()


def settings_for(issuer: OidcIssuer) -> OidcSettings:
    return OidcSettings.model_validate(
        {
            "oidc_issuer": issuer.address,
            "oidc_client_id": "parcours",
            "oidc_client_secret": "a secret",
            "oidc_roles": RULES,
        }
    )


@pytest.fixture
def provider(issuer: OidcIssuer) -> Provider:
    (provider,) = providers_of(settings_for(issuer))
    return provider


async def address_at(provider: Provider) -> str:
    """Where the browser is led to log in."""
    return await provider.authorization_address(BEGUN, state="state", return_to=BACK)


async def answer_of(issuer: OidcIssuer, provider: Provider) -> dict[str, str]:
    """What the browser comes back with after somebody has logged in."""
    return dict(parse_qsl(urlsplit(await issuer.log_in(await address_at(provider), "u-1")).query))


async def identified(issuer: OidcIssuer, provider: Provider) -> Identity:
    return await provider.identify(BEGUN, await answer_of(issuer, provider), return_to=BACK)


async def test_a_person_of_the_issuer_has_the_role_of_a_rule_that_is_asked_for(
    issuer: OidcIssuer, provider: Provider
) -> None:
    await issuer.know("u-1", email="zoe@cnfpt.example", groups=["assistance"])
    issuer.metadata = ALGORITHMS
    issuer.tampers = replaced()  # signed anew, as the wrong ones below are
    identity = await identified(issuer, provider)
    grant = provider.grant(identity, frozenset(Role))
    assert identity.subject == "u-1"
    assert isinstance(grant, Grant)
    assert (grant.role, grant.delegation) == (Role.SUPPORT, None)
    assert provider.grant(identity, frozenset((Role.ORGANISER, Role.ADMIN))) is NoRole.NO_RULE


def replaced(**changes: object) -> Tamper:
    """Tamper with claims; None takes one away."""

    def tamper(header: Header, claims: Claims) -> None:
        for name, value in changes.items():
            claims.pop(name, None)
            if value is not None:
                claims[name] = value

    return tamper


@pytest.mark.parametrize(
    ("auth_time", "proved_at"),
    [
        (1_700_000_000, datetime.fromtimestamp(1_700_000_000, UTC)),
        (1_700_000_000.5, datetime.fromtimestamp(1_700_000_000.5, UTC)),
        (-1, None),
        (math.nan, None),
    ],
)
async def test_the_issuer_says_when_it_checked_the_person_also_with_a_fraction_of_a_second(
    issuer: OidcIssuer, provider: Provider, auth_time: float, proved_at: datetime | None
) -> None:
    issuer.tampers = replaced(auth_time=auth_time)
    assert (await identified(issuer, provider)).proved_at == proved_at


def headed(**changes: str) -> Tamper:
    def tamper(header: Header, claims: Claims) -> None:
        header.update(changes)

    return tamper


ALGORITHMS = {"id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}
WRONG = {
    "nonce": replaced(nonce="another"),
    "no nonce": replaced(nonce=None),
    "audience": replaced(aud="another"),
    "audience, though we asked": replaced(aud="another", azp="parcours"),
    "two audiences": replaced(aud=["parcours", "another"]),
    "for another party": replaced(azp="another"),
    "issuer": replaced(iss="https://another.example"),
    "expired": replaced(exp=int(time.time()) - 120),
    "no expiry": replaced(exp=None),
    "of the future": replaced(iat=int(time.time()) + 24 * 3600),
    "no subject": replaced(sub=None),
    "empty subject": replaced(sub=""),
    "other access token": replaced(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "algorithm none": headed(alg="none"),
    "unknown key": headed(kid="nobody's"),
}


@pytest.mark.parametrize("tampers", WRONG.values(), ids=WRONG)
async def test_a_token_that_is_wrong_is_rejected(
    issuer: OidcIssuer, provider: Provider, tampers: Tamper
) -> None:
    issuer.metadata = ALGORITHMS
    issuer.tampers = tampers
    with pytest.raises(LogInRejected):
        await identified(issuer, provider)


async def test_another_key_is_not_the_issuers_even_under_its_name(
    issuer: OidcIssuer, provider: Provider
) -> None:
    issuer.tampers = lambda *_token: issuer.foreign_key
    with pytest.raises(LogInRejected, match="BadSignature"):
        await identified(issuer, provider)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email": "zoe@cnfpt.example"}, "zoe@cnfpt.example"),
        ({"email": "zoe@cnfpt.example", "email_verified": False}, "zoe@cnfpt.example (u-1)"),
        ({"name": "Zoé"}, "Zoé (u-1)"),
        ({"preferred_username": "agent"}, "agent (u-1)"),
    ],
    ids=["verified address", "other address", "chosen name", "user name"],
)
async def test_a_name_that_anybody_may_choose_is_shown_with_the_subject(
    issuer: OidcIssuer, provider: Provider, claims: dict[str, object], name: str
) -> None:
    await issuer.know("u-1", **claims)
    assert (await identified(issuer, provider)).name == name


async def test_a_code_counts_once_and_with_its_verifier_alone(issuer: OidcIssuer, provider: Provider) -> None:
    answer = await answer_of(issuer, provider)
    await provider.identify(BEGUN, answer, return_to=BACK)
    with pytest.raises(LogInRejected, match="400"):
        await provider.identify(BEGUN, answer, return_to=BACK)
    answer = await answer_of(issuer, provider)
    stolen = Begun(verifier="of whoever has stolen the code, and not of whoever began the log-in")
    with pytest.raises(LogInRejected, match="400"):
        await provider.identify(stolen, answer, return_to=BACK)


async def test_what_another_issuer_answers_is_rejected(issuer: OidcIssuer, provider: Provider) -> None:
    answer = await answer_of(issuer, provider)
    for more in ({"iss": "https://another.example"}, {"error": "access_denied"}, {"code": ""}):
        with pytest.raises(LogInRejected):
            await provider.identify(BEGUN, answer | more, return_to=BACK)
    assert "/oauth2/token" not in issuer.requests
    await provider.identify(BEGUN, answer | {"iss": issuer.address}, return_to=BACK)


async def test_an_issuer_that_announces_its_name_in_answers_must_give_it(
    issuer: OidcIssuer, provider: Provider
) -> None:
    issuer.metadata = {"authorization_response_iss_parameter_supported": True}
    with pytest.raises(LogInRejected, match="which issuer"):
        await identified(issuer, provider)


async def test_what_is_said_of_another_person_is_rejected(issuer: OidcIssuer, provider: Provider) -> None:
    issuer.userinfo = {"sub": "u-2"}
    with pytest.raises(LogInRejected, match="of another"):
        await identified(issuer, provider)


async def test_a_role_may_stand_in_userinfo_alone(issuer: OidcIssuer, provider: Provider) -> None:
    issuer.userinfo = {"realm_access": {"roles": ["x", "organisateur-bretagne"]}}
    grant = provider.grant(await identified(issuer, provider), frozenset(Role))
    assert isinstance(grant, Grant)
    assert (grant.role, grant.delegation) == (Role.ORGANISER, "bretagne")


@pytest.mark.parametrize(
    ("claims", "rejected"),
    [
        ({}, None),
        ({"aud": ["another", "parcours"]}, None),
        ({"aud": "another"}, "for another client"),
        ({"iss": "https://another.example"}, "of another issuer"),
        ({"sub": "u-2"}, "of another"),
    ],
)
async def test_signed_userinfo_is_of_the_issuer_and_for_us(
    issuer: OidcIssuer, provider: Provider, claims: Claims, rejected: str | None
) -> None:
    issuer.signs_userinfo = {"siret": OURS, **claims}
    if rejected is None:
        assert (await identified(issuer, provider)).claims["siret"] == OURS
    else:
        with pytest.raises(LogInRejected, match=rejected):
            await identified(issuer, provider)


async def test_userinfo_of_another_key_is_rejected(issuer: OidcIssuer, provider: Provider) -> None:
    def signed_by_another(response: flask.Response) -> None:
        response.set_data(issuer.signed({"sub": "u-1"}, issuer.foreign_key))

    issuer.signs_userinfo = {}
    issuer.changes = {"/userinfo": signed_by_another}
    with pytest.raises(LogInRejected, match="BadSignature"):
        await identified(issuer, provider)


OURS, OTHER = "18001404500009", "21350238800019"
VERIFIED = {"siret": OURS, "email": "chef@cnfpt.example", "email_verified": True}


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        (VERIFIED, None),
        (VERIFIED | {"siret": None}, NoRole.NO_SIRET),
        (VERIFIED | {"siret": OTHER}, NoRole.OTHER_SIRET),
        (VERIFIED | {"siret": [OURS]}, NoRole.OTHER_SIRET),
        ({"siret": OURS}, NoRole.NO_ADDRESS),
        (VERIFIED | {"email_verified": "true"}, NoRole.UNVERIFIED_ADDRESS),
        (VERIFIED | {"email": "eve@cnfpt.example"}, NoRole.NO_RULE),
    ],
)
def test_a_person_without_a_role_hears_which_claim_is_missing_or_wrong(
    claims: Claims, why: NoRole | None
) -> None:
    rule = RoleRule(claim="email", value="chef@cnfpt.example", role=Role.ADMIN)
    client = IssuerClient(
        name="proconnect",
        label="ProConnect",
        issuer="https://issuer.example",
        client_id="parcours",
        client_secret="a secret",
        roles=(rule,),
        sirets=f"{OURS} 21750001600019",
    )
    identity = Identity("u-1", "Zoé", claims, IssuerTokens("u-1", None, None))
    given = Provider(client).grant(identity, frozenset(Role))
    assert (None if isinstance(given, Grant) else given) == why


@pytest.mark.parametrize(
    "published",
    [
        {"issuer": "https://another.example"},
        {"token_endpoint": "http://another.example/token"},
        {"jwks_uri": None},
    ],
)
async def test_a_discovery_document_that_cannot_be_believed_is_not_used(
    issuer: OidcIssuer, provider: Provider, published: dict[str, str | None]
) -> None:
    issuer.metadata = published
    with pytest.raises(ProviderAway):
        await address_at(provider)


async def test_what_the_issuer_publishes_is_asked_for_once_and_kept_while_it_is_away(
    issuer: OidcIssuer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(address_at(provider) for _ in range(5)))
    assert issuer.requests == ["/.well-known/openid-configuration", "/jwks"]
    issuer.failing = True
    later = clock.now() + timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert await address_at(provider) == await address_at(provider)
    assert issuer.requests.count("/.well-known/openid-configuration") == 2
    issuer.failing = False
    later += issuer_module.RETRY_AFTER
    await address_at(provider)
    assert issuer.requests.count("/jwks") == 2


async def test_an_issuer_that_is_away_is_asked_again_after_seconds_and_holds_up_nobody(
    issuer: OidcIssuer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.failing = True
    for _ in range(3):
        with pytest.raises(ProviderAway):
            await address_at(provider)
    assert len(issuer.requests) == 1
    issuer.failing = False
    later = clock.now() + issuer_module.RETRY_AFTER
    monkeypatch.setattr(clock, "now", lambda: later)
    await address_at(provider)


async def test_a_silent_issuer_holds_up_one_visitor_of_many(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, asked = clock.now(), 0

    async def silent(*_: object) -> IssuerResponse:
        nonlocal moment, asked
        moment, asked = moment + timedelta(seconds=issuer_module.SECONDS), asked + 1
        raise ProviderAway

    monkeypatch.setattr(clock, "now", lambda: moment)
    monkeypatch.setattr(issuer_module.Issuer, "ask", silent)
    for _ in range(3):
        with pytest.raises(ProviderAway):
            await address_at(provider)
    assert asked == 1


async def test_an_issuer_that_says_nothing_is_given_up(
    issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_module, "SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        settings = settings_for(issuer).model_copy(update={"oidc_issuer": f"http://{host}:{port}"})
        (provider,) = providers_of(settings)
        with pytest.raises(ProviderAway, match="TimeoutError"):
            await provider.issuer.ask("GET", f"{provider.issuer.address}/")


def enlarged(response: flask.Response) -> None:
    response.set_data(response.get_data() + b" " * issuer_module.MAX_BYTES)


def compressed(response: flask.Response) -> None:
    response.set_data(gzip.compress(response.get_data()))
    response.headers["Content-Encoding"] = "gzip"


def nested(response: flask.Response) -> None:
    response.set_data(b"[" * 100_000)


@pytest.mark.parametrize("change", [enlarged, compressed, nested])
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/oauth2/token", "/userinfo"])
async def test_a_response_of_the_issuer_is_bounded(
    issuer: OidcIssuer, provider: Provider, path: str, change: Callable[[flask.Response], None]
) -> None:
    issuer.changes = {path: change}
    with pytest.raises(ProviderAway):
        await identified(issuer, provider)


def led_away(response: flask.Response) -> None:
    response.status_code, response.headers["Location"] = 307, "/elsewhere"
    response.set_data(b"")


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/oauth2/token", "/userinfo"])
async def test_the_issuer_leads_us_to_no_other_address(
    issuer: OidcIssuer, provider: Provider, path: str
) -> None:
    issuer.changes = {path: led_away}
    with pytest.raises((ProviderAway, LogInRejected)):
        await identified(issuer, provider)
    assert issuer.requests[-1] == path


async def test_a_response_of_the_issuer_may_have_as_many_bytes_as_it_may_have(
    issuer: OidcIssuer, provider: Provider
) -> None:
    issuer.userinfo = {"x": "x" * (issuer_module.MAX_BYTES - 1_000)}
    assert (await identified(issuer, provider)).claims["x"] == issuer.userinfo["x"]


async def test_a_header_of_other_types_is_refused_like_any_forged_text(provider: Provider) -> None:
    signed, sealed = (
        base64.urlsafe_b64encode(header).decode().rstrip("=")
        for header in (b'{"alg":"RS256","crit":5}', b'{"alg":"dir","enc":"A256GCM","crit":5}')
    )
    with pytest.raises(LogInRejected):
        await provider.signed.read_logout_token(f"{signed}.e30.AAAA")
    rest = sealing.encrypt(b"ours", b"k" * 32).partition(".")[2]
    assert sealing.decrypt(f"{sealed}.{rest}", b"k" * 32) is None


async def test_a_log_out_at_the_issuer_names_whose_it_is(issuer: OidcIssuer, provider: Provider) -> None:
    sealed = sealing.seal(IssuerTokens("u-1", "token", None), "a secret")
    ours = {"client_id": "parcours", "post_logout_redirect_uri": BACK}
    for of_browser, expected in (("a secret", ours | {"id_token_hint": "token"}), ("another", ours)):
        there = await provider.log_out_address(sealed, of_browser, return_to=BACK)
        assert there is not None
        query = dict(parse_qsl(urlsplit(there).query))
        assert len(query.pop("state")) >= 32
        assert query == expected
    issuer.metadata = {"end_session_endpoint": None}
    (other,) = providers_of(settings_for(issuer))
    assert await other.log_out_address(sealed, "a secret", return_to=BACK) is None
