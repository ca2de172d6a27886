"""An agent opens "Mes inscriptions" by a log-in, which a letter to the address has confirmed once."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from services.enrolment.pages.agent_log_ins import END_BY_ISSUER
from services.notifier.pages.agent_log_ins import BEGIN, LOG_OUT
from services.notifier.service import corrections
from shared import clock
from shared.events.enrolment import AgentDetailsCorrected
from shared.events.vocabulary import AgentKey
from shared.personal_data import erase_rows
from shared.process import Process
from shared.web.links import CONFIRM_LOG_IN_FOR, LOST_LINK, Links, Purpose
from tests.integration.catalogue.conftest import time_is
from tests.integration.services.composed import SITE, browser_on
from tests.integration.services.conftest import Compose
from tests.integration.services.test_provider import settings_for
from tests.integration.services.test_strong_logins import logout_token
from tests.support.oidc import OidcIssuer

Browser = httpx.AsyncClient
KEY = "k" * 32
LINKS = Links([KEY], dict.fromkeys(Purpose, SITE))
ADDRESS = "zoe@ville.example"
CONFIRM = {"confirmer": "oui"}
OPENS = f"{SITE}{Purpose.ENROLMENTS.value}/"


@pytest.fixture
def process(compose_service: Compose, issuer: OidcIssuer) -> Process:
    settings = settings_for(issuer).model_dump() | {"oidc_agents": True}
    return compose_service("notifier", link_signing_key=KEY, **settings)


@pytest.fixture
async def browser(process: Process, issuer: OidcIssuer) -> AsyncIterator[Browser]:
    await issuer.know("zoe", email=ADDRESS)
    async with browser_on(process) as browser:
        yield browser


async def enrol(process: Process, agent_id: str = "A-1", address: str = ADDRESS) -> UUID:
    enrolment_id = uuid4()
    async with process.database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO enrolment (enrolment_id, version, session_id, standing, issuer, agent_id, "
                "address, given_name, family_name, event_id) "
                "VALUES (:id, 1, :session, 'enrolled', 'iel', :agent, "
                ":address, 'Zoé', 'Durand', :event)"
            ),
            {
                "id": enrolment_id,
                "session": uuid4(),
                "agent": agent_id,
                "address": address,
                "event": uuid4(),
            },
        )
    return enrolment_id


async def log_in(browser: Browser, issuer: OidcIssuer, subject: str = "zoe") -> httpx.Response:
    led = await browser.get(BEGIN)
    assert led.status_code == 303, led.text
    return await browser.get(await issuer.log_in(led.headers["location"], subject))


async def letters(process: Process) -> list[Any]:
    """The requests that the letters confirm, oldest first."""
    async with process.database.quiet_transaction() as tx:
        found = await tx.scalars(text("SELECT details ->> 'log_in' FROM mail ORDER BY created_at"))
        return list(found)


async def link_of(process: Process) -> str:
    request_id = (await letters(process))[-1]
    return LINKS.url(Purpose.CONFIRM_LOG_IN, request_id, until=clock.now() + CONFIRM_LOG_IN_FOR)


async def confirmed(process: Process, browser: Browser, issuer: OidcIssuer) -> None:
    await log_in(browser, issuer)
    assert (await browser.post(await link_of(process), data=CONFIRM)).status_code == 200


def opened(answer: httpx.Response) -> str:
    """The enrolment whose agent's page the log-in opens, or "" if it opens nothing."""
    if answer.status_code != 303:
        return ""
    address = answer.headers["location"]
    assert address.startswith(OPENS)
    ids = LINKS.read(Purpose.ENROLMENTS, urlsplit(address).path.rpartition("/")[2], clock.now()).ids
    assert LINKS.is_mark_of(int(ids[1]), ADDRESS)
    return ids[0]


