"""What letters say of an agent is corrected, in the order in which enrolment tells it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifier.delivery.deliverer import CLAIM_LEASE
from services.notifier.letters import Priority, Template
from services.notifier.letters.bounces import digest_of
from services.notifier.service import corrections, fan_outs, mails
from services.notifier.store import claims
from services.notifier.tables import MailState
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, EnrolmentWithdrawn
from shared.events.portal import AgentCorrected, SubscriptionChanged
from tests.integration.notifier import test_schedule as schedule
from tests.integration.notifier.conftest import Notifier, running
from tests.integration.notifier.test_handlers import a_replay
from tests.support.smtp import Hang, Reply
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, a_session, an_agent

WRONG, RIGHT = "faute@exemple.fr", "zoe@exemple.fr"
AGENT = an_agent(email=WRONG)


def corrected(**changes: Any) -> AgentDetailsCorrected:
    values = {"agent_id": AGENT.agent_id, "issuer": "iel", "corrected_at": clock.now(), "email": RIGHT}
    return AgentDetailsCorrected.model_validate(values | changes)


def sent_to(notifier: Notifier) -> list[str]:
    """Whom the relay has had mails for, in order."""
    return [taken.recipient for taken in notifier.relay.taken]


@pytest.fixture
async def enrolled(notifier: Notifier) -> Notifier:
    """One letter in the queue, to the wrong address."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled, agent=AGENT))
    return notifier


async def test_a_letter_that_has_not_left_leaves_with_the_new_address_and_name(enrolled: Notifier) -> None:
    notifier = enrolled
    await notifier.hear(corrected(family_name="Durand-Martin"))
    await notifier.deliver()
    assert sent_to(notifier) == [RIGHT]
    [mail] = await notifier.rows()
    assert (mail.address, mail.given_name, mail.family_name) == (RIGHT, AGENT.given_name, "Durand-Martin")
    [enrolment] = await notifier.query("SELECT address, family_name FROM enrolment")
    assert tuple(enrolment) == (RIGHT, "Durand-Martin")


async def test_decisions_and_corrections_of_one_batch_are_taken_in_their_order(notifier: Notifier) -> None:
    newest = an_agent(email="nouvelle@exemple.fr")
    withdrawn = {"agent": newest, "version": 2, "enrolment_id": ENROLMENT_ID}
    await notifier.hear(
        a_decision(AgentEnrolled, agent=AGENT), corrected(), a_decision(EnrolmentWithdrawn, **withdrawn)
    )
    assert [row.address for row in await notifier.query("SELECT address FROM enrolment")] == [newest.email]


async def test_what_has_left_and_another_issuers_agent_stay_as_they_were(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled, agent=AGENT))
    await notifier.deliver()
    other = an_agent(email=WRONG, issuer="ouest")
    await notifier.hear(a_decision(AgentEnrolled, agent=other, enrolment_id=uuid4()))
    await notifier.hear(corrected())
    states = [(mail.state, mail.address) for mail in await notifier.rows()]
    assert states == [(MailState.SENT, WRONG), (MailState.PENDING, WRONG)]


async def test_an_address_that_mails_came_back_from_is_tried_again(notifier: Notifier) -> None:
    await notifier.change(
        "INSERT INTO suppression (address, kind, mail_id) VALUES (:address, 'hard', gen_random_uuid())",
        address=digest_of(RIGHT, b""),
    )
    await notifier.hear(corrected())
    assert await notifier.query("SELECT 1 FROM suppression") == []


async def test_a_subscriber_is_corrected_by_the_portal_and_nobody_else_begins_to_be_one(
    notifier: Notifier,
) -> None:
    subscribed = SubscriptionChanged(
        agent_id=AGENT.agent_id, email=WRONG, given_name="Zoé", theme="enjeux-ia", subscribed=True
    )
    correction = AgentCorrected(agent_id=AGENT.agent_id, email=RIGHT)
    await notifier.hear(correction)
    assert await notifier.query("SELECT 1 FROM subscriber") == []
    await notifier.hear(subscribed, correction)
    assert [tuple(row) for row in await notifier.query("SELECT address, given_name FROM subscriber")] == [
        (RIGHT, "Zoé")
    ]
    await notifier.hear(correction, issuer="ouest")


async def claimed(notifier: Notifier) -> claims.Claim:
    """The claim of the only mail, by a process of its own."""
    async with notifier.database.transaction() as tx:
        [mail], _ = await claims.claim(
            tx, OWNER, list(Priority), most=10, lease=CLAIM_LEASE, message_domain="cnfpt.example"
        )
    return mail.claim


OWNER = uuid4()


async def test_a_letter_that_was_claimed_before_does_not_begin_and_comes_again_with_the_new_address(
    enrolled: Notifier,
) -> None:
    claim = await claimed(enrolled)
    await enrolled.hear(corrected())
    async with enrolled.database.transaction() as tx:
        assert await claims.start_data(tx, OWNER, [claim], lease=CLAIM_LEASE) == set()
        assert await claims.expire_leases(tx, OWNER) == (1, 0)
    await enrolled.deliver()
    assert sent_to(enrolled) == [RIGHT]
    assert (await enrolled.row()).attempts == 1


