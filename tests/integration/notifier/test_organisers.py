"""Organisers hear once a day what there is to tell of their sessions, and at once what they must decide."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.notifier import handlers, jobs, pages
from services.notifier.delivery.results import SESSION_STATE_MISSING
from services.notifier.letters import digest_id
from services.notifier.letters.bounces import RETURNED
from services.notifier.service import organisers
from services.notifier.settings import DelegationContacts, Settings
from services.notifier.store import mails
from shared import clock
from shared.events.enrolment import AgentEnrolled, MinimumMissed, OrganiserNotice, SelectionDue
from shared.events.topics import Topic
from shared.messaging import progress
from shared.web.links import Links, Purpose
from shared.web.rendering import Sites
from tests.conftest import settings_of
from tests.integration.notifier.conftest import Notifier, browsing
from tests.integration.notifier.events import changed, in_days, scheduled, withdrawn
from tests.support.consuming import received, take
from tests.support.guards import a_guard
from tests.unit.notifier.builders import SESSION_ID, a_decision, an_agent, at

LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "http://test"))
YANN, ANNE = "yann@cnfpt.example", "anne@cnfpt.example"
Contacts = Mapping[str, DelegationContacts]
YANN_ALONE = {"bretagne": DelegationContacts(organisers=(YANN,))}
BOTH = {
    "bretagne": DelegationContacts(organisers=(YANN, ANNE)),
    "corse": DelegationContacts(organisers=("other@cnfpt.example",)),
}
DIGEST = {"bretagne": DelegationContacts(organisers=(YANN, ANNE), digest=(YANN,))}
MORNING = at("2025-03-10T08:05+01:00")
NIGHT_BEFORE = at("2025-03-09T23:00+01:00")
DAY = timedelta(days=1)


def seat(name: str) -> AgentEnrolled:
    agent = an_agent(agent_id=name, email=f"{name}@ville.example", given_name=name)
    decision: AgentEnrolled = a_decision(AgentEnrolled, agent=agent, enrolment_id=uuid4())
    return decision


ZOE, ALI = seat("zoe"), seat("ali")


@pytest.fixture
async def seated(known: Notifier) -> Notifier:
    """Zoé and Ali have seats in a session in Brittany, and a letter each, which the relay has taken."""
    await known.hear(ZOE, ALI)
    await known.change("UPDATE mail SET state = 'sent', settled_at = :at", at=NIGHT_BEFORE)
    return known


async def come_back(notifier: Notifier, *names: str, at: datetime = NIGHT_BEFORE) -> None:
    await notifier.change(
        "UPDATE mail SET bounced_at = :at WHERE recipient = ANY(:names)", at=at, names=list(names)
    )


Write = Callable[[datetime, Contacts], Awaitable[None]]


@pytest.fixture
def write(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that runs the job at a time, all decisions until then read."""

    async def run(now: datetime, to: Contacts) -> None:
        monkeypatch.setattr(clock, "now", lambda: now)
        await decisions_are_read(notifier, until=now)
        await jobs.write_to_organisers(notifier.database, to)

    return run


async def decisions_are_read(notifier: Notifier, *, until: datetime) -> None:
    async with notifier.database.transaction() as tx:
        await progress.save(tx, Topic.ENROLMENT_DECISIONS, {0: until})


async def returned(notifier: Notifier) -> list[tuple[str, int]]:
    """The organisers with a letter about returned mails, each with the number of people in it."""
    rows = await notifier.rows(where="template = 'mails-returned'")
    return sorted((row.address, row.details["people"]) for row in rows)


async def digests(notifier: Notifier) -> list[str]:
    return [row.address for row in await notifier.rows(where="template = 'digest'")]


async def in_digest(notifier: Notifier) -> dict[str, Any]:
    """What the only digest says of the only session."""
    (digest,) = await notifier.rows(where="template = 'digest'")
    (row,) = digest.details["sessions"]
    return dict(row)


async def test_each_organiser_of_the_session_has_one_letter_a_day_with_how_many(
    seated: Notifier, write: Write
) -> None:
    await come_back(seated, "zoe", "ali")
    for minutes in (0, 1, 60):
        await write(MORNING + timedelta(minutes=minutes), BOTH)
    rows = await seated.rows(where="template = 'mails-returned'")
    assert await returned(seated) == [(ANNE, 2), (YANN, 2)]
    assert rows[0].details["sessions"] == [{"session": str(SESSION_ID), "people": 2}]
    assert {row.issuer for row in rows} == {""}


async def test_processes_that_write_at_once_write_one_letter(seated: Notifier, write: Write) -> None:
    await come_back(seated, "zoe")
    await asyncio.gather(*(write(MORNING, YANN_ALONE) for _ in range(4)))
    assert await returned(seated) == [(YANN, 1)]


