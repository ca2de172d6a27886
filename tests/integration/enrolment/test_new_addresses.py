"""Agents correct their address from "Mes inscriptions" (rule 19): who reads the new mailbox confirms it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.enrolment.personal_data import NEW_ADDRESSES
from services.enrolment.service.new_addresses import A_DAY
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import NewAddressGiven
from shared.events.vocabulary import Agent
from shared.personal_data import end_rows
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.test_my_enrolments import PUBLIC, correct
from tests.integration.enrolment.visiting import KEY, LATER, letter, links, page, path
from tests.support.builders import an_agent, open_now

NEW = "zoe@nouvelle.fr"


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url=PUBLIC)
    return it


async def enrolled(front: Front, *sessions: SessionState) -> Agent:
    agent = an_agent(email="zoe@ancienne.fr")
    await front.publish(*sessions)
    for session in sessions:
        await front.enrol(session, agent)
    return agent


async def form(front: Front, ask: Ask, session: SessionState, agent: Agent) -> str:
    """The path of the form, as "Mes inscriptions" leads to it."""
    text = (await ask("GET", await letter(front, Purpose.ENROLMENTS, session, agent))).text
    [there] = re.findall(f'href="{PUBLIC}({Purpose.ADDRESS.value}/[^"]*)"', text)
    return str(there)


async def given(rows: SelectRows) -> list[NewAddressGiven]:
    found = await rows("SELECT data FROM outbox WHERE type = :type ORDER BY id", type=NewAddressGiven.TYPE)
    return [NewAddressGiven.model_validate(json.loads(row.data)) for row in found]


def confirming(request_id: UUID, address: str = NEW, until: datetime = LATER) -> str:
    """The path of the link in the letter to the new address."""
    return path(Purpose.CONFIRM_ADDRESS, request_id, links().mark(address), until=until)


async def addresses(rows: SelectRows) -> list[str]:
    return [row.email for row in await rows("SELECT DISTINCT agent ->> 'email' AS email FROM enrolment")]


async def test_only_the_click_at_the_new_address_corrects_it_in_every_enrolment(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    sessions = open_now(title="Une"), open_now(title="Autre")
    agent = await enrolled(front, *sessions)
    there = await form(front, ask, sessions[0], agent)
    page(await ask("GET", there), 200, "Corriger mon adresse électronique")
    page(await ask("POST", there, data={"adresse": f" {NEW} "}), 200, "Regardez vos courriels")
    [event] = await given(rows)
    assert (event.new_address, event.agent.email) == (NEW, agent.email)
    link = confirming(event.request_id)
    assert NEW not in page(await ask("GET", link), 200, "Est-ce bien votre adresse ?")
    assert await addresses(rows) == [agent.email], "who opens a link changes nothing"

    done = page(await ask("POST", link, data={"confirmer": "oui"}), 200, "Votre adresse est corrigée")

    assert await addresses(rows) == [NEW]
    [own] = re.findall(f'href="{PUBLIC}({Purpose.ENROLMENTS.value}/[^"]*)"', done)
    assert ">Autre<" in (await ask("GET", own)).text
    page(await ask("GET", there), 410, "Ce lien ne s’ouvre plus")
    [kept] = await rows("SELECT * FROM correction")
    assert (kept.author, kept.request_source) == ("agent", "")
    assert (kept.before, kept.after) == ([{"email": agent.email}], {"email": NEW})


async def test_a_second_click_corrects_nothing_and_says_the_same(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = open_now()
    agent = await enrolled(front, session)
    await ask("POST", await form(front, ask, session, agent), data={"adresse": NEW})
    [event] = await given(rows)
    for _ in range(2):
        answer = await ask("POST", confirming(event.request_id), data={"confirmer": "oui"})
        page(answer, 200, "Votre adresse est corrigée")
    assert len(await rows("SELECT 1 FROM correction")) == 1


async def test_a_link_for_another_address_another_request_or_of_yesterday_confirms_nothing(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = open_now()
    agent = await enrolled(front, session)
    await ask("POST", await form(front, ask, session, agent), data={"adresse": NEW})
    [event] = await given(rows)
    past = datetime.now(UTC) - timedelta(seconds=1)
    other = path(Purpose.ADDRESS, event.request_id, links().mark(NEW))
    for link, status in (
        (confirming(event.request_id, "autre@nouvelle.fr"), 410),
        (confirming(uuid4()), 410),
        (confirming(event.request_id, until=past), 410),
        (other.replace(Purpose.ADDRESS.value, Purpose.CONFIRM_ADDRESS.value), 404),
    ):
        assert (await ask("POST", link, data={"confirmer": "oui"})).status_code == status
    assert await addresses(rows) == [agent.email]


async def test_an_address_that_was_corrected_otherwise_meanwhile_is_not_undone(
    front: Front, ask: Ask, rows: SelectRows, database: Database
) -> None:
    session = open_now()
    agent = await enrolled(front, session)
    await ask("POST", await form(front, ask, session, agent), data={"adresse": NEW})
    [event] = await given(rows)
    corrected = await correct(front, database, session, agent)
    answer = await ask("POST", confirming(event.request_id), data={"confirmer": "oui"})
    page(answer, 410, "Ce lien ne s’ouvre plus")
    assert await addresses(rows) == [corrected.email]


async def test_the_answer_is_the_same_whether_the_address_is_somebodys_or_not(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = open_now()
    agent = await enrolled(front, session)
    known = an_agent(email="connue@exemple.fr")
    await front.enrol(session, known)
    there = await form(front, ask, session, agent)
    texts = [
        (answer.status_code, re.sub(r'/[\w.-]{40,}"', '"', answer.text))
        for address in (known.email, "inconnue@exemple.fr", agent.email)
        for answer in [await ask("POST", there, data={"adresse": address})]
    ]
    assert texts[0] == texts[1] == texts[2]
    assert len(await given(rows)) == 3


async def test_what_is_no_address_is_said_at_the_field_and_goes_nowhere(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = open_now()
    agent = await enrolled(front, session)
    there = await form(front, ask, session, agent)
    for typed in ("", "zoe", "zoe@nouvelle", "zoe@nouvelle.fr\u202e"):
        text = page(
            await ask("POST", there, data={"adresse": typed}), 422, "Corriger mon adresse électronique"
        )
        assert 'aria-invalid="true"' in text
    assert await given(rows) == []


async def test_an_agent_gives_a_few_addresses_a_day_whichever_page_they_come_from(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    sessions = open_now(title="Une"), open_now(title="Autre")
    agent = await enrolled(front, *sessions)
    pages = [await form(front, ask, session, agent) for session in sessions]
    for number in range(A_DAY.most):
        answer = await ask("POST", pages[number % 2], data={"adresse": f"zoe{number}@nouvelle.fr"})
        assert answer.status_code == 200
    page(await ask("POST", pages[1], data={"adresse": NEW}), 429, "C’est assez pour aujourd’hui")
    assert len(await given(rows)) == A_DAY.most


async def test_an_address_that_nobody_confirmed_ends_with_its_link(
    front: Front, ask: Ask, rows: SelectRows, database: Database
) -> None:
    session = open_now()
    agent = await enrolled(front, session)
    await ask("POST", await form(front, ask, session, agent), data={"adresse": NEW})
    for hours, left in ((23, 1), (25, 0)):
        async with database.transaction() as tx:
            await end_rows(tx, NEW_ADDRESSES, int(NEW_ADDRESSES.days), clock.now() + timedelta(hours=hours))
        assert len(await rows("SELECT 1 FROM new_address")) == left
