"""Agents whose mails come back are known to organisers, until a mail arrives."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.service.addresses import EmailDelivery
from services.enrolment.store import addresses
from services.enrolment.store.enrolments import LIVE
from shared import clock
from shared.database import Database
from shared.events.cloudevents import Received
from shared.events.notifier import BounceKind, EmailBounced, EmailFailed, EmailSent
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent
from tests.support.consuming import received, take
from tests.support.statements import plan_of

SOFT = BounceKind.SOFT


async def bad_after(database: Database, *events: EmailDelivery) -> list[str]:
    """Take these events in; return the agents whose address is bad then."""
    return await bad_after_records(database, *(received(event) for event in events))


async def bad_after_records(database: Database, *records: Received[EmailDelivery]) -> list[str]:
    await take(router, database, records)
    async with database.quiet_transaction() as tx:
        return list(await tx.scalars(text("SELECT agent_id FROM bad_address ORDER BY 1")))


def delivery_members(agent_id: str, issuer: str = "", enrolment_id: UUID | None = None) -> dict[str, Any]:
    """Return the members of an event about the mail of an enrolment."""
    return {
        "mail_id": uuid4(),
        "agent_id": agent_id,
        "issuer": issuer,
        "template": "enrolment-confirmed",
        "cause_id": uuid4(),
        "enrolment_id": enrolment_id or uuid4(),
    }


def bounced(
    agent_id: str = "A-1", kind: BounceKind = BounceKind.HARD, *, suppressed: bool = False, issuer: str = ""
) -> EmailBounced:
    members = delivery_members(agent_id, issuer)
    now = clock.now()
    return EmailBounced(**members, message_id="<1@x.fr>", kind=kind, bounced_at=now, suppressed=suppressed)


def failed(agent_id: str, *, suppressed: bool) -> EmailFailed:
    return EmailFailed(**delivery_members(agent_id), failed_at=clock.now(), suppressed=suppressed)


def sent(agent_id: str = "A-1", issuer: str = "", enrolment_id: UUID | None = None) -> EmailSent:
    members = delivery_members(agent_id, issuer, enrolment_id)
    return EmailSent(**members, message_id="<2@x.fr>", sent_at=clock.now())


def of_news(event: EmailDelivery) -> EmailDelivery:
    """The same of a mail about no enrolment: it may go to another address, or to no agent."""
    return event.model_copy(update={"enrolment_id": None})


NO_MORE: list[EmailDelivery] = [
    bounced("A-1", SOFT, suppressed=True),
    failed("A-2", suppressed=True),
]


@pytest.mark.parametrize(
    ("batches", "bad"),
    [
        pytest.param([[bounced("A-1"), bounced("A-2", SOFT)]], ["A-1"], id="a hard bounce"),
        pytest.param([[*NO_MORE, failed("A-3", suppressed=False)]], ["A-1", "A-2"], id="no more"),
        pytest.param([[bounced(), bounced(), bounced("A-2")], [sent()]], ["A-2"], id="until one arrives"),
        pytest.param([[bounced(issuer="iel")], [sent(issuer="sirh")]], ["A-1"], id="of another issuer"),
        pytest.param([[bounced(), sent()]], [], id="arrived at last"),
        pytest.param([[sent(), bounced()]], ["A-1"], id="came back at last"),
        pytest.param([[bounced()], [of_news(sent())]], ["A-1"], id="news arrive"),
        pytest.param([[of_news(event) for event in (bounced(), *NO_MORE)]], [], id="news come back"),
    ],
)
async def test_the_last_word_about_a_mail_of_an_enrolment_says_whether_the_address_is_bad(
    database: Database, batches: list[list[EmailDelivery]], bad: list[str]
) -> None:
    assert [await bad_after(database, *batch) for batch in batches][-1] == bad


async def test_a_mail_to_one_address_of_an_agent_does_not_clear_another(
    database: Database, front: Front
) -> None:
    work = an_agent(email="a@ville.example")
    home = work.model_copy(update={"email": "a@perso.example"})
    here, elsewhere = await front.open(work), await front.open(home)
    came_back = bounced(work.agent_id)
    arrived = sent(work.agent_id, enrolment_id=(await front.of(elsewhere, home)).enrolment_id)
    assert await bad_after(database, came_back, arrived) == [work.agent_id]
    await front.withdraw(here, work)
    assert await bad_after(database, arrived) == []


async def test_a_mail_that_arrived_before_the_last_came_back_clears_nothing_when_it_is_delivered_again(
    database: Database,
) -> None:
    arrived, came_back = received(sent()), received(bounced())
    bad = [
        await bad_after_records(database, *batch) for batch in ([arrived, came_back], [arrived, came_back])
    ]
    assert [*bad, await bad_after_records(database, arrived)] == [["A-1"]] * 3
    assert await bad_after(database, sent()) == []
    assert await bad_after_records(database, came_back) == [], "it had its effect"


async def test_enrolments_are_not_read_while_no_address_is_bad(database: Database) -> None:
    async with database.quiet_transaction() as other, asyncio.timeout(20):
        await other.execute(text("LOCK TABLE enrolment"))
        assert await bad_after(database, sent()) == []


async def test_of_an_agent_who_is_marked_only_their_own_enrolments_are_read(database: Database) -> None:
    marked = {
        "issuers": [""],
        "agents": ["A-1"],
        "enrolments": [uuid4()],
        "moments": [clock.now()],
        "live": LIVE,
    }
    without = "seqscan", "bitmapscan", "hashjoin", "mergejoin"
    plan = await plan_of(database, addresses._DELETE, marked, without=without)
    assert "Index Cond: (enrolment_id = arrived.enrolment_id)" in plan
    assert re.search(r"Index Scan using \w+ on enrolment other .*\n +Index Cond: .*agent_id", plan), plan