async def test_a_process_that_is_killed_before_it_has_written_leaves_the_day_to_the_next(
    seated: Notifier, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object, **__: object) -> None:
        raise SystemExit

    await come_back(seated, "zoe")
    with monkeypatch.context() as patched:
        patched.setattr("services.notifier.store.queue.add_letter", killed)
        with pytest.raises(SystemExit):
            await write(MORNING, BOTH)
    assert await returned(seated) == []
    await write(MORNING, BOTH)
    assert await returned(seated) == [(ANNE, 1), (YANN, 1)]


async def test_a_returned_mail_is_reported_once_and_a_missed_day_is_made_up(
    seated: Notifier, write: Write
) -> None:
    await come_back(seated, "zoe")
    await write(MORNING, YANN_ALONE)
    await come_back(seated, "ali", at=MORNING)
    await seated.change(
        "INSERT INTO mail (event_id, template, issuer, recipient, address, given_name, family_name, "
        "session_id, enrolment_id, version, details, needs_session, priority, called_for_at, bounced_at) "
        "SELECT gen_random_uuid(), template, issuer, recipient, address, '', '', session_id, enrolment_id, "
        "version, '{}', true, 0, now(), :at FROM mail WHERE recipient = 'zoe'",
        at=MORNING,
    )
    await write(MORNING + 3 * DAY, YANN_ALONE)
    assert await returned(seated) == [(YANN, 1), (YANN, 1)]


@pytest.mark.parametrize(("hour", "came_back"), [(6, True), (20, True), (8, False)])
async def test_nothing_is_written_in_the_night_or_where_there_is_nothing_to_say(
    seated: Notifier, write: Write, hour: int, *, came_back: bool
) -> None:
    await come_back(seated, *["zoe"] * came_back)
    await write(MORNING.replace(hour=hour), BOTH | DIGEST)
    assert (await returned(seated), await digests(seated)) == ([], [])


async def test_a_participant_who_left_or_has_another_address_is_not_reported(
    seated: Notifier, write: Write
) -> None:
    await come_back(seated, "zoe", "ali")
    await seated.change("UPDATE enrolment SET address = 'new@ville.example' WHERE agent_id = 'ali'")
    await seated.hear(withdrawn(ZOE))
    await write(MORNING, BOTH)
    assert await returned(seated) == []


async def test_mails_that_were_not_tried_or_refused_as_unknown_count_too(
    seated: Notifier, write: Write
) -> None:
    await seated.change(
        "UPDATE mail SET state = 'failed', smtp_answer = :answer WHERE recipient = 'zoe'", answer=RETURNED
    )
    await seated.change(
        "INSERT INTO suppression (address, kind, since, mail_id) "
        "SELECT decode('00', 'hex'), 'hard', :at, mail_id FROM mail WHERE recipient = 'ali'",
        at=NIGHT_BEFORE,
    )
    await write(MORNING, YANN_ALONE)
    assert await returned(seated) == [(YANN, 2)]


async def test_a_subscriber_of_the_digest_gets_it_alone_and_others_the_letter_about_returned_mails(
    seated: Notifier, write: Write
) -> None:
    await come_back(seated, "zoe")
    for _ in range(2):
        await write(MORNING, DIGEST)
    assert (await digests(seated), await returned(seated)) == ([YANN], [(ANNE, 1)])
    row = await in_digest(seated)
    assert (row["people"], row["soon"]) == (1, 0)
    assert await seated.deliver() == 2
    assert not any(b"zoe" in mail.content.lower() for mail in seated.relay.taken), "the digest names nobody"


async def test_the_digest_counts_the_enrolments_of_each_near_session_of_the_delegation(
    seated: Notifier, write: Write
) -> None:
    for other in ({"organiser": "corse"}, {"status": "cancelled"}, {"status": "draft"}):
        await seated.hear(scheduled(session_id=uuid4(), **other))
    for standing in ("waitlisted", "offered", "pending", "withdrawn"):
        await seated.hear(seat(standing))
        await seated.change("UPDATE enrolment SET standing = :now WHERE agent_id = :now", now=standing)
    await write(at("2025-03-28T09:00+01:00"), DIGEST)
    row = await in_digest(seated)
    assert row["session"] == str(SESSION_ID)
    assert (row["enrolled"], row["waiting"], row["offered"], row["pending"]) == (2, 1, 1, 1)


