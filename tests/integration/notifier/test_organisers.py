"""Organisers hear once a day, and without a name, what there is to tell of their sessions."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.notifier import jobs, pages
from services.notifier.letters import digest_id
from services.notifier.letters.bounces import RETURNED
from services.notifier.service import organisers
from services.notifier.settings import DelegationContacts
from shared import clock
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn, WithdrawnBy
from shared.events.topics import Topic
from shared.messaging import progress
from shared.web.links import Links, Purpose
from shared.web.rendering import Sites
from tests.integration.notifier.conftest import Notifier
from tests.support.guards import a_guard
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent, at

LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "http://test"))
YANN, ANNE = "yann@cnfpt.example", "anne@cnfpt.example"
YANN_ALONE = {"bretagne": DelegationContacts(organisers=(YANN,))}
ADDRESSES = {
    "bretagne": DelegationContacts(organisers=(YANN, ANNE)),
    "corse": DelegationContacts(organisers=("other@cnfpt.example",)),
}
MORNING = at("2025-03-10T08:05+01:00")
NIGHT_BEFORE = at("2025-03-09T23:00+01:00")


@pytest.fixture
async def seated(notifier: Notifier) -> Notifier:
    """Zoé and Ali have seats in a session in Brittany, and a letter each, which the relay has taken."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await enrol(notifier, "zoe")
    await enrol(notifier, "ali")
    await notifier.change("UPDATE mail SET state = 'sent', settled_at = :at", at=NIGHT_BEFORE)
    return notifier


async def enrol(notifier: Notifier, name: str, enrolment_id: UUID | None = None) -> None:
    agent = an_agent(agent_id=name, email=f"{name}@ville.example", given_name=name)
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=enrolment_id or uuid4(), agent=agent))


async def come_back(notifier: Notifier, *names: str, at: datetime = NIGHT_BEFORE) -> None:
    await notifier.change(
        "UPDATE mail SET bounced_at = :at WHERE recipient = ANY(:names)", at=at, names=list(names)
    )


async def write(
    notifier: Notifier, now: datetime, monkeypatch: pytest.MonkeyPatch, to: Mapping[str, DelegationContacts]
) -> None:
    monkeypatch.setattr(clock, "now", lambda: now)
    await decisions_are_read(notifier, until=now)
    await jobs.write_to_organisers(notifier.database, to)


async def decisions_are_read(notifier: Notifier, *, until: datetime) -> None:
    async with notifier.database.transaction() as tx:
        await progress.save(tx, Topic.ENROLMENT_DECISIONS, {0: until})


async def mails(notifier: Notifier) -> list[Any]:
    return await notifier.rows(where="template = 'mails-returned'")