async def test_the_first_log_in_sends_a_letter_and_the_confirmed_one_opens_the_enrolments(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    await enrol(process)
    newest = await enrol(process)
    assert f'href="{BEGIN}"' in (await browser.get(LOST_LINK)).text
    assert not opened(await log_in(browser, issuer))
    link = await link_of(process)
    assert (await browser.get(link)).status_code == 200
    assert not opened(await log_in(browser, issuer)), "a scanner that opens the link confirms nothing"
    assert (await browser.post(link, data=CONFIRM)).status_code == 200
    assert opened(await log_in(browser, issuer)) == str(newest)
    assert len(await letters(process)) == 1


async def test_a_letter_confirms_the_log_in_of_its_browser_alone(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    await enrol(process)
    await log_in(browser, issuer)  # of somebody whose issuer says another's address
    async with browser_on(process) as owner:
        assert (await owner.post(await link_of(process), data=CONFIRM)).status_code == 403
    assert not opened(await log_in(browser, issuer))


async def test_a_letter_confirms_once_and_for_a_day(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    await enrol(process)
    await log_in(browser, issuer)
    request_id, link = (await letters(process))[-1], await link_of(process)
    over = LINKS.url(Purpose.CONFIRM_LOG_IN, request_id, until=clock.now())
    of_reader = LINKS.token(Purpose.ENROLMENTS, request_id, until=clock.now() + CONFIRM_LOG_IN_FOR)
    forged = f"{SITE}{Purpose.CONFIRM_LOG_IN.value}/{of_reader}"
    tried = [
        (await browser.post(address, data=CONFIRM)).status_code for address in (over, forged, link, link)
    ]
    assert tried == [410, 404, 200, 403]


async def test_what_is_confirmed_is_one_person_of_one_issuer_with_one_address(
    *, process: Process, browser: Browser, issuer: OidcIssuer, compose_service: Compose
) -> None:
    await enrol(process)
    await enrol(process, "A-2", "yann@ville.example")
    await confirmed(process, browser, issuer)
    for subject, email in (("eve", ADDRESS), ("ZOE", ADDRESS), ("zoe", "yann@ville.example")):
        await issuer.know(subject, email=email)
        assert not opened(await log_in(browser, issuer, subject)), (subject, email)
    await issuer.know("zoe", email=ADDRESS.upper())
    assert opened(await log_in(browser, issuer))
    elsewhere = issuer.address.replace("localhost", "127.0.0.1")
    settings = settings_for(issuer).model_dump() | {"oidc_agents": True, "oidc_issuer": elsewhere}
    async with browser_on(compose_service("notifier", link_signing_key=KEY, **settings)) as other:
        assert not opened(await log_in(other, issuer))


async def test_an_address_that_no_portal_gave_gets_the_same_answer_and_no_letter(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    await enrol(process, address="yann@ville.example")  # the same domain grants nothing
    unknown = await log_in(browser, issuer)
    assert await letters(process) == []
    await enrol(process)
    assert (await log_in(browser, issuer)).text == unknown.text
    assert len(await letters(process)) == 1


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({}, "ne transmet pas"),
        ({"email": "no address"}, "ne transmet pas"),
        ({"email": ADDRESS, "email_verified": False}, "pas vérifiée"),
        ({"email": ADDRESS, "email_verified": "true"}, "pas vérifiée"),
    ],
)
async def test_a_person_without_a_verified_address_reads_what_to_do(
    *, process: Process, browser: Browser, issuer: OidcIssuer, claims: dict[str, Any], why: str
) -> None:
    await enrol(process)
    await issuer.know("eve", **claims)
    answer = await log_in(browser, issuer, "eve")
    assert (answer.status_code, await letters(process)) == (403, [])
    assert why in answer.text
    assert f'href="{BEGIN}?autre=oui"' in answer.text


async def test_agents_with_one_address_are_listed(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    enrolments = {str(await enrol(process, agent_id)) for agent_id in ("A-1", "A-2")}
    await confirmed(process, browser, issuer)
    answer = await log_in(browser, issuer)
    links = [unescape(link) for link in re.findall(rf'href="({re.escape(OPENS)}[^"]+)"', answer.text)]
    tokens = [link.rpartition("/")[2] for link in links]
    assert {LINKS.read(Purpose.ENROLMENTS, token, clock.now()).ids[0] for token in tokens} == enrolments


async def test_a_log_out_leads_to_that_of_the_issuer_in_the_same_browser_and_once(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    await enrol(process)
    await confirmed(process, browser, issuer)
    token = (await log_in(browser, issuer)).headers["location"].rpartition("/")[2]
    await log_in(browser, issuer)  # in another tab
    log_out = f"{LOG_OUT}/{UUID(int=int(LINKS.read(Purpose.ENROLMENTS, token, clock.now()).ids[4]))}"
    async with browser_on(process) as other:
        led = [await each.get(log_out) for each in (other, browser, browser)]
    there = urlsplit(led[1].headers["location"])
    assert [answer.headers["location"] for answer in (led[0], led[2])] == [LOST_LINK, LOST_LINK]
    assert there.path == "/oauth2/end_session"
    asked = dict(parse_qsl(there.query))
    assert asked["id_token_hint"] == issuer.given["id_token"]
    assert asked["post_logout_redirect_uri"] == f"{SITE}{LOST_LINK}"


async def test_the_issuer_ends_the_links_of_a_person_in_all_browsers_and_of_nobody_else(
    *,
    process: Process,
    browser: Browser,
    issuer: OidcIssuer,
    compose_service: Compose,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await enrol(process)
    await confirmed(process, browser, issuer)
    links = [(await log_in(browser, issuer)).headers["location"]]
    async with browser_on(process) as other:
        links.append((await log_in(other, issuer)).headers["location"])
    settings = settings_for(issuer).model_dump() | {"oidc_agents": True}
    async with browser_on(compose_service("enrolment", link_signing_key=KEY, **settings)) as visitor:

        async def are_open(ended: str) -> list[bool]:
            token = issuer.signed(logout_token(issuer, str(uuid4()), sub=ended), typ="logout+jwt")
            assert (await visitor.post(END_BY_ISSUER, data={"logout_token": token})).status_code == 200
            return ["Ce lien a expiré" not in (await visitor.get(link)).text for link in links]

        assert await are_open("eve") == [True, True]
        assert await are_open("zoe") == [False, False]
        async with time_is(monkeypatch, clock.now() + timedelta(seconds=1)):
            links.append((await log_in(browser, issuer)).headers["location"])
        assert await are_open("eve") == [False, False, True], "a later log-in opens them again"


async def test_a_former_address_opens_nothing(process: Process, browser: Browser, issuer: OidcIssuer) -> None:
    await enrol(process)
    await confirmed(process, browser, issuer)
    for address in ("zoe.durand@ville.example", ADDRESS):
        corrected = AgentDetailsCorrected(
            issuer="iel", agent_id="A-1", email=address, corrected_at=clock.now()
        )
        async with process.database.transaction() as tx:
            await corrections.apply(tx, uuid4(), corrected, clock.now())
        assert not opened(await log_in(browser, issuer)), "given again, it is to be confirmed again"


async def test_an_erasure_ends_the_confirmation(
    process: Process, browser: Browser, issuer: OidcIssuer
) -> None:
    await enrol(process)
    await confirmed(process, browser, issuer)
    assert process.eraser is not None
    async with process.database.transaction() as tx:
        subject = await process.eraser.subject(tx, AgentKey("iel", "A-1"), clock.now())
        for held in process.eraser.register.personal_data:
            if held.condition(subject):
                await erase_rows(tx, held, subject)
    await enrol(process, "A-2")
    assert not opened(await log_in(browser, issuer))


async def test_without_an_issuer_for_agents_there_is_no_log_in(
    compose_service: Compose, issuer: OidcIssuer
) -> None:
    settings = settings_for(issuer).model_dump()
    async with browser_on(compose_service("notifier", link_signing_key=KEY, **settings)) as browser:
        assert "Se connecter" not in (await browser.get(LOST_LINK)).text
        assert (await browser.get(BEGIN)).status_code == 404
