"""Agents correct their address (rule 19): the reader of the new mailbox confirms it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.enrolment.personal_data import NEW_ADDRESSES
from services.enrolment.service.new_addresses import A_DAY
from services.enrolment.tables import metadata
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import NewAddressGiven
from shared.messaging.erasure import Eraser
from shared.personal_data import end_rows
from shared.web.links import Purpose
from tests.conftest import Ask, SecurityLines
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.test_my_enrolments import CONFIRM, correct
from tests.integration.enrolment.visiting import KEY, LATER, PUBLIC, letter, links, onward, page, path
from tests.support.builders import an_agent
from tests.support.searching import columns_with

NEW = "zoe@nouvelle.fr"
AGENT = an_agent(email="zoe@ancienne.fr")


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url=PUBLIC)
    return it


@pytest.fixture
async def sessions(front: Front) -> list[SessionState]:
    """Two sessions in which the agent has a seat."""
    return [await front.open(AGENT, title=title) for title in ("Une", "Autre")]


@pytest.fixture
async def form(front: Front, ask: Ask, sessions: list[SessionState]) -> str:
    return await form_of(front, ask, sessions[0])


async def form_of(front: Front, ask: Ask, session: SessionState) -> str:
    """The path of the form, as "Mes inscriptions" leads to it."""
    shown = await ask("GET", await letter(front, Purpose.ENROLMENTS, session, AGENT))
    return onward(shown.text, Purpose.ADDRESS)


async def given(rows: SelectRows) -> list[NewAddressGiven]:
    found = await rows("SELECT data FROM outbox WHERE type = :type ORDER BY id", type=NewAddressGiven.TYPE)
    return [NewAddressGiven.model_validate(json.loads(row.data)) for row in found]


def confirming(request_id: UUID, address: str = NEW, until: datetime = LATER) -> str:
    """The path of the link in the letter to the new address."""
    return path(Purpose.CONFIRM_ADDRESS, request_id, links().mark(address), until=until)


async def addresses(rows: SelectRows) -> list[str]:
    return [row.email for row in await rows("SELECT DISTINCT agent ->> 'email' AS email FROM enrolment")]


async def test_only_the_click_at_the_new_address_corrects_it_in_every_enrolment_and_once(
    ask: Ask, rows: SelectRows, form: str, security_lines: SecurityLines
) -> None:
    assert (await ask("POST", form, data={"adresse": f" {NEW} "})).status_code == 200
    [event] = await given(rows)
    assert (event.new_address, event.agent.email) == (NEW, AGENT.email)
    link = confirming(event.request_id)
    assert NEW not in page(await ask("GET", link), 200, "Est-ce bien votre adresse ?")
    assert await addresses(rows) == [AGENT.email], "who opens a link changes nothing"

    done = [await ask("POST", link, data=CONFIRM) for _ in range(2)]

    assert [answer.status_code for answer in done] == [200, 200]
    assert await addresses(rows) == [NEW]
    assert (await ask("GET", form)).status_code == 410
    [kept] = await rows("SELECT author, request_source, before, after FROM correction")
    assert tuple(kept) == ("agent", "", [{"email": AGENT.email}], {"email": NEW})
    assert ("correction", "ok", "agent") in [
        (line["event"], line["outcome"], line["who"]) for line in security_lines()
    ]


async def test_a_link_for_another_address_another_request_or_of_yesterday_confirms_nothing(
    ask: Ask, rows: SelectRows, form: str
) -> None:
    await ask("POST", form, data={"adresse": NEW})
    [event] = await given(rows)
    other = path(Purpose.ADDRESS, event.request_id, links().mark(NEW))
    for link, status in (
        (confirming(event.request_id, "autre@nouvelle.fr"), 410),
        (confirming(uuid4()), 410),
        (confirming(event.request_id, until=datetime.now(UTC) - timedelta(seconds=1)), 410),
        (other.replace(Purpose.ADDRESS.value, Purpose.CONFIRM_ADDRESS.value), 404),
    ):
        assert (await ask("POST", link, data=CONFIRM)).status_code == status
    assert await addresses(rows) == [AGENT.email]


async def test_an_address_that_was_corrected_otherwise_meanwhile_is_not_undone(
    front: Front, ask: Ask, rows: SelectRows, sessions: list[SessionState], form: str
) -> None:
    await ask("POST", form, data={"adresse": NEW})
    [event] = await given(rows)
    await correct(ask, front, sessions[0], AGENT, "zoe@exemple.fr")
    assert (await ask("POST", confirming(event.request_id), data=CONFIRM)).status_code == 410
    assert await addresses(rows) == ["zoe@exemple.fr"]


async def test_a_link_that_has_corrected_the_address_does_not_undo_what_came_after(
    front: Front, ask: Ask, rows: SelectRows, sessions: list[SessionState], form: str
) -> None:
    await ask("POST", form, data={"adresse": NEW})
    [event] = await given(rows)
    assert (await ask("POST", confirming(event.request_id), data=CONFIRM)).status_code == 200
    await correct(ask, front, sessions[0], AGENT.model_copy(update={"email": NEW}), AGENT.email)
    assert (await ask("POST", confirming(event.request_id), data=CONFIRM)).status_code == 410
    assert await addresses(rows) == [AGENT.email]


async def test_the_answer_is_the_same_for_a_known_and_an_unknown_address(
    front: Front, ask: Ask, rows: SelectRows, sessions: list[SessionState], form: str
) -> None:
    await front.enrol(sessions[0], known := an_agent(email="connue@exemple.fr"))
    typed = (known.email, "inconnue@exemple.fr", AGENT.email)
    answers = [await ask("POST", form, data={"adresse": address}) for address in typed]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({re.sub(r'/[\w.-]{40,}"', '"', answer.text) for answer in answers}) == 1
    assert len(await given(rows)) == 3


async def test_what_is_no_address_goes_nowhere(ask: Ask, rows: SelectRows, form: str) -> None:
    for typed in ("", "zoe", "zoe@nouvelle", "zoe@nouvelle.fr\u202e"):
        assert 'aria-invalid="true"' in (await ask("POST", form, data={"adresse": typed})).text, typed
    assert await given(rows) == []


async def test_an_agent_gives_a_few_addresses_a_day_from_all_pages_together(
    front: Front, ask: Ask, rows: SelectRows, sessions: list[SessionState]
) -> None:
    forms = [await form_of(front, ask, session) for session in sessions]
    for number in range(A_DAY.most):
        answer = await ask("POST", forms[number % 2], data={"adresse": f"zoe{number}@nouvelle.fr"})
        assert answer.status_code == 200
    assert (await ask("POST", forms[1], data={"adresse": NEW})).status_code == 429
    assert len(await given(rows)) == A_DAY.most


async def test_an_address_that_nobody_confirmed_ends_with_its_link(
    ask: Ask, rows: SelectRows, database: Database, form: str
) -> None:
    await ask("POST", form, data={"adresse": NEW})
    for hours, left in ((23, 1), (25, 0)):
        async with database.transaction() as tx:
            await end_rows(tx, NEW_ADDRESSES, int(NEW_ADDRESSES.days), clock.now() + timedelta(hours=hours))
        assert len(await rows("SELECT 1 FROM new_address")) == left


async def test_a_stranger_whose_address_was_given_is_forgotten_and_told_nothing_of_the_agent(
    ask: Ask, rows: SelectRows, form: str, database: Database, erasing: Eraser
) -> None:
    await ask("POST", form, data={"adresse": NEW})
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL"))
        given_out = (await erasing.export(tx, NEW))["new_address"]
    assert [sorted(row) for row in given_out] == [["address", "given_at"]]

    assert await erasing.forget(NEW, uuid4())

    assert await columns_with(database, metadata, NEW) == set()
    [event] = await rows("SELECT data FROM outbox WHERE type = :type", type=NewAddressGiven.TYPE)
    assert event.data == "{}"
