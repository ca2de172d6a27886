"""What letters say of an agent is corrected, in the order in which enrolment tells it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifier.delivery.deliverer import CLAIM_LEASE
from services.notifier.letters import LetterType, Priority
from services.notifier.letters.bounces import digest_of
from services.notifier.personal_data import AGENT_DETAILS, ENDED_SUBSCRIPTIONS
from services.notifier.service import corrections, enrolments, fan_outs, mails, subscriptions
from services.notifier.store import bounces, claims
from services.notifier.tables import MailState
from shared import clock
from shared.database import Transaction
from shared.events import Event
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, CorrectedBy, EnrolmentWithdrawn
from shared.events.portal import AgentCorrected, SubscriptionChanged
from shared.events.topics import Topic
from shared.personal_data import end_rows
from shared.references import reference_of
from tests.integration.notifier import test_schedule as schedule
from tests.integration.notifier.conftest import Notifier, running
from tests.integration.notifier.subscribing import statements
from tests.integration.notifier.test_erasure import WAITING
from tests.integration.notifier.test_handlers import a_replay
from tests.support.consuming import received
from tests.support.smtp import Hang, Reply, Taken
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, a_session, an_agent
from tests.unit.notifier.reading import body, parsed

WRONG, RIGHT = "faute@exemple.fr", "zoe@exemple.fr"
AGENT = an_agent(email=WRONG)


def corrected(**changes: Any) -> AgentDetailsCorrected:
    values = {"agent_id": AGENT.agent_id, "issuer": "iel", "corrected_at": clock.now(), "email": RIGHT}
    return AgentDetailsCorrected.model_validate(values | changes)


def sent_to(notifier: Notifier) -> list[str]:
    """Whom the relay has had mails for, in order; the notice of a correction is left out."""
    return [taken.recipient for taken in notifier.relay.taken if not _is_notice(taken)]


_NO_NOTICE = f"template <> '{LetterType.ADDRESS_CORRECTED}'"


async def but_notices(notifier: Notifier) -> list[Any]:
    return await notifier.rows(where=_NO_NOTICE)


def _is_notice(taken: Taken) -> bool:
    return "adresse électronique a été corrigée" in parsed(taken.content)["Subject"]


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
    [mail] = await but_notices(notifier)
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
    states = [(mail.state, mail.address) for mail in await but_notices(notifier)]
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
            tx,
            OWNER,
            list(Priority),
            most=10,
            lease=CLAIM_LEASE,
            message_domain="cnfpt.example",
            now=clock.now(),
        )
    return mail.claim


OWNER = uuid4()


async def test_a_letter_that_was_claimed_before_does_not_begin_and_comes_again_with_the_new_address(
    enrolled: Notifier,
) -> None:
    claim = await claimed(enrolled)
    await enrolled.hear(corrected())
    async with enrolled.database.transaction() as tx:
        assert await claims.mark_data_started(tx, OWNER, [claim], lease=CLAIM_LEASE) == set()
        assert await claims.expire_leases(tx, OWNER) == (1, 0)
    await enrolled.deliver()
    assert sent_to(enrolled) == [RIGHT]
    [mail] = await but_notices(enrolled)
    assert mail.attempts == 1


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
    assert [mail.state for mail in await but_notices(enrolled)] == ["retry"]
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
    [first] = await but_notices(notifier)
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
    assert [mail.state for mail in await but_notices(enrolled)] == ["sent", "superseded"]


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
        await asyncio.wait_for(second(), 20)


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
        lambda tx: corrections.apply(tx, uuid4(), corrected(), clock.now()),
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
    changed = await notifier.rows(where=f"template = '{LetterType.SESSION_CHANGED}'")
    assert [(row.state, row.address) for row in changed] == [("sent", RIGHT)]


NEWEST = "nouvelle@exemple.fr"
FOLLOWS = SubscriptionChanged(
    agent_id=AGENT.agent_id, email=WRONG, given_name="Zoé", theme="enjeux-ia", subscribed=True
)


def before() -> datetime:
    """When what is redriven was received."""
    return clock.now() - timedelta(hours=1)


async def written_to(notifier: Notifier, table: str) -> list[tuple[str, str]]:
    """How those in a table are written to."""
    found = await notifier.query(f"SELECT address, family_name FROM {table} ORDER BY address")
    return [(row.address, row.family_name) for row in found]


async def test_a_decision_that_is_redriven_is_read_with_the_corrections_that_came_after_it(
    enrolled: Notifier,
) -> None:
    await enrolled.deliver()
    await enrolled.hear(corrected(email="zoe@exempel.fr", family_name="Durand-Martin"))
    await enrolled.hear(corrected())
    namesake = an_agent(email="autre@exemple.fr", issuer="ouest")
    of_both = [a_decision(AgentEnrolled, agent=agent, enrolment_id=uuid4()) for agent in (AGENT, namesake)]
    await enrolled.hear(*of_both, at=before())
    queued = await enrolled.rows(where=f"state = 'pending' AND {_NO_NOTICE}")
    assert {(mail.address, mail.family_name) for mail in queued} == {
        (RIGHT, "Durand-Martin"),
        (namesake.email, namesake.family_name),
    }
    await enrolled.deliver()
    assert sorted(sent_to(enrolled)) == sorted([WRONG, RIGHT, namesake.email])
    assert await written_to(enrolled, "enrolment") == [
        (namesake.email, namesake.family_name),
        (RIGHT, "Durand-Martin"),
        (RIGHT, "Durand-Martin"),
    ]


async def test_a_decision_that_came_after_a_correction_is_the_newest_word(enrolled: Notifier) -> None:
    await enrolled.hear(corrected(), at=before())
    await enrolled.hear(a_decision(AgentEnrolled, agent=an_agent(email=NEWEST), version=2))
    assert [address for address, _ in await written_to(enrolled, "enrolment")] == [NEWEST]


async def test_a_correction_changes_nothing_that_a_newer_one_changed(enrolled: Notifier) -> None:
    await enrolled.change("UPDATE enrolment SET since = since - interval '1 day'")
    await enrolled.hear(corrected())
    await enrolled.change(
        "INSERT INTO suppression (address, kind, mail_id) VALUES (:address, 'hard', gen_random_uuid())",
        address=digest_of("zoe@exempel.fr", b""),
    )
    await enrolled.hear(corrected(email="zoe@exempel.fr", family_name="Durand-Martin"), at=before())
    assert await written_to(enrolled, "enrolment") == [(RIGHT, "Durand-Martin")]
    assert await enrolled.query("SELECT 1 FROM suppression") != []


async def test_a_correction_that_is_redriven_changes_nothing_that_a_newer_decision_says(
    enrolled: Notifier,
) -> None:
    """Decisions say what is right when enrolment publishes them."""
    await enrolled.change("UPDATE enrolment SET since = since - interval '1 day'")
    newest = an_agent(email=NEWEST)
    await enrolled.hear(a_decision(AgentEnrolled, agent=newest, enrolment_id=uuid4()))
    await enrolled.hear(corrected(), at=before())
    assert [address for address, _ in await written_to(enrolled, "enrolment")] == [NEWEST, RIGHT]
    former = await enrolled.query("SELECT address FROM former_address")
    assert [row.address for row in former] == [WRONG], "the newest one is not a former one"


async def test_a_subscription_that_is_redriven_is_read_with_the_corrections_that_came_after_it(
    notifier: Notifier,
) -> None:
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id, email=RIGHT, family_name="Durand-Martin"))
    await notifier.hear(FOLLOWS, at=before())
    await notifier.hear(FOLLOWS, at=before(), issuer="ouest")
    assert await written_to(notifier, "subscriber") == [(WRONG, ""), (RIGHT, "Durand-Martin")]
    await notifier.hear(FOLLOWS.model_copy(update={"email": NEWEST}))
    assert await written_to(notifier, "subscriber") == [(WRONG, ""), (NEWEST, "Durand-Martin")]


async def test_a_subscriber_is_not_corrected_where_a_newer_correction_has_done_it(
    notifier: Notifier,
) -> None:
    await notifier.hear(FOLLOWS, at=clock.now() - timedelta(days=1))
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id, email=RIGHT))
    older = AgentCorrected(agent_id=AGENT.agent_id, email="zoe@exempel.fr", family_name="Durand-Martin")
    await notifier.hear(older, at=before())
    assert await written_to(notifier, "subscriber") == [(RIGHT, "Durand-Martin")]


async def test_a_subscriber_is_not_corrected_where_a_newer_subscription_describes_them(
    notifier: Notifier,
) -> None:
    """By what it says: a name that it does not say is corrected."""
    await notifier.hear(FOLLOWS.model_copy(update={"email": NEWEST}))
    older = AgentCorrected(agent_id=AGENT.agent_id, email=RIGHT, given_name="Zoey", family_name="Martin")
    await notifier.hear(older, at=before())
    [row] = await notifier.query("SELECT address, given_name, family_name FROM subscriber")
    assert (row.address, row.given_name, row.family_name) == (NEWEST, "Zoé", "Martin")


EVERYTHING_ENDS = SubscriptionChanged(agent_id=AGENT.agent_id, email=WRONG, subscribed=False)
IT_ENDS = FOLLOWS.model_copy(update={"subscribed": False})
ANOTHER = FOLLOWS.model_copy(update={"theme": "acculturation", "email": NEWEST})


async def followed(notifier: Notifier) -> list[tuple[str, str]]:
    """What is followed, and with which address."""
    found = await notifier.query(
        "SELECT interest, address FROM subscription JOIN subscriber USING (subscriber_id) ORDER BY interest"
    )
    return [(row.interest, row.address) for row in found]


@pytest.mark.parametrize("ended", [IT_ENDS, EVERYTHING_ENDS])
@pytest.mark.parametrize("known", [True, False])
async def test_a_subscription_that_has_ended_since_does_not_come_back_when_it_is_redriven(
    notifier: Notifier, ended: SubscriptionChanged, known: bool
) -> None:
    """Whether the first was read before it was ended, or was parked and is read now only."""
    if known:
        await notifier.hear(FOLLOWS, at=before())
    await notifier.hear(ended)
    await notifier.hear(FOLLOWS, at=before())
    assert await followed(notifier) == []
    await notifier.hear(FOLLOWS, at=clock.now() + timedelta(minutes=1))
    assert await followed(notifier) == [("theme:enjeux-ia", WRONG)]


async def test_an_older_subscription_to_something_else_begins_and_changes_no_address(
    notifier: Notifier,
) -> None:
    await notifier.hear(ANOTHER)
    await notifier.hear(FOLLOWS, at=before())
    assert await followed(notifier) == [("theme:acculturation", NEWEST), ("theme:enjeux-ia", NEWEST)]
    assert await notifier.query("SELECT 1 FROM former_address") == []


@pytest.mark.parametrize("ended", [IT_ENDS, EVERYTHING_ENDS])
async def test_what_was_asked_for_again_does_not_end_by_what_is_redriven(
    notifier: Notifier, ended: SubscriptionChanged
) -> None:
    await notifier.hear(FOLLOWS)
    await notifier.hear(ended, at=before())
    assert await followed(notifier) == [("theme:enjeux-ia", WRONG)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("chosen", [["theme:acculturation"], []])
async def test_what_the_owner_of_the_address_has_ended_does_not_come_back_when_it_is_redriven(
    notifier: Notifier, chosen: list[str], known: bool
) -> None:
    """Nor what was asked for before and was read by nobody then: who chooses chooses from all there is."""
    another = ANOTHER.model_copy(update={"email": WRONG})
    await notifier.hear(*([FOLLOWS] if known else []), another, at=before())
    [row] = await notifier.query("SELECT subscriber_id FROM subscriber")
    async with notifier.database.transaction() as tx:
        await subscriptions.choose(tx, row.subscriber_id, chosen)
    await notifier.hear(FOLLOWS, at=before())
    assert [interest for interest, _ in await followed(notifier)] == chosen
    await notifier.hear(FOLLOWS, at=clock.now() + timedelta(minutes=1))
    assert len(await followed(notifier)) == len(chosen) + 1


async def test_who_subscribes_by_what_is_redriven_has_the_address_that_was_said_last(
    notifier: Notifier,
) -> None:
    """Also where that subscription has ended since, and nothing else is left of it."""
    await notifier.hear(ANOTHER)
    await notifier.hear(ANOTHER.model_copy(update={"subscribed": False}))
    await notifier.hear(FOLLOWS, at=before())
    assert await followed(notifier) == [("theme:enjeux-ia", NEWEST)]


async def test_an_ended_subscription_that_is_redriven_still_says_the_newer_address(
    notifier: Notifier,
) -> None:
    await notifier.hear(FOLLOWS, at=before() - timedelta(hours=1))
    await notifier.hear(ANOTHER.model_copy(update={"subscribed": False}))
    await notifier.hear(ANOTHER, at=before())
    assert await followed(notifier) == [("theme:enjeux-ia", NEWEST)]


async def test_what_a_portal_says_after_its_correction_stays_where_enrolment_tells_of_it_later(
    notifier: Notifier,
) -> None:
    """The two topics are in no order."""
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id, email=RIGHT), at=before())
    await notifier.hear(corrected(), at=clock.now() + timedelta(minutes=1))
    await notifier.hear(FOLLOWS.model_copy(update={"email": NEWEST}))
    assert [address for address, _ in await written_to(notifier, "subscriber")] == [NEWEST]


async def test_corrections_end_when_nothing_can_wait_for_them_any_more(notifier: Notifier) -> None:
    await notifier.hear(corrected())
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id), at=clock.now())  # corrects nothing
    async with notifier.database.transaction() as tx:
        assert await end_rows(tx, AGENT_DETAILS, 90, clock.now() + timedelta(days=89)) == 0
        assert await end_rows(tx, AGENT_DETAILS, 90, clock.now() + timedelta(days=91)) == 1
    assert await notifier.query("SELECT 1 FROM agent_detail") == []


async def test_what_was_ended_is_kept_as_long_as_corrections(notifier: Notifier) -> None:
    await notifier.hear(FOLLOWS, IT_ENDS)
    async with notifier.database.transaction() as tx:
        assert await end_rows(tx, ENDED_SUBSCRIPTIONS, 90, clock.now() + timedelta(days=89)) == 0
        assert await end_rows(tx, ENDED_SUBSCRIPTIONS, 90, clock.now() + timedelta(days=91)) == 1


async def test_a_decision_that_is_redriven_beside_a_correction_is_corrected(
    enrolled: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    async def waits() -> bool:
        return bool((await enrolled.query(WAITING))[0].count)

    late = a_decision(AgentEnrolled, agent=AGENT, enrolment_id=uuid4())
    async with enrolled.database.transaction() as tx:
        correction = received(corrected(), issuer="iel")
        await enrolments.process(tx, [correction], clock.now())
        redriven = asyncio.create_task(enrolled.hear(late, at=before()))
        await eventually(waits, "the decision waits for the correction")
    await redriven
    assert {address for address, _ in await written_to(enrolled, "enrolment")} == {RIGHT}


def follows(number: int, **changes: Any) -> SubscriptionChanged:
    return FOLLOWS.model_copy(update={"agent_id": f"A-{number}", **changes})


@pytest.mark.parametrize("topic", [Topic.ENROLMENT_DECISIONS, Topic.PORTAL_AGENTS])
async def test_a_batch_asks_once_for_its_corrections(notifier: Notifier, topic: Topic) -> None:
    events: list[Event] = []
    for number in range(20):
        agent_id = f"A-{number}"
        if topic is Topic.ENROLMENT_DECISIONS:
            events.append(a_decision(AgentEnrolled, agent=an_agent(agent_id=agent_id), enrolment_id=uuid4()))
            events.append(corrected(agent_id=agent_id))
        else:
            events.append(follows(number))
            events.append(AgentCorrected(agent_id=agent_id, email=RIGHT))
    batch = [received(event, issuer="iel") for event in events]
    async with notifier.database.transaction() as tx:
        with statements(tx) as asked:
            if topic is Topic.ENROLMENT_DECISIONS:
                await enrolments.process(tx, batch, clock.now())
            else:
                await subscriptions.process(tx, batch)
    about = [sql.split()[0] for sql, _ in asked if "agent_detail" in sql]
    assert about == ["SELECT", "INSERT"]


async def test_where_nobody_is_subscribed_or_corrected_nothing_is_asked(notifier: Notifier) -> None:
    async with notifier.database.transaction() as tx:
        with statements(tx) as asked:
            await subscriptions.process(tx, [])
    assert asked == []


async def test_of_what_is_said_of_an_agent_the_newest_alone_is_kept(notifier: Notifier) -> None:
    """However often it is said, in one batch or many, and in which order."""
    await notifier.hear(corrected(email="zoe@exempel.fr", family_name="Durant"), corrected(email=NEWEST))
    await notifier.hear(corrected(email=RIGHT, family_name="Durand-Martin"), at=before())
    found = await notifier.query("SELECT name, value FROM agent_detail ORDER BY name")
    assert [tuple(row) for row in found] == [("email", NEWEST), ("family_name", "Durant")]


async def notices(notifier: Notifier) -> list[Any]:
    return await notifier.rows("*", "template = 'address-corrected'")


@pytest.mark.parametrize("by", [*CorrectedBy, None])
async def test_the_former_address_hears_of_the_correction_and_not_of_the_new_address(
    enrolled: Notifier, by: CorrectedBy | None
) -> None:
    await enrolled.deliver()
    await enrolled.hear(corrected(corrected_by=by, family_name="Martin"))
    await enrolled.deliver()
    [notice] = await notices(enrolled)
    assert (notice.address, notice.family_name, notice.state) == (WRONG, AGENT.family_name, "sent")
    assert (notice.recipient, notice.enrolment_id, notice.details["by"]) == (AGENT.agent_id, None, by)
    [taken] = [taken for taken in enrolled.relay.taken if _is_notice(taken)]
    assert taken.recipient == WRONG
    assert RIGHT not in taken.content.decode()
    assert reference_of(ENROLMENT_ID) in body(parsed(taken.content), "text/plain")


async def test_each_former_address_hears_of_it_once(notifier: Notifier) -> None:
    for address in ("a@exemple.fr", "A@exemple.fr", "b@exemple.fr", RIGHT):
        agent = an_agent(email=address)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), session_id=uuid4(), agent=agent))
    await notifier.hear(corrected())
    await notifier.hear(corrected())
    assert sorted(row.address.lower() for row in await notices(notifier)) == ["a@exemple.fr", "b@exemple.fr"]


async def test_no_notice_goes_to_an_address_from_which_mails_come_back(enrolled: Notifier) -> None:
    async with enrolled.database.transaction() as tx:
        await bounces.suppress_bad(tx, {WRONG: uuid4()})
    await enrolled.hear(corrected())
    assert await notices(enrolled) == []


@pytest.mark.parametrize("change", [{"email": None, "family_name": "Martin"}, {"email": WRONG.upper()}])
async def test_where_the_address_stays_nobody_is_notified(
    enrolled: Notifier, change: dict[str, str | None]
) -> None:
    await enrolled.hear(corrected(**change))
    assert await notices(enrolled) == []


async def test_a_correction_that_is_read_after_a_newer_one_notifies_nobody(enrolled: Notifier) -> None:
    await enrolled.hear(corrected())
    await enrolled.hear(corrected(email="autre@exemple.fr"), at=clock.now() - timedelta(minutes=1))
    assert [row.address for row in await notices(enrolled)] == [WRONG]
