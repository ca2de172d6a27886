"""Organisers whom the settings name have a letter when a session needs their decision."""

from datetime import timedelta
from typing import Any

import pytest

from services.notifier import handlers
from services.notifier.delivery.outcomes import SESSION_STATE_MISSING
from services.notifier.settings import Settings
from services.notifier.store import mails
from shared import clock
from shared.events.catalogue import SessionChanged, SessionScheduled
from shared.events.enrolment import MinimumMissed, OrganiserNotice, SelectionDue
from tests.conftest import settings_of
from tests.integration.notifier.conftest import Notifier
from tests.support.consuming import received, take
from tests.unit.notifier.builders import SESSION_ID, a_session

ORGANISERS = {"bretagne": ["yann@cnfpt.example", "anne@cnfpt.example"], "corse": ["other@cnfpt.example"]}


def missed(**changes: Any) -> MinimumMissed:
    fields = {
        "session_id": SESSION_ID,
        "session_version": 1,
        "organiser": "bretagne",
        "minimum": 12,
        "enrolled": 7,
        "offered": 1,
        "candidates": 0,
    }
    return MinimumMissed.model_validate(fields | changes)


async def hear(notifier: Notifier, *notices: OrganiserNotice) -> None:
    batch = [received(notice) for notice in notices]
    for _ in range(2):  # as it may come again
        await take(handlers.router, notifier.database, batch, organisers=ORGANISERS)


def closed(**changes: Any) -> dict[str, Any]:
    """A session whose enrolment has just closed."""
    now = clock.now()
    dates = {
        "enrolment_closes_at": now - timedelta(minutes=1),
        "starts_at": now + timedelta(days=5),
        "ends_at": now + timedelta(days=5, hours=7),
    }
    return a_session(**(dates | changes)).model_dump(exclude={"numbers", "last_number", "gone"})


async def test_each_organiser_of_the_delegation_has_one_letter_and_nobody_else(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(closed()))
    await hear(notifier, missed())
    assert {row.address for row in await notifier.rows()} == set(ORGANISERS["bretagne"])
    assert await notifier.deliver() == 2
    assert await notifier.states() == ["sent", "sent"]


async def test_candidates_to_rank_are_a_letter_of_their_own(notifier: Notifier) -> None:
    about = {"session_id": SESSION_ID, "session_version": 1, "organiser": "corse"}
    due = SelectionDue.model_validate(about | {"candidates": 4, "enrolled": 0})
    await hear(notifier, due, missed(organiser="corse"))
    assert {(row.template, row.address) for row in await notifier.rows()} == {
        ("selection-due", "other@cnfpt.example"),
        ("minimum-missed", "other@cnfpt.example"),
    }


async def test_where_nobody_is_named_nobody_is_written_to(notifier: Notifier) -> None:
    await hear(notifier, missed(organiser="occitanie"))
    assert await notifier.rows() == []


@pytest.mark.parametrize(
    "changes",
    [{"status": "cancelled"}, {"enrolment_closes_at": clock.now() + timedelta(days=2)}],
    ids=["cancelled", "open-again"],
)
async def test_what_is_decided_before_the_letter_leaves_is_asked_no_more(
    notifier: Notifier, changes: dict[str, Any]
) -> None:
    await hear(notifier, missed())
    await notifier.hear(SessionChanged.model_validate(closed(**changes)))
    await notifier.deliver()
    assert await notifier.states() == ["superseded", "superseded"]


@pytest.mark.parametrize("known", [True, False], ids=["as it was", "not at all"])
async def test_a_notice_that_overtakes_its_session_waits_for_it_and_is_counted(
    notifier: Notifier, known: bool
) -> None:
    """As the notifier knows the session, it is open still."""
    still_open = closed(enrolment_closes_at=clock.now() + timedelta(days=2))
    if known:
        await notifier.hear(SessionScheduled.model_validate(still_open))
    await hear(notifier, missed(session_version=2))
    await notifier.change("UPDATE mail SET due_at = due_at - interval '1 hour'")
    await notifier.deliver()
    assert await notifier.states() == ["pending", "pending"]
    async with notifier.database.quiet_transaction() as tx:
        figures = await mails.measure(tx)
    assert (figures.due, figures.age >= 3600) == (2, True)
    await notifier.hear(SessionChanged.model_validate(closed(version=2)))
    await notifier.deliver()
    assert await notifier.states() == ["sent", "sent"]


@pytest.mark.parametrize("known", [True, False], ids=["as it was", "not at all"])
async def test_a_notice_whose_session_is_never_heard_of_fails_in_the_end(
    notifier: Notifier, known: bool
) -> None:
    if known:
        await notifier.hear(SessionScheduled.model_validate(closed()))
    await hear(notifier, missed(session_version=2**31 - 1))
    await notifier.change("UPDATE mail SET give_up_at = now()")
    await notifier.deliver()
    answers = [(row.state, row.smtp_answer) for row in await notifier.rows()]
    assert answers == [("failed", SESSION_STATE_MISSING)] * 2
    assert notifier.relay.taken == []


def test_contacts_of_delegations_are_read_and_mistakes_refused() -> None:
    given: dict[str, Any] = {
        name.lower(): value for name, value in settings_of("notifier", "postgresql://x/y", "k:1").items()
    }
    contacts = {"contact": "a@cnfpt.example", "organisers": ["b@cnfpt.example"]}
    settings = Settings(**given | {"delegation_contacts": {"bretagne": contacts}})
    assert settings.delegation_contacts["bretagne"].organisers == ("b@cnfpt.example",)
    assert settings.delegation_contacts["bretagne"].digest == ()
    digest = {"bretagne": {"digest": ["c@cnfpt.example"]}}
    assert Settings(**given | {"delegation_contacts": digest}).names_contact("C@cnfpt.example")
    for mistaken in ({"contact": "nobody"}, {"digest": ["nobody"]}, {"digests": ["c@cnfpt.example"]}):
        with pytest.raises(ValueError, match="delegation_contacts"):
            Settings(**given | {"delegation_contacts": {"bretagne": mistaken}})
