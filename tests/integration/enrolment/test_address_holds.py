"""A corrected address opens nothing for a day: the former mailbox may object (ADR 0069)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.enrolment.handlers import router
from services.enrolment.personal_data import ADDRESS_HOLDS
from services.enrolment.rules.policy import Policy
from services.enrolment.service.corrections import correct_by_agent, lock_sessions_of
from services.enrolment.store import sessions
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import AgentDetailsCorrected, NewAddressGiven
from shared.events.portal import AgentCorrected, EnrolmentRequested
from shared.events.vocabulary import Agent, Event
from shared.personal_data import end_rows
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.organising import published_events
from tests.integration.enrolment.test_my_enrolments import CONFIRM, correct
from tests.integration.enrolment.visiting import KEY, PUBLIC, letter, links, onward, page, path
from tests.support.builders import an_agent
from tests.support.consuming import received, take
from tests.support.locks import locks_awaited

OLD, NEW, NEWEST = "zoe@ancienne.fr", "zoe@nouvelle.fr", "zoe@derniere.fr"
AGENT = an_agent(email=OLD, issuer="iel")
TOO_NEW = "Votre adresse vient de changer"

Hear = Callable[..., Awaitable[None]]


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY, public_base_url=PUBLIC)
    return it


@pytest.fixture
def hear(database: Database) -> Hear:
    async def heard(event: Event, source: str = "/portals/iel", at: datetime | None = None) -> None:
        record = replace(received(event, received_at=at or clock.now(), issuer="iel"), source=source)
        await take(router, database, [record], policy=Policy())

    return heard


def corrected(email: str) -> AgentCorrected:
    return AgentCorrected(agent_id=AGENT.agent_id, issuer="iel", email=email)


def at_address(email: str) -> Agent:
    return AGENT.model_copy(update={"email": email})


async def link_to(front: Front, session: SessionState, email: str, purpose: Purpose) -> str:
    """The link of a letter, or of "Mes inscriptions", to this address of the agent."""
    return await letter(front, purpose, session, at_address(email))


async def is_too_new(front: Front, ask: Ask, session: SessionState, email: str) -> bool:
    answer = await ask("GET", await link_to(front, session, email, Purpose.WITHDRAW))
    assert answer.status_code in (200, 403), answer.text
    return answer.status_code == 403


async def notice(front: Front, session: SessionState, former: str, new: str) -> str:
    """The link that confirms a correction, in the letter to a former address."""
    enrolment_id, mark = (await front.of(session, AGENT)).enrolment_id, links().mark
    return path(Purpose.CONFIRM_CORRECTION, enrolment_id, mark(former), mark(new))


async def confirm(front: Front, ask: Ask, session: SessionState, former: str, new: str) -> int:
    answer = await ask("POST", await notice(front, session, former, new), data=CONFIRM)
    return answer.status_code


# ------------------------------------------------------------------------------------------ the attack


async def _by_support(front: Front, ask: Ask, hear: Hear, rows: SelectRows, session: SessionState) -> None:
    await hear(corrected(NEW), "/services/notifier")


async def _by_portal(front: Front, ask: Ask, hear: Hear, rows: SelectRows, session: SessionState) -> None:
    await hear(corrected(NEW))


async def _by_organiser(front: Front, ask: Ask, hear: Hear, rows: SelectRows, session: SessionState) -> None:
    await correct(ask, front, session, AGENT, NEW)


async def _by_link(front: Front, ask: Ask, hear: Hear, rows: SelectRows, session: SessionState) -> None:
    shown = await ask("GET", await link_to(front, session, OLD, Purpose.ENROLMENTS))
    await ask("POST", onward(shown.text, Purpose.ADDRESS), data={"adresse": NEW})
    [given] = await rows("SELECT data FROM outbox WHERE type = :type", type=NewAddressGiven.TYPE)
    request_id = json.loads(given.data)["request_id"]
    confirming = path(Purpose.CONFIRM_ADDRESS, request_id, links().mark(NEW))
    assert (await ask("POST", confirming, data=CONFIRM)).status_code == 200


@pytest.mark.parametrize("correcting", [_by_support, _by_portal, _by_organiser, _by_link])
async def test_whoever_corrects_an_address_opens_nothing_from_the_new_one_before_the_former_one_confirms(
    front: Front, ask: Ask, hear: Hear, rows: SelectRows, correcting: Any
) -> None:
    session = await front.open(AGENT)
    there = await front.open(offer_id=session.offer_id, title="Autre")
    offered = await front.open(first := an_agent(), AGENT, capacity=1, waiting_list="offer")
    await front.withdraw(offered, first)

    await correcting(front, ask, hear, rows, session)

    form = CONFIRM | {"reponse": "oui", "session": str(there.session_id), "adresse": NEWEST}
    acts = [
        await link_to(front, session, NEW, Purpose.WITHDRAW),
        await link_to(front, session, NEW, Purpose.MOVE),
        await link_to(front, session, NEW, Purpose.ADDRESS),
        await link_to(front, offered, NEW, Purpose.OFFER),
    ]
    given = await rows("SELECT count(*) FROM outbox WHERE type = :type", type=NewAddressGiven.TYPE)
    for purpose in (Purpose.ENROLMENTS, Purpose.CALENDAR, Purpose.CERTIFICATE):
        page(await ask("GET", await link_to(front, session, NEW, purpose)), 403, TOO_NEW)
    for link in acts:
        for method in ("GET", "POST"):
            page(await ask(method, link, data=form if method == "POST" else None), 403, TOO_NEW)
    assert await front.states(session, AGENT) == ["enrolled"]
    assert await front.states(offered, AGENT) == ["offered"]
    assert await rows("SELECT count(*) FROM outbox WHERE type = :type", type=NewAddressGiven.TYPE) == given

    confirming = await notice(front, session, OLD, NEW)
    page(await ask("GET", confirming), 200, "Avez-vous changé d’adresse ?")
    assert await is_too_new(front, ask, session, NEW), "who opens a link changes nothing"
    page(await ask("POST", confirming, data=CONFIRM), 200, "Le changement d’adresse est confirmé")
    page(await ask("POST", confirming, data=CONFIRM), 410, "Il n’y a plus rien à confirmer")

    reads = await ask("GET", await link_to(front, session, NEW, Purpose.ENROLMENTS))
    page(reads, 200, "Mes inscriptions")
    assert (await ask("POST", acts[0], data=form)).status_code == 200
    assert await front.states(session, AGENT) == ["withdrawn"]


async def test_the_new_address_cannot_confirm_itself_nor_can_a_stranger(
    front: Front, ask: Ask, hear: Hear
) -> None:
    session = await front.open(AGENT, stranger := an_agent(email="autre@exemple.fr", issuer="iel"))
    await hear(corrected(NEW))
    for email in (NEW, stranger.email):
        assert await confirm(front, ask, session, email, NEW) == 410
    other = await link_to(front, session, OLD, Purpose.ENROLMENTS)
    forged = other.replace(Purpose.ENROLMENTS.value, Purpose.CONFIRM_CORRECTION.value)
    assert (await ask("POST", forged, data=CONFIRM)).status_code == 404
    assert (await ask("POST", path(Purpose.CONFIRM_CORRECTION, UUID(int=1)), data=CONFIRM)).status_code == 410
    assert await is_too_new(front, ask, session, NEW)


async def test_after_a_day_the_new_address_acts_and_the_former_one_has_nothing_to_confirm(
    front: Front, ask: Ask, hear: Hear, rows: SelectRows, database: Database
) -> None:
    session = await front.open(AGENT)
    await rows("UPDATE enrolment SET received_at = received_at - interval '4 days' RETURNING 1")
    await hear(corrected(NEW), at=clock.now() - timedelta(days=3))  # parked and redriven: it counts from now
    [held] = await rows("SELECT until FROM address_hold")
    assert timedelta(hours=23) < held.until - clock.now() <= timedelta(hours=24)
    assert await is_too_new(front, ask, session, NEW)
    for hours, left in ((23, 1), (25, 0)):
        async with database.transaction() as tx:
            await end_rows(tx, ADDRESS_HOLDS, int(ADDRESS_HOLDS.days), clock.now() + timedelta(hours=hours))
        assert len(await rows("SELECT 1 FROM address_hold")) == left
    assert not await is_too_new(front, ask, session, NEW)

    await hear(corrected(NEWEST))
    await rows("UPDATE address_hold SET until = now() RETURNING 1")
    assert await confirm(front, ask, session, NEW, NEWEST) == 410
    assert not await is_too_new(front, ask, session, NEWEST)


# ------------------------------------------------------------------------------------ several addresses


async def test_of_several_corrections_in_a_day_only_the_address_before_all_of_them_confirms(
    front: Front, ask: Ask, hear: Hear
) -> None:
    session = await front.open(AGENT)
    for email in (NEW, NEWEST, NEW):  # a way back to an address that is itself too new proves nothing
        await hear(corrected(email))
    assert await confirm(front, ask, session, NEWEST, NEW) == 410
    assert await is_too_new(front, ask, session, NEW)
    assert await confirm(front, ask, session, OLD, NEW) == 200
    assert not await is_too_new(front, ask, session, NEW)


async def test_a_link_about_an_earlier_correction_confirms_nothing_of_a_later_one(
    front: Front, ask: Ask, hear: Hear
) -> None:
    session = await front.open(AGENT)
    await hear(corrected(NEW))
    earlier = await notice(front, session, OLD, NEW)
    await hear(corrected(NEWEST))
    for method in ("GET", "POST"):
        page(await ask(method, earlier, data=CONFIRM), 410, "Il n’y a plus rien à confirmer")
    assert await is_too_new(front, ask, session, NEWEST)
    assert await confirm(front, ask, session, OLD, NEWEST) == 200
    assert not await is_too_new(front, ask, session, NEWEST)


@pytest.mark.parametrize("requested", [OLD, NEWEST])
async def test_a_request_with_another_address_leaves_the_correction_to_confirm(
    front: Front, ask: Ask, hear: Hear, requested: str
) -> None:
    session, another = await front.open(AGENT), await front.open(AGENT)
    await hear(corrected(NEW))
    await front.withdraw(session, AGENT)
    await hear(EnrolmentRequested(session_id=session.session_id, agent=at_address(requested)))
    assert (await front.of(session, AGENT)).agent["email"] == requested
    assert await is_too_new(front, ask, another, NEW)
    assert await confirm(front, ask, session, OLD, NEW) == 200
    assert not await is_too_new(front, ask, another, NEW)
    assert not await is_too_new(front, ask, session, requested)


async def test_a_late_correction_is_confirmed_with_the_address_that_a_newer_request_gave(
    front: Front, ask: Ask, hear: Hear
) -> None:
    session, another = await front.open(AGENT), await front.open(title="Autre")
    before = clock.now()
    await hear(EnrolmentRequested(session_id=another.session_id, agent=at_address(NEWEST)))
    await hear(corrected(NEW), at=before)
    assert (await front.of(session, AGENT)).agent["email"] == NEWEST
    assert await is_too_new(front, ask, session, NEWEST)
    assert await confirm(front, ask, session, OLD, NEWEST) == 200


async def test_of_two_confirmations_at_once_one_has_nothing_left_to_confirm(
    front: Front, ask: Ask, hear: Hear, database: Database
) -> None:
    session = await front.open(AGENT)
    await hear(corrected(NEW))
    async with asyncio.TaskGroup() as tasks, database.transaction() as tx:
        await sessions.lock(tx, [session.session_id])
        both = [tasks.create_task(confirm(front, ask, session, OLD, NEW)) for _ in range(2)]
        await locks_awaited(database, 2)
    assert sorted(task.result() for task in both) == [200, 410]


async def test_a_confirmation_that_waits_for_a_correction_confirms_nothing_of_it(
    front: Front, ask: Ask, hear: Hear, database: Database
) -> None:
    session = await front.open(AGENT)
    await hear(corrected(NEW))
    async with asyncio.TaskGroup() as tasks, database.transaction() as tx:
        await lock_sessions_of(tx, AGENT.key)
        await correct_by_agent(tx, AGENT.key, {"email": NEWEST}, clock.now())
        confirming = tasks.create_task(confirm(front, ask, session, OLD, NEW))
        await locks_awaited(database)
    assert confirming.result() == 410
    assert await is_too_new(front, ask, session, NEWEST)


async def test_a_correction_says_until_when_it_is_held_and_which_addresses_may_confirm_it(
    front: Front, hear: Hear, rows: SelectRows
) -> None:
    await front.open(AGENT)
    held = []
    for email in (NEW, NEWEST, OLD.upper()):
        await hear(corrected(email))
        held.append(await rows("SELECT until, address FROM address_hold"))
    [[first], [second], nothing] = held
    assert (first.address, second.address, nothing) == (OLD, OLD, []), "an address that comes back ends it"
    assert first.until < second.until, "the day begins anew"
    events = await published_events(rows, "AgentDetailsCorrected")
    published = [AgentDetailsCorrected.model_validate(event) for event in events]
    assert [(event.held_until, event.may_confirm) for event in published] == [
        (first.until, (OLD,)),
        (second.until, (OLD,)),
        (None, ()),
    ]


async def test_names_corrected_during_a_hold_begin_no_day_anew(
    front: Front, hear: Hear, rows: SelectRows
) -> None:
    await front.open(AGENT)
    await hear(corrected(NEW))
    before = await rows("SELECT * FROM address_hold")
    names = {"agent_id": AGENT.agent_id, "issuer": "iel", "family_name": "Martin"}
    await hear(AgentCorrected.model_validate(names | {"email": NEW}))
    assert await rows("SELECT * FROM address_hold") == before


async def test_an_address_that_comes_back_acts_at_once(front: Front, ask: Ask, hear: Hear) -> None:
    session = await front.open(AGENT)
    await hear(corrected(NEW))
    await hear(corrected(OLD.upper()))
    assert not await is_too_new(front, ask, session, OLD)


async def test_where_only_capitals_or_names_change_nothing_is_held(
    front: Front, ask: Ask, hear: Hear, rows: SelectRows
) -> None:
    session = await front.open(AGENT)
    await hear(corrected(OLD.upper()))
    await hear(AgentCorrected(agent_id=AGENT.agent_id, issuer="iel", family_name="Martin"))
    assert await rows("SELECT 1 FROM address_hold") == []
    assert not await is_too_new(front, ask, session, OLD)


async def test_of_two_former_addresses_both_confirm(front: Front, ask: Ask, hear: Hear) -> None:
    """A portal may give an agent a second address by a request: that one cannot confirm for the first."""
    session = await front.open(AGENT)
    await front.open(at_address(NEW))
    await hear(corrected(NEWEST))
    assert await confirm(front, ask, session, NEW, NEWEST) == 200
    assert await is_too_new(front, ask, session, NEWEST)
    assert await confirm(front, ask, session, OLD, NEWEST) == 200
    assert not await is_too_new(front, ask, session, NEWEST)


async def test_a_request_with_another_address_gives_that_address_no_power_over_other_enrolments(
    front: Front, ask: Ask, hear: Hear
) -> None:
    session, another = await front.open(AGENT), await front.open(title="Autre")
    await hear(EnrolmentRequested(session_id=another.session_id, agent=at_address(NEW)))
    for purpose in (Purpose.WITHDRAW, Purpose.MOVE, Purpose.ENROLMENTS):
        link = await link_to(front, session, NEW, purpose)
        assert (await ask("POST", link, data=CONFIRM)).status_code in (405, 410)
    shown = await ask("GET", await link_to(front, another, NEW, Purpose.ENROLMENTS))
    assert session.title not in shown.text
    assert await front.states(session, AGENT) == ["enrolled"]
    assert not await is_too_new(front, ask, session, OLD)


async def test_the_reader_of_one_of_several_addresses_cannot_replace_the_others(
    front: Front, ask: Ask, hear: Hear, rows: SelectRows
) -> None:
    """Otherwise a portal that states a false employer and address would have all enrolments a day later."""
    session = await front.open(AGENT)
    shown = await ask("GET", await link_to(front, session, OLD, Purpose.ENROLMENTS))
    form = onward(shown.text, Purpose.ADDRESS)
    await ask("POST", form, data={"adresse": NEWEST})
    [given] = await rows("SELECT data FROM outbox WHERE type = :type", type=NewAddressGiven.TYPE)
    another = await front.open(title="Autre")
    await hear(EnrolmentRequested(session_id=another.session_id, agent=at_address(NEW)))
    confirming = path(Purpose.CONFIRM_ADDRESS, json.loads(given.data)["request_id"], links().mark(NEWEST))
    for method, link in ("GET", form), ("POST", form), ("GET", confirming), ("POST", confirming):
        answer = await ask(method, link, data=CONFIRM | {"adresse": NEWEST})
        assert (answer.status_code, "plusieurs adresses" in answer.text) == (403, True), (method, link)


# ------------------------------------------------------------------------------------- mails come back


async def bounce(rows: SelectRows) -> None:
    mark = "INSERT INTO bad_address VALUES ('iel', :agent_id, now()) RETURNING 1"
    await rows(mark, agent_id=AGENT.agent_id)


async def test_an_address_from_which_mails_come_back_needs_no_day_to_object(
    front: Front, ask: Ask, hear: Hear, rows: SelectRows
) -> None:
    session = await front.open(AGENT)
    await bounce(rows)
    await hear(corrected(NEW))
    assert not await is_too_new(front, ask, session, NEW)

    await bounce(rows)  # maybe a late one, from the address before
    await hear(corrected(NEWEST))
    assert await is_too_new(front, ask, session, NEWEST)


async def test_who_has_a_link_cannot_make_its_address_unreachable_by_a_forged_report(
    front: Front, ask: Ask, hear: Hear, rows: SelectRows
) -> None:
    session = await front.open(AGENT)
    await bounce(rows)
    await _by_link(front, ask, hear, rows, session)
    assert await is_too_new(front, ask, session, NEW)


async def test_mails_that_come_back_from_a_second_address_say_nothing_of_the_first(
    front: Front, ask: Ask, hear: Hear, rows: SelectRows
) -> None:
    session = await front.open(AGENT)
    await front.open(at_address(NEW))
    await bounce(rows)
    await hear(corrected(NEW))
    assert await is_too_new(front, ask, session, NEW)