async def test_a_letter_that_the_relay_has_in_hand_and_puts_off_comes_again_with_the_new_address(
    enrolled: Notifier,
) -> None:
    hang = Hang()
    enrolled.relay.script("BODY", hang)
    enrolled.relay.script("DOT", Reply("451 4.7.1 greylisted"))
    async with running(enrolled.deliverer()) as idle:
        await enrolled.relay.reached("BODY")
        await enrolled.hear(corrected())
        hang.release.set()
        await idle()
    assert await enrolled.states() == ["retry"]
    await enrolled.change("UPDATE mail SET due_at = now()")
    await enrolled.deliver()
    assert sent_to(enrolled) == [RIGHT]


async def test_a_letter_that_is_called_for_again_goes_to_the_new_address(notifier: Notifier) -> None:
    await notifier.hear(schedule.session(5))
    await notifier.hear(a_decision(AgentEnrolled, agent=AGENT), at=clock.now() - timedelta(days=30))
    await notifier.hear(schedule.changed(40))
    await notifier.deliver()
    before = len(sent_to(notifier))
    await notifier.hear(corrected())
    await notifier.hear(schedule.changed(5, version=3))
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    after = sent_to(notifier)[before:]
    assert after
    assert set(after) == {RIGHT}


async def test_news_go_to_the_address_of_now_also_when_they_are_sent_again(notifier: Notifier) -> None:
    follows = SubscriptionChanged(agent_id=AGENT.agent_id, email=WRONG, theme="enjeux-ia", subscribed=True)
    await notifier.hear(follows)
    await notifier.hear(a_replay(session_id=None, published_at=clock.now(), themes=["enjeux-ia"]))
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id, email=RIGHT))
    await notifier.deliver()
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id, email="plus.tard@exemple.fr"))
    await resend(notifier)
    await notifier.deliver()
    assert sent_to(notifier) == [RIGHT, "plus.tard@exemple.fr"]


async def resend(notifier: Notifier) -> None:
    [first] = await notifier.rows()
    async with notifier.database.transaction() as tx:
        assert await mails.resend(tx, first.mail_id, actor="op")


async def test_what_is_sent_again_is_not_sent_to_an_address_that_the_agent_has_no_more(
    enrolled: Notifier,
) -> None:
    """The enrolment has ended before its letters, and with it how to write to the agent."""
    await enrolled.deliver()
    await enrolled.hear(corrected())
    await enrolled.change("DELETE FROM enrolment")
    await resend(enrolled)
    await enrolled.deliver()
    assert sent_to(enrolled) == [WRONG]
    assert await enrolled.states() == ["sent", "superseded"]


async def test_an_address_that_only_a_subscription_had_before_is_the_agents_still(
    enrolled: Notifier,
) -> None:
    follows = SubscriptionChanged(agent_id=AGENT.agent_id, email=WRONG, theme="enjeux-ia", subscribed=True)
    await enrolled.hear(follows, follows.model_copy(update={"email": RIGHT}))
    await enrolled.change("UPDATE mail SET enrolment_id = gen_random_uuid()")  # refused beside the seat
    await enrolled.deliver()
    assert sent_to(enrolled) == [WRONG]


Work = Callable[[Transaction], Coroutine[Any, Any, object]]


async def beside(notifier: Notifier, first: Work, second: Callable[[], Awaitable[object]]) -> None:
    """Do the second while a transaction in which the first is done is open."""
    async with notifier.database.transaction() as tx:
        await first(tx)
        await asyncio.wait_for(second(), 5)


async def test_a_copy_that_is_made_beside_a_correction_goes_to_the_new_address(enrolled: Notifier) -> None:
    await enrolled.deliver()
    first = await enrolled.row()
    await beside(
        enrolled,
        lambda tx: mails.resend(tx, first.mail_id, actor="op"),
        lambda: enrolled.take(corrected()),
    )
    await enrolled.deliver()
    assert sent_to(enrolled) == [WRONG, RIGHT]


async def test_what_is_queued_again_beside_a_correction_goes_to_the_new_address(enrolled: Notifier) -> None:
    await enrolled.change("UPDATE mail SET state = 'failed', smtp_code = 550, settled_at = now()")
    await beside(
        enrolled,
        lambda tx: corrections.apply(tx, corrected()),
        lambda: resend_failed(enrolled),
    )
    await enrolled.deliver()
    assert sent_to(enrolled) == [RIGHT]


async def resend_failed(notifier: Notifier) -> None:
    async with notifier.database.transaction() as tx:
        assert await mails.resend_failed(tx, 550, actor="op") == 1


async def test_a_slice_that_is_open_beside_a_correction_writes_to_the_new_address(
    notifier: Notifier,
) -> None:
    await notifier.hear(schedule.session(40))
    await notifier.hear(a_decision(AgentEnrolled, agent=AGENT))
    await notifier.deliver()
    await notifier.take(schedule.changed(41))
    await beside(
        notifier,
        lambda tx: fan_outs.next_slice(tx, clock.now(), most=10),
        lambda: notifier.take(corrected()),
    )
    await notifier.deliver()
    changed = await notifier.rows(where=f"template = '{Template.SESSION_CHANGED}'")
    assert [(row.state, row.address) for row in changed] == [("sent", RIGHT)]