async def test_each_organiser_of_the_session_has_one_letter_a_day_with_how_many(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_back(seated, "zoe", "ali")
    for minutes in (0, 1, 60):
        await write(seated, MORNING + timedelta(minutes=minutes), monkeypatch, ADDRESSES)
    rows = await mails(seated)
    assert sorted(row.address for row in rows) == sorted((YANN, ANNE))
    assert {row.issuer for row in rows} == {""}
    assert rows[0].details["sessions"] == [{"session": str(SESSION_ID), "people": 2}]


async def test_processes_that_write_at_once_write_one_letter(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_back(seated, "zoe")
    await asyncio.gather(*(write(seated, MORNING, monkeypatch, YANN_ALONE) for _ in range(4)))
    assert len(await mails(seated)) == 1


async def test_a_process_that_is_killed_before_it_has_written_leaves_the_day_to_the_next(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_back(seated, "zoe")
    with monkeypatch.context() as patched:
        patched.setattr("services.notifier.store.queue.add_letter", _killed)
        with pytest.raises(SystemExit):
            await write(seated, MORNING, monkeypatch, ADDRESSES)
    assert await mails(seated) == []
    await write(seated, MORNING, monkeypatch, ADDRESSES)
    assert len(await mails(seated)) == 2


async def _killed(*_: object, **__: object) -> None:
    raise SystemExit


async def test_who_was_told_of_is_not_told_of_again_and_a_missed_day_is_made_up(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_back(seated, "zoe")
    await write(seated, MORNING, monkeypatch, YANN_ALONE)
    await come_back(seated, "ali", at=MORNING)
    await seated.change(
        "INSERT INTO mail (event_id, template, issuer, recipient, address, given_name, family_name, "
        "session_id, enrolment_id, version, details, needs_session, priority, called_for_at, bounced_at) "
        "SELECT gen_random_uuid(), template, issuer, recipient, address, '', '', session_id, enrolment_id, "
        "version, '{}', true, 0, now(), :at FROM mail WHERE recipient = 'zoe'",
        at=MORNING,
    )
    await write(seated, MORNING + timedelta(days=3), monkeypatch, YANN_ALONE)
    assert [row.details["people"] for row in await mails(seated)] == [1, 1]


@pytest.mark.parametrize("hour", [7, 21])
async def test_nothing_is_written_in_the_night(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch, hour: int
) -> None:
    await come_back(seated, "zoe")
    await write(seated, MORNING.replace(hour=hour - 1), monkeypatch, ADDRESSES)
    assert await mails(seated) == []


async def test_who_has_left_or_has_another_address_is_not_told_of(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_back(seated, "zoe", "ali")
    await seated.change("UPDATE enrolment SET address = 'new@ville.example' WHERE agent_id = 'ali'")
    ((enrolment_id,),) = await seated.query("SELECT enrolment_id FROM enrolment WHERE agent_id = 'zoe'")
    await seated.hear(
        a_decision(
            EnrolmentWithdrawn,
            enrolment_id=enrolment_id,
            version=2,
            by=WithdrawnBy.AGENT,
            agent=an_agent(agent_id="zoe", email="zoe@ville.example"),
        )
    )
    await write(seated, MORNING, monkeypatch, ADDRESSES)
    assert await mails(seated) == []


async def test_mails_that_were_not_tried_or_refused_as_unknown_count_too(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seated.change(
        "UPDATE mail SET state = 'failed', smtp_answer = :answer WHERE recipient = 'zoe'", answer=RETURNED
    )
    await seated.change(
        "INSERT INTO suppression (address, kind, since, mail_id) "
        "SELECT decode('00', 'hex'), 'hard', :at, mail_id FROM mail WHERE recipient = 'ali'",
        at=NIGHT_BEFORE,
    )
    await write(seated, MORNING, monkeypatch, YANN_ALONE)
    assert [row.details["people"] for row in await mails(seated)] == [2]


async def test_where_no_mail_came_back_nobody_is_written_to(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(seated, MORNING, monkeypatch, ADDRESSES)
    assert await mails(seated) == []


DIGEST = {"bretagne": DelegationContacts(organisers=(YANN, ANNE), digest=(YANN,))}


async def digests(notifier: Notifier) -> list[Any]:
    return await notifier.rows(where="template = 'digest'")


async def test_who_wants_the_digest_has_it_alone_and_the_others_hear_what_came_back(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_back(seated, "zoe")
    for _ in range(2):
        await write(seated, MORNING, monkeypatch, DIGEST)
    (digest,), (returned,) = await digests(seated), await mails(seated)
    assert (digest.address, returned.address) == (YANN, ANNE)
    (row,) = digest.details["sessions"]
    assert (row["people"], row["soon"]) == (1, 0)


async def test_the_digest_counts_who_is_in_each_session_of_the_delegation_that_is_near(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [
        a_session(session_id=uuid4(), organiser="corse"),
        a_session(session_id=uuid4(), status="cancelled"),
        a_session(session_id=uuid4(), status="draft"),
    ]
    await seated.hear(*(SessionScheduled.model_validate(other.model_dump()) for other in others))
    for standing in ("waitlisted", "offered", "pending", "withdrawn"):
        await enrol(seated, standing)
        await seated.change("UPDATE enrolment SET standing = :now WHERE agent_id = :now", now=standing)
    await write(seated, at("2025-03-28T09:00+01:00"), monkeypatch, DIGEST)
    (digest,) = await digests(seated)
    (row,) = digest.details["sessions"]
    assert row["session"] == str(SESSION_ID)
    assert (row["enrolled"], row["waiting"], row["offered"], row["pending"]) == (2, 1, 1, 1)


async def test_the_digest_tells_who_is_new_and_who_left_since_the_last(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrol(seated, "lea")
    await enrol(seated, "max")
    for name, begun, standing, since in (
        ("zoe", MORNING - timedelta(days=9), "enrolled", NIGHT_BEFORE),  # the seat, by an offer
        ("ali", MORNING - timedelta(days=9), "withdrawn", NIGHT_BEFORE),
        ("lea", NIGHT_BEFORE, "waitlisted", NIGHT_BEFORE),
        ("max", NIGHT_BEFORE, "refused", NIGHT_BEFORE),
    ):
        await seated.change(
            "UPDATE enrolment SET known_since = :begun, standing = :standing, since = :since "
            "WHERE agent_id = :name",
            name=name,
            begun=begun,
            standing=standing,
            since=since,
        )
    for days in (0, 1):
        await write(seated, MORNING + timedelta(days=days), monkeypatch, DIGEST)
    (digest,) = await digests(seated)
    (row,) = digest.details["sessions"]
    assert (row["new"], row["left"], row["enrolled"], row["waiting"]) == (1, 1, 1, 1)


async def test_a_later_decision_makes_nobody_new_again(seated: Notifier) -> None:
    before = await seated.query("SELECT known_since FROM enrolment WHERE agent_id = 'zoe'")
    ((enrolment_id,),) = await seated.query("SELECT enrolment_id FROM enrolment WHERE agent_id = 'zoe'")
    agent = an_agent(agent_id="zoe", email="zoe@ville.example")
    gone = {"enrolment_id": enrolment_id, "version": 2, "by": WithdrawnBy.AGENT, "agent": agent}
    await seated.hear(a_decision(EnrolmentWithdrawn, **gone))
    assert await seated.query("SELECT known_since FROM enrolment WHERE agent_id = 'zoe'") == before


async def test_a_day_waits_until_all_that_was_decided_in_it_is_read(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a night in which no notifier ran: what was received in time is stored late."""
    monkeypatch.setattr(clock, "now", lambda: MORNING)
    await jobs.write_to_organisers(seated.database, DIGEST)
    await decisions_are_read(seated, until=NIGHT_BEFORE)
    await jobs.write_to_organisers(seated.database, DIGEST)
    agent = an_agent(agent_id="lea", email="lea@ville.example")
    await seated.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent), at=NIGHT_BEFORE)
    await write(seated, MORNING, monkeypatch, DIGEST)
    (digest,) = await digests(seated)
    assert [row["new"] for row in digest.details["sessions"]] == [1]


async def test_on_a_day_without_anything_to_say_there_is_no_digest(
    seated: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(seated, MORNING, monkeypatch, DIGEST)
    assert await seated.rows(where="template IN ('digest', 'mails-returned')") == []


async def test_the_digest_names_nobody(seated: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    await come_back(seated, "zoe")
    await write(seated, MORNING, monkeypatch, {"bretagne": DelegationContacts(digest=(YANN,))})
    assert await seated.deliver() == 1
    (mail,) = seated.relay.taken
    assert b"zoe" not in mail.content.lower()


@pytest.fixture
async def client(notifier: Notifier) -> AsyncIterator[httpx.AsyncClient]:
    """The page that a digest leads to, of an installation that writes it to Yann."""
    api = FastAPI()
    wanted = {organiser: found.digest for organiser, found in DIGEST.items()}
    guard, shown = a_guard(notifier.database), pages.rendering(Sites(catalogue="http://catalogue"))
    pages.digests.add_to(api, notifier.database, guard, LINKS, shown, wanted=wanted)
    transport = httpx.ASGITransport(app=api)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def ending(organiser: str = "bretagne", address: str = YANN, days: int = 1) -> str:
    return LINKS.end_digest(digest_id(organiser), address, clock.now() + timedelta(days=days))


async def test_one_click_ends_the_digest_and_nothing_else(
    seated: Notifier, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8058: opening the link changes nothing, the POST does."""
    both = {"bretagne": DelegationContacts(organisers=(YANN,), digest=(YANN, ANNE))}
    monkeypatch.setattr(clock, "now", lambda: MORNING)
    await come_back(seated, "zoe")
    for method in ("GET", "GET", "POST", "POST"):
        answer = await client.request(method, ending(), data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
    await write(seated, MORNING, monkeypatch, both)
    assert [row.address for row in await digests(seated)] == [ANNE]
    assert [row.address for row in await mails(seated)] == [YANN]


async def test_opening_the_link_does_not_end_the_digest_and_an_operator_resumes_it(
    seated: Notifier, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await come_back(seated, "zoe")
    shown = await client.get(ending())
    assert (shown.status_code, "Si vous confirmez" in shown.text) == (200, True)
    await write(seated, MORNING, monkeypatch, DIGEST)
    assert len(await digests(seated)) == 1
    await client.post(ending())
    async with seated.database.transaction() as tx:
        assert await organisers.resume_digest(tx, "bretagne", YANN)
        assert not await organisers.resume_digest(tx, "bretagne", YANN)
    await come_back(seated, "ali", at=MORNING)
    await write(seated, MORNING + timedelta(days=1), monkeypatch, DIGEST)
    assert [row.address for row in await digests(seated)] == [YANN, YANN]


async def test_a_link_of_another_digest_or_of_who_has_none_ends_nothing(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    links = (ending(address=ANNE), ending("corse"), ending(days=-1))
    assert [(await client.post(link)).status_code for link in links] == [410] * 3
    assert await notifier.query("SELECT * FROM ended_digest") == []


async def test_that_somebody_ended_the_digest_is_kept_while_the_settings_name_them(
    seated: Notifier, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.post(ending())
    await seated.change("INSERT INTO ended_digest SELECT 'corse', address, ended_at FROM ended_digest")
    await write(seated, MORNING, monkeypatch, DIGEST)
    assert len(await seated.query("SELECT * FROM ended_digest")) == 2
    without = {"bretagne": DelegationContacts(contact="formations@cnfpt.example")}
    await write(seated, MORNING + timedelta(days=1), monkeypatch, without)
    assert await seated.query("SELECT organiser FROM ended_digest") == [("corse",)]