async def test_the_digest_counts_new_and_ended_enrolments_since_the_last(
    seated: Notifier, write: Write
) -> None:
    await seated.hear(seat("lea"), seat("max"))
    for name, begun, standing in (
        ("zoe", MORNING - 9 * DAY, "enrolled"),  # the seat, by an offer
        ("ali", MORNING - 9 * DAY, "withdrawn"),
        ("lea", NIGHT_BEFORE, "waitlisted"),
        ("max", NIGHT_BEFORE, "refused"),
    ):
        await seated.change(
            "UPDATE enrolment SET known_since = :begun, standing = :standing, since = :since "
            "WHERE agent_id = :name",
            name=name,
            begun=begun,
            standing=standing,
            since=NIGHT_BEFORE,
        )
    for days in (0, 1):
        await write(MORNING + days * DAY, DIGEST)
    row = await in_digest(seated)
    assert (row["new"], row["left"], row["enrolled"], row["waiting"]) == (1, 1, 1, 1)


async def test_a_later_decision_makes_nobody_new_again(seated: Notifier) -> None:
    known_since = "SELECT known_since FROM enrolment WHERE agent_id = 'zoe'"
    before = await seated.query(known_since)
    await seated.hear(withdrawn(ZOE))
    assert await seated.query(known_since) == before


