"""A grave act asks for a strong and recent log-in, and a log-in ends when the issuer says so."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from shared import clock
from shared.oidc.identities import Identity
from shared.oidc.provider import Provider
from shared.process import Process
from shared.web.logins.staff_area import StaffArea
from tests.conftest import SecurityLines
from tests.integration.catalogue.conftest import ADMIN, BRETAGNE, time_is
from tests.integration.services.composed import AREAS, browser_on
from tests.integration.services.conftest import Compose
from tests.integration.services.test_logins import OURS, at_issuer, beside, by_token, is_in, key_of, onward
from tests.integration.services.test_provider import replaced, settings_for
from tests.support.oidc import Claims, OidcIssuer
from tests.support.processes import SERVICES

Browser = httpx.AsyncClient
AREA = AREAS["catalogue"]
CANCEL = f"{AREA.home}/sessions/{UUID(int=0)}/annuler"
"""Of a session that does not exist: who may cancel it gets a 404."""
ORGANISER: Claims = {"realm_access": {"roles": ["organisateur-bretagne"]}}
AN_ADMIN: Claims = {"groups": ["parcours-admin"]}
MFA: Claims = {"amr": ["pwd", "mfa"]}
TYPE = "logout+jwt"
LOG_OUT: Claims = {"http://schemas.openid.net/event/backchannel-logout": {}}


def just_now(minutes_ago: float = 0) -> int:
    return int(clock.now().timestamp() - 60 * minutes_ago)


@pytest.fixture
def process(compose_service: Compose, issuer: OidcIssuer) -> Process:
    return compose_service("catalogue", **settings_for(issuer).model_dump())


@pytest.fixture
async def browser(process: Process) -> AsyncIterator[Browser]:
    async with browser_on(process) as browser:
        yield browser


async def logged_in(browser: Browser, issuer: OidcIssuer, claims: Claims, area: StaffArea = AREA) -> None:
    await issuer.know("ana", **claims)
    await at_issuer(browser, issuer, area.begin, "ana")


async def column(process: Process, name: str) -> Any:
    async with process.database.quiet_transaction() as tx:
        return await tx.scalar(text(f"SELECT {name} FROM login"))


# --------------------------------------------------------------------------------------------- strength


STRENGTHS: dict[str, tuple[Claims, int | None, bool]] = {
    "both": (MFA, 14, True),
    "acr": ({"acr": "eidas2"}, 0, True),
    "no second factor": ({"amr": ["pwd"], "acr": "eidas1"}, 0, False),
    "nothing": ({}, 0, False),
    "too old": (MFA, 16, False),
    "no time": (MFA, None, False),
}


@pytest.mark.parametrize(("factor", "minutes", "opens"), STRENGTHS.values(), ids=STRENGTHS)
async def test_a_grave_act_needs_a_second_factor_and_a_recent_log_in(
    *, compose_service: Compose, issuer: OidcIssuer, factor: Claims, minutes: int | None, opens: bool
) -> None:
    settings = settings_for(issuer).model_dump() | {"oidc_acr_values": "eidas2 eidas3"}
    issuer.tampers = replaced(auth_time=None if minutes is None else just_now(minutes))
    issuer.userinfo = {"amr": ["mfa"], "acr": "eidas2", "auth_time": just_now()}  # nobody signs this
    async with browser_on(compose_service("catalogue", **settings)) as browser:
        await logged_in(browser, issuer, ORGANISER | factor)
        assert (await browser.get(AREA.home)).status_code == 200
        assert (await browser.get(CANCEL)).status_code == (404 if opens else 403)


@pytest.mark.parametrize("service", SERVICES)
async def test_admins_and_support_need_a_second_factor_for_everything_but_leaving(
    compose_service: Compose, issuer: OidcIssuer, service: str
) -> None:
    process, area = compose_service(service, **settings_for(issuer).model_dump()), AREAS[service]
    async with browser_on(process) as browser:
        await logged_in(browser, issuer, AN_ADMIN, area)
        page = await browser.get(area.home)
        assert page.status_code == 403
        assert f"{area.begin}?vers=" in page.text
        assert "facteur=oui" in page.text
        assert "recente" not in page.text
        assert (await browser.get(area.own_logins)).status_code == 200
        assert (await browser.post(area.log_out, data={"cle": await key_of(browser, area)})).is_success
        await logged_in(browser, issuer, AN_ADMIN | MFA, area)
        assert (await browser.get(area.home)).status_code == 200


async def test_a_form_survives_the_new_log_in(browser: Browser, issuer: OidcIssuer) -> None:
    await logged_in(browser, issuer, ORGANISER | MFA | {"auth_time": just_now(20)})
    form = {"cle": await key_of(browser, AREA), "reason": "Trop peu d’inscrits."}
    asked = await browser.post(CANCEL, data=form)
    assert asked.status_code == 403
    assert "Trop peu d’inscrits." in asked.text
    await logged_in(browser, issuer, ORGANISER | MFA | {"auth_time": just_now()})
    brought = {"vers": CANCEL, "envoi": CANCEL, "saisie-reason": "Trop peu d’inscrits."}
    again = await browser.post(AREA.log_in, data=brought)
    assert "Trop peu d’inscrits." in again.text
    assert (await browser.post(CANCEL, data=form | {"cle": await key_of(browser, AREA)})).status_code == 404


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, {"acr_values": "eidas2 eidas3"}),
        (
            {"claims_parameter_supported": True},
            {
                "claims": '{"id_token": {"amr": {"essential": true}, "auth_time": {"essential": true}, '
                '"acr": {"essential": true, "values": ["eidas2", "eidas3"]}}}'
            },
        ),
    ],
    ids=["by acr_values", "by claims"],
)
async def test_the_issuer_is_asked_for_what_the_act_needs(
    *, compose_service: Compose, issuer: OidcIssuer, metadata: dict[str, Any], expected: dict[str, str]
) -> None:
    issuer.metadata = metadata
    settings = {**settings_for(issuer).model_dump(), "oidc_acr_values": "eidas2 eidas3"}
    strength = {"acr_values", "claims", "max_age"}
    async with browser_on(compose_service("catalogue", **settings)) as browser:
        for more, asked in (
            ("", {}),
            ("?recente=oui", {"max_age": "600"}),
            ("?recente=oui&facteur=oui", {"max_age": "600", **expected}),
        ):
            led = await browser.get(f"{AREA.begin}{more}")
            query = dict(parse_qsl(urlsplit(led.headers["location"]).query))
            assert {name: query[name] for name in strength & query.keys()} == asked, more
    area = AREAS["notifier"]  # whose pages are for support and admins alone
    async with browser_on(compose_service("notifier", **settings)) as browser:
        led = await browser.get(area.begin)
        assert expected.items() <= dict(parse_qsl(urlsplit(led.headers["location"]).query)).items()


async def test_a_token_is_no_second_factor_where_an_issuer_knows_people(
    compose_service: Compose, issuer: OidcIssuer
) -> None:
    at_an_issuer, outside = settings_for(issuer).model_dump(), {"parcours_trial": False, "portals_file": None}
    for settings, token, opened in (
        ({**outside, **at_an_issuer}, ADMIN, [403, 403]),
        ({**outside, **at_an_issuer}, BRETAGNE, [200, 403]),
        (outside, ADMIN, [200, 404]),
        ({"parcours_trial": True, **at_an_issuer}, ADMIN, [200, 404]),
    ):
        async with browser_on(compose_service("catalogue", **settings)) as browser:
            await by_token(browser, AREA, token)
            assert [(await browser.get(path)).status_code for path in (AREA.home, CANCEL)] == opened, settings


async def test_who_ends_other_log_ins_has_just_logged_in(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    async with browser_on(process) as other:
        await logged_in(other, issuer, ORGANISER)
        for minutes, opens in ((20, False), (1, True)):
            await logged_in(browser, issuer, ORGANISER | {"auth_time": just_now(minutes)})
            form = {"cle": await key_of(browser, AREA), "fin": "toutes"}
            ended = await browser.post(AREA.own_logins, data=form)
            assert (ended.status_code, await is_in(other, AREA)) == ((200, False) if opens else (403, True))


# ---------------------------------------------------------------------------------------------- renewal


async def test_the_database_alone_opens_no_token_of_the_issuer(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    await logged_in(browser, issuer, ORGANISER)
    stored = await column(process, "row_to_json(login)::text")
    given = issuer.given
    assert {"id_token", "refresh_token", "access_token"} <= given.keys()
    assert [name for name in given if str(given[name]) in stored and name.endswith("_token")] == []
    hint = dict(parse_qsl(urlsplit(await left(browser)).query))["id_token_hint"]
    assert hint == given["id_token"]


async def left(browser: Browser) -> str:
    return onward(await browser.post(AREA.log_out, data={"cle": await key_of(browser, AREA)}))


async def test_a_role_that_the_issuer_takes_away_ends_within_a_minute(
    *,
    browser: Browser,
    issuer: OidcIssuer,
    security_lines: SecurityLines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await logged_in(browser, issuer, ORGANISER)
    opened_at = clock.now()
    await issuer.know("ana", realm_access={"roles": ["organisateur-corse"]})
    async with time_is(monkeypatch, opened_at + timedelta(seconds=61)):
        assert "Corse" in (await browser.get(AREA.home)).text
    await issuer.know("ana")
    async with time_is(monkeypatch, opened_at + timedelta(seconds=120)):
        assert await is_in(browser, AREA)
    async with time_is(monkeypatch, opened_at + timedelta(seconds=122)):
        assert not await is_in(browser, AREA)
    assert security_lines()[-1]["event"] == "log_out"


async def test_a_renewal_never_interrupts_and_asks_the_issuer_once(
    process: Process, browser: Browser, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await logged_in(browser, issuer, ORGANISER | MFA | {"auth_time": just_now()})
    opened_at, form = clock.now(), {"cle": await key_of(browser, AREA), "fin": "x"}
    for round_, minutes in enumerate(range(11, 100, 11), start=1):  # beyond the hour without a renewal
        async with time_is(monkeypatch, opened_at + timedelta(minutes=minutes)):
            found = await asyncio.gather(*(is_in(browser, AREA) for _ in range(3)))
            assert found == [True] * 3, minutes
            assert issuer.requests.count("/oauth2/token") == 1 + round_
    proved_at = await column(process, "proved_at")
    assert abs(proved_at - opened_at) < timedelta(seconds=5), "a renewal is no proof"
    async with time_is(monkeypatch, opened_at + timedelta(minutes=111)):
        assert (await browser.post(AREA.log_out, data=form)).status_code == 200, "a form is taken meanwhile"


@pytest.mark.parametrize("renews", [True, False], ids=["the issuer is away", "no refresh tokens"])
async def test_a_log_in_that_the_issuer_does_not_confirm_lasts_an_hour(
    browser: Browser, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, *, renews: bool
) -> None:
    issuer.renews = renews
    await logged_in(browser, issuer, ORGANISER)
    opened_at, issuer.failing = clock.now(), renews
    for minutes in (11, 35, 59, 61):
        async with time_is(monkeypatch, opened_at + timedelta(minutes=minutes)):
            assert await is_in(browser, AREA) is (minutes < 60), minutes


async def test_a_renewal_that_the_issuer_leaves_half_done_goes_on_with_the_new_token(
    browser: Browser, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await logged_in(browser, issuer, ORGANISER)
    opened_at = clock.now()
    issuer.changes["/userinfo"] = lambda response: setattr(response, "status_code", 429)
    async with time_is(monkeypatch, opened_at + timedelta(minutes=2)):
        assert await is_in(browser, AREA), "the issuer is busy"
    issuer.changes.clear()
    async with time_is(monkeypatch, opened_at + timedelta(minutes=4)):
        assert await is_in(browser, AREA), "the first refresh token is used up"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_log_in_stays_while_the_issuer_refuses_us_and_not_the_person(
    browser: Browser, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """For example because of a wrong client secret."""
    await logged_in(browser, issuer, ORGANISER)
    issuer.changes["/oauth2/token"] = lambda response: setattr(response, "status_code", status)
    async with time_is(monkeypatch, clock.now() + timedelta(minutes=2)):
        assert await is_in(browser, AREA)
    assert issuer.requests.count("/oauth2/token") == 2


async def test_a_log_in_that_ends_during_its_renewal_stays_ended(
    process: Process, browser: Browser, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await logged_in(browser, issuer, ORGANISER)
    renew = Provider.renew

    async def renewed(*known: Any) -> Identity:
        identity = await renew(*known)
        async with process.database.transaction() as tx:
            await tx.execute(text("DELETE FROM login"))
        return identity

    monkeypatch.setattr(Provider, "renew", renewed)
    async with time_is(monkeypatch, clock.now() + timedelta(minutes=2)):
        assert not await is_in(browser, AREA)


@pytest.mark.parametrize(
    "claims", [{"sub": "eve"}, {"aud": "another"}, {"iss": "https://a.example"}], ids=str
)
async def test_a_renewed_token_is_checked_as_the_first(
    browser: Browser, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, claims: Claims
) -> None:
    await logged_in(browser, issuer, ORGANISER)
    issuer.tampers = lambda _header, given: given.update(claims)
    async with time_is(monkeypatch, clock.now() + timedelta(minutes=11)):
        assert not await is_in(browser, AREA)


# ----------------------------------------------------------------------------------- back-channel log-out


def logout_token(issuer: OidcIssuer, token_id: str, **claims: Any) -> Claims:
    now = int(time.time())
    whole = {"iss": issuer.address, "aud": "parcours", "iat": now, "exp": now + 120, "jti": token_id}
    whole |= {"events": LOG_OUT, "sub": "ana", **claims}
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
async def sessions(process: Process, issuer: OidcIssuer) -> AsyncIterator[list[Browser]]:
    """Three browsers of Ana, each in a session of its own at the issuer."""
    browsers = [browser_on(process) for _ in range(3)]
    for number, browser in enumerate(browsers):
        await logged_in(browser, issuer, ORGANISER | {"sid": f"session {number}"})
    yield browsers
    for browser in browsers:
        await browser.aclose()


async def send(browser: Browser, token: str) -> int:
    answer = await browser.post(AREA.end_by_issuer, data={"logout_token": token})
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code


async def are_in(browsers: list[Browser]) -> list[bool]:
    return [await is_in(browser, AREA) for browser in browsers]


async def test_the_issuer_ends_a_session_or_all_log_ins_of_a_person_at_once(
    sessions: list[Browser], issuer: OidcIssuer, security_lines: SecurityLines
) -> None:
    steps: list[tuple[Claims, list[bool]]] = [
        ({"sub": "eve"}, [True, True, True]),
        ({"sub": "eve", "sid": "session 0"}, [True, True, True]),
        ({"sid": "session 1"}, [True, False, True]),
        ({"sub": None, "sid": "session 0"}, [False, False, True]),
        ({}, [False, False, False]),
    ]
    for number, (claims, still_in) in enumerate(steps):
        kind = "JWT" if number % 2 else TYPE  # many issuers do not type the token
        token = issuer.signed(logout_token(issuer, f"id {number}", **claims), typ=kind)
        assert await send(sessions[0], token) == 200
        assert await are_in(sessions) == still_in, claims
    assert security_lines()[-1]["message"].startswith("log_out ok who=issuer where=/gestion/connexion/fin")


async def test_a_logout_token_counts_once(sessions: list[Browser], issuer: OidcIssuer) -> None:
    token = issuer.signed(logout_token(issuer, "an id"), typ=TYPE)
    assert await send(sessions[0], token) == 200
    await at_issuer(sessions[0], issuer, AREA.begin, "ana")
    assert await send(sessions[0], token) == 400
    assert await are_in(sessions) == [True, False, False]


WRONG: dict[str, Claims] = {
    "issuer": {"iss": "https://another.example"},
    "audience": {"aud": ["another"]},
    "expired": {"exp": int(time.time()) - 120},
    "no expiry": {"exp": None},
    "lasts too long": {"exp": int(time.time()) + 10**9},
    "of the future": {"iat": int(time.time()) + 86_400},
    "no moment": {"iat": None},
    "no id": {"jti": None},
    "no events": {"events": None},
    "another event": {"events": {"https://a.example": {}}},
    "event without an object": {"events": dict.fromkeys(LOG_OUT, "x")},
    "a nonce": {"nonce": "x"},
    "nobody": {"sub": None},
    "no texts": {"sub": 1},
}


async def test_a_wrong_logout_token_ends_nothing(sessions: list[Browser], issuer: OidcIssuer) -> None:
    whole = logout_token(issuer, "an id")
    tokens = {
        name: issuer.signed(logout_token(issuer, name, **claims), typ=TYPE) for name, claims in WRONG.items()
    }
    tokens |= {
        "another key": issuer.signed(whole, issuer.foreign_key, typ=TYPE),
        "algorithm none": issuer.signed(whole, alg="none", typ=TYPE),
        "another type": issuer.signed(whole, typ="at+jwt"),
        "no token": "",
    }
    answered = {name: await send(sessions[0], token) for name, token in tokens.items()}
    assert answered == dict.fromkeys(tokens, 400)
    assert await are_in(sessions) == [True, True, True]


async def test_an_issuer_ends_its_own_log_ins_and_no_others(
    compose_service: Compose, issuer: OidcIssuer
) -> None:
    process = compose_service("catalogue", **beside(issuer))
    other = {"iss": issuer.address.replace("localhost", "127.0.0.1")}
    ends = {"first": AREA.end_by_issuer, "other": f"{AREA.end_by_issuer}/proconnect"}
    issuer.userinfo = {"siret": OURS}
    await issuer.know("ana", **ORGANISER, sid="a session")
    async with browser_on(process) as here, browser_on(process) as there:
        await at_issuer(here, issuer, AREA.begin, "ana")
        await at_issuer(there, issuer, f"{AREA.begin}/proconnect", "ana")
        steps: list[tuple[str, Claims, int, list[bool]]] = [
            ("first", other, 400, [True, True]),
            ("other", {}, 400, [True, True]),
            ("other", other | {"sub": None, "sid": "a session"}, 200, [True, False]),
            ("first", {}, 200, [False, False]),
        ]
        for number, (end, claims, status, still_in) in enumerate(steps):
            token = issuer.signed(logout_token(issuer, f"id {number}", **claims), typ=TYPE)
            answer = await here.post(ends[end], data={"logout_token": token})
            assert (answer.status_code, await are_in([here, there])) == (status, still_in), (end, claims)


async def test_tokens_of_unknown_keys_do_not_make_us_ask_the_issuer_each_time(
    sessions: list[Browser], issuer: OidcIssuer
) -> None:
    asked = issuer.requests.count("/jwks")
    for number in range(5):
        await send(sessions[0], issuer.signed(logout_token(issuer, "an id"), typ=TYPE, kid=f"key {number}"))
    assert issuer.requests.count("/jwks") <= asked + 1
