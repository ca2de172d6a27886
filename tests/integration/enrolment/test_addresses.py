"""Whose mails come back is known to organisers, until one arrives."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.service.addresses import EmailDelivery
from services.enrolment.store import addresses
from services.enrolment.store.enrolments import LIVE
from shared import clock
from shared.database import Database
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent, open_now
from tests.support.consuming import received, take


async def bad_after(database: Database, *events: EmailDelivery) -> list[str]:
    """Take these events in; return the agents whose address is bad then."""
    await take(router, database, [received(event) for event in events])
    async with database.quiet_transaction() as tx:
        return list((await tx.execute(text("SELECT agent_id FROM bad_address ORDER BY 1"))).scalars())


def delivery_members(agent_id: str, enrolment_id: UUID | None = None) -> dict[str, Any]:
    """Return the members of an event about the mail of an enrolment."""
    return {
        "mail_id": uuid4(),
        "agent_id": agent_id,
        "template": "enrolment-confirmed",
        "cause_id": uuid4(),
        "enrolment_id": enrolment_id or uuid4(),
    }


def bounced(agent_id: str, kind: BounceKind = BounceKind.HARD, *, suppressed: bool = False) -> EmailBounced:
    return EmailBounced(
        **delivery_members(agent_id),
        message_id="<1@x.fr>",
        kind=kind,
        bounced_at=clock.now(),
        suppressed=suppressed,
    )


def failed(agent_id: str, *, suppressed: bool) -> EmailFailed:
    return EmailFailed(**delivery_members(agent_id), failed_at=clock.now(), suppressed=suppressed)


def sent(agent_id: str, enrolment_id: UUID | None = None) -> EmailSent:
    return EmailSent(**delivery_members(agent_id, enrolment_id), message_id="<2@x.fr>", sent_at=clock.now())


def of_news(event: EmailDelivery) -> EmailDelivery:
    """The same of a mail about no enrolment."""
    return event.model_copy(update={"enrolment_id": None})


async def test_a_hard_bounce_marks_an_address_and_a_soft_one_does_not(database: Database) -> None:
    assert await bad_after(database, bounced("A-1"), bounced("A-2", BounceKind.SOFT)) == ["A-1"]


async def test_an_address_that_is_written_to_no_more_is_marked_however_that_came(database: Database) -> None:
    too_often = bounced("A-1", BounceKind.SOFT, suppressed=True)
    of_another = failed("A-2", suppressed=True)
    assert await bad_after(database, too_often, of_another, failed("A-3", suppressed=False)) == ["A-1", "A-2"]


async def test_a_mark_is_kept_once_and_goes_when_a_mail_is_accepted_again(database: Database) -> None:
    assert await bad_after(database, bounced("A-1"), bounced("A-1"), bounced("A-2")) == ["A-1", "A-2"]
    assert await bad_after(database, sent("A-1")) == ["A-2"]


async def test_within_one_batch_the_last_word_counts(database: Database) -> None:
    assert await bad_after(database, bounced("A-1"), sent("A-1")) == []
    assert await bad_after(database, sent("A-1"), bounced("A-1")) == ["A-1"]


async def test_news_that_arrive_say_nothing_of_the_address_of_an_enrolment(database: Database) -> None:
    """A subscription may have another."""
    assert await bad_after(database, bounced("A-1")) == ["A-1"]
    assert await bad_after(database, of_news(sent("A-1"))) == ["A-1"]
    assert await bad_after(database, bounced("A-2"), of_news(sent("A-2"))) == ["A-1", "A-2"]


async def test_news_that_come_back_say_nothing_of_the_address_of_an_enrolment(database: Database) -> None:
    """Nor does what is sent to who is no agent: ``abonnement-…``, ``demandeur-…``."""
    hard, refused = of_news(bounced("A-1")), of_news(failed("A-2", suppressed=True))
    too_often = of_news(bounced("abonnement-1", BounceKind.SOFT, suppressed=True))
    assert await bad_after(database, hard, refused, too_often) == []


async def test_a_mail_to_one_address_of_an_agent_does_not_clear_another(
    database: Database, front: Front
) -> None:
    here, elsewhere = open_now(), open_now()
    work = an_agent(email="a@ville.example")
    home = work.model_copy(update={"email": "a@perso.example"})
    await front.publish(here, elsewhere)
    await front.enrol(here, work)
    await front.enrol(elsewhere, home)
    arrived = sent(work.agent_id, (await front.of(elsewhere, home)).enrolment_id)
    assert await bad_after(database, bounced(work.agent_id), arrived) == [work.agent_id]
    await front.withdraw(here, work)
    assert await bad_after(database, arrived) == []


async def test_enrolments_are_not_read_while_no_address_is_bad(database: Database) -> None:
    async with database.quiet_transaction() as other, asyncio.timeout(20):
        await other.execute(text("LOCK TABLE enrolment"))
        assert await bad_after(database, sent("A-1")) == []


async def test_of_who_is_marked_only_their_own_enrolments_are_read(database: Database, front: Front) -> None:
    here, many = open_now(capacity=400), [an_agent() for _ in range(300)]
    await front.publish(here)
    await front.enrol(here, *many)
    marked = {
        "issuers": [""],
        "agents": [many[0].agent_id],
        "enrolments": [(await front.of(here, many[0])).enrolment_id],
    }
    async with database.quiet_transaction() as tx:
        await tx.execute(text("ANALYZE enrolment"))
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        explain = text(f"EXPLAIN {addresses._DELETE.text}")
        plan = "\n".join((await tx.execute(explain, marked | {"live": LIVE})).scalars())
    assert "Index Cond: (enrolment_id = arrived.enrolment_id)" in plan
    assert re.search(r"ix_enrolment_agent on enrolment other .*\n +Index Cond: .*agent_id", plan), plan