async def test_a_day_waits_until_all_that_was_decided_in_it_is_read(
    seated: Notifier, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a night in which no notifier ran: what was received in time is stored late."""
    monkeypatch.setattr(clock, "now", lambda: MORNING)
    await jobs.write_to_organisers(seated.database, DIGEST)
    await decisions_are_read(seated, until=NIGHT_BEFORE)
    await jobs.write_to_organisers(seated.database, DIGEST)
    await seated.hear(seat("lea"), at=NIGHT_BEFORE)
    await write(MORNING, DIGEST)
    assert (await in_digest(seated))["new"] == 1


@pytest.fixture
async def client(notifier: Notifier) -> AsyncIterator[httpx.AsyncClient]:
    """The page that a digest leads to, of an installation that writes it to Yann."""
    api = FastAPI()
    wanted = {organiser: found.digest for organiser, found in DIGEST.items()}
    guard, shown = a_guard(notifier.database), pages.rendering(Sites(catalogue="http://catalogue"))
    api.state.guard = guard
    pages.digests.add_to(api, notifier.database, guard, LINKS, shown, wanted=wanted)
    async with browsing(api) as client:
        yield client


def ending(organiser: str = "bretagne", address: str = YANN, days: int = 1) -> str:
    return LINKS.end_digest(digest_id(organiser), address, clock.now() + days * DAY)


async def test_one_click_ends_the_digest_and_nothing_else_until_an_operator_resumes_it(
    seated: Notifier, client: httpx.AsyncClient, write: Write
) -> None:
    """RFC 8058: opening the link changes nothing, the POST does."""
    both = {"bretagne": DelegationContacts(organisers=(YANN,), digest=(YANN, ANNE))}
    await come_back(seated, "zoe")
    assert (await client.get(ending())).status_code == 200
    await write(MORNING, DIGEST)
    assert await digests(seated) == [YANN]

    for _ in range(2):
        clicked = await client.post(ending(), data={"List-Unsubscribe": "One-Click"})
        assert clicked.status_code == 200
    await come_back(seated, "ali", at=MORNING)
    await write(MORNING + DAY, both)
    assert sorted(await digests(seated)) == [ANNE, YANN]
    assert (YANN, 1) in await returned(seated), "a returned mail is reported all the same"

    async with seated.database.transaction() as tx:
        resumed = [await organisers.resume_digest(tx, "bretagne", YANN) for _ in range(2)]
    assert resumed == [True, False]
    await come_back(seated, "zoe", at=MORNING + DAY)
    await write(MORNING + 2 * DAY, DIGEST)
    assert (await digests(seated)).count(YANN) == 2


async def test_a_link_of_another_digest_or_of_an_address_without_one_ends_nothing(
    notifier: Notifier, client: httpx.AsyncClient
) -> None:
    links = (ending(address=ANNE), ending("corse"), ending(days=-1))
    assert [(await client.post(link)).status_code for link in links] == [410] * 3
    assert await notifier.query("SELECT * FROM ended_digest") == []


async def test_an_ended_digest_is_kept_while_the_settings_name_the_address(
    seated: Notifier, client: httpx.AsyncClient, write: Write
) -> None:
    await client.post(ending())
    await seated.change("INSERT INTO ended_digest SELECT 'corse', address, ended_at FROM ended_digest")
    await write(MORNING, DIGEST)
    assert len(await seated.query("SELECT * FROM ended_digest")) == 2
    await write(MORNING + DAY, {"bretagne": DelegationContacts(contact="formations@cnfpt.example")})
    assert await seated.query("SELECT organiser FROM ended_digest") == [("corse",)]


NOTIFIED = {"bretagne": ["yann@cnfpt.example", "anne@cnfpt.example"], "corse": ["other@cnfpt.example"]}
ABOUT = {"session_id": SESSION_ID, "session_version": 1, "organiser": "bretagne"}
JUST_CLOSED = {"enrolment_closes_at": clock.now() - timedelta(minutes=1), **in_days(5)}
STILL_OPEN = JUST_CLOSED | {"enrolment_closes_at": clock.now() + timedelta(days=2)}


def missed(**changes: Any) -> MinimumMissed:
    fields = {"minimum": 12, "enrolled": 7, "offered": 1, "candidates": 0}
    return MinimumMissed.model_validate(ABOUT | fields | changes)


async def hear_notices(notifier: Notifier, *notices: OrganiserNotice) -> None:
    batch = [received(notice) for notice in notices]
    for _ in range(2):  # as it may come again
        await take(handlers.router, notifier.database, batch, organisers=NOTIFIED)


async def test_each_organiser_of_the_delegation_has_one_letter_of_each_kind_and_nobody_else(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(**JUST_CLOSED))
    due = SelectionDue.model_validate(ABOUT | {"organiser": "corse", "candidates": 4, "enrolled": 0})
    await hear_notices(notifier, missed(), due, missed(organiser="corse"), missed(organiser="occitanie"))
    assert sorted((row.template, row.address) for row in await notifier.rows()) == [
        ("minimum-missed", "anne@cnfpt.example"),
        ("minimum-missed", "other@cnfpt.example"),
        ("minimum-missed", "yann@cnfpt.example"),
        ("selection-due", "other@cnfpt.example"),
    ]
    await notifier.deliver()
    assert await notifier.states() == ["sent"] * 4


@pytest.mark.parametrize(
    "decided", [JUST_CLOSED | {"status": "cancelled"}, STILL_OPEN], ids=["cancelled", "open again"]
)
async def test_what_is_decided_before_the_letter_leaves_is_asked_no_more(
    notifier: Notifier, decided: dict[str, Any]
) -> None:
    await hear_notices(notifier, missed())
    await notifier.hear(changed(**decided))
    await notifier.deliver()
    assert await notifier.states() == ["superseded", "superseded"]


@pytest.mark.parametrize("known", [True, False], ids=["as it was", "not at all"])
async def test_a_notice_that_overtakes_its_session_waits_for_it_and_is_counted(
    notifier: Notifier, *, known: bool
) -> None:
    """As the notifier knows the session, it is open still."""
    if known:
        await notifier.hear(scheduled(**STILL_OPEN))
    await hear_notices(notifier, missed(session_version=2))
    await notifier.change("UPDATE mail SET due_at = due_at - interval '1 hour'")
    await notifier.deliver()
    assert await notifier.states() == ["pending", "pending"]
    async with notifier.database.quiet_transaction() as tx:
        figures = await mails.measure(tx)
    assert (figures.due, figures.age >= 3600) == (2, True)
    await notifier.hear(changed(**JUST_CLOSED))
    await notifier.deliver()
    assert await notifier.states() == ["sent", "sent"]


@pytest.mark.parametrize("known", [True, False], ids=["as it was", "not at all"])
async def test_a_notice_whose_session_is_never_heard_of_fails_in_the_end(
    notifier: Notifier, *, known: bool
) -> None:
    if known:
        await notifier.hear(scheduled(**JUST_CLOSED))
    await hear_notices(notifier, missed(session_version=2**31 - 1))
    await notifier.change("UPDATE mail SET give_up_at = now()")
    await notifier.deliver()
    answers = [(row.state, row.smtp_answer) for row in await notifier.rows()]
    assert (answers, notifier.relay.taken) == ([("failed", SESSION_STATE_MISSING)] * 2, [])


def settings_with(**contacts: Any) -> Settings:
    given = settings_of("notifier", "postgresql://x/y", "k:1") | {
        "DELEGATION_CONTACTS": {"bretagne": contacts}
    }
    return Settings.model_validate({name.lower(): value for name, value in given.items()})


def test_contacts_of_delegations_are_read() -> None:
    settings = settings_with(contact="a@cnfpt.example", organisers=["b@cnfpt.example"])
    assert settings.delegation_contacts["bretagne"].organisers == ("b@cnfpt.example",)
    assert settings_with(digest=["c@cnfpt.example"]).names_contact("C@cnfpt.example")


@pytest.mark.parametrize(
    "mistaken", [{"contact": "nobody"}, {"digest": ["nobody"]}, {"digests": ["c@cnfpt.example"]}], ids=str
)
def test_mistakes_in_contacts_are_refused(mistaken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="delegation_contacts"):
        settings_with(**mistaken)
