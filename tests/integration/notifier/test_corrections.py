"""What letters say of an agent is corrected, in the order in which enrolment tells it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifier import jobs
from services.notifier.delivery.deliverer import CLAIM_LEASE
from services.notifier.letters import LetterType, Priority
from services.notifier.personal_data import AGENT_DETAILS, ENDED_SUBSCRIPTIONS
from services.notifier.service import enrolments, mails, subscriptions
from services.notifier.store import claims
from services.notifier.store.context import contexts
from shared import clock
from shared.events.enrolment import AgentEnrolled, CorrectedBy, EnrolmentWithdrawn
from shared.events.portal import AgentCorrected, SubscriptionChanged
from shared.events.topics import Topic
from shared.events.vocabulary import Event
from shared.personal_data import end_rows
from shared.references import reference_of
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import corrected
from tests.integration.notifier.subscribing import a_replay
from tests.support.consuming import received
from tests.support.locks import locks_awaited
from tests.support.smtp import Taken
from tests.support.statements import statements
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, an_agent
from tests.unit.notifier.reading import body, parsed

WRONG, RIGHT, NEWEST = "faute@exemple.fr", "zoe@exemple.fr", "nouvelle@exemple.fr"
AGENT = an_agent(email=WRONG)
OWNER = uuid4()
NO_NOTICE = f"template <> '{LetterType.ADDRESS_CORRECTED}'"


def sent_to(notifier: Notifier) -> list[str]:
    """The recipients of the mails that the relay has had, in order, without notices of corrections."""
    return [taken.recipient for taken in notifier.relay.taken if not _is_notice(taken)]


def _is_notice(taken: Taken) -> bool:
    return "adresse électronique a été corrigée" in parsed(taken.content)["Subject"]


def before() -> datetime:
    """When what is redriven was received."""
    return clock.now() - timedelta(hours=1)


async def written_to(notifier: Notifier) -> list[tuple[str, str]]:
    """The addresses and family names of the enrolments."""
    return await notifier.query("SELECT address, family_name FROM enrolment ORDER BY address")


async def resend(notifier: Notifier) -> None:
    [first] = await notifier.rows(where=NO_NOTICE)
    async with notifier.database.transaction() as tx:
        assert await mails.resend(tx, first.mail_id, actor="op")


@pytest.fixture
async def enrolled(known: Notifier) -> Notifier:
    """One letter in the queue, to the wrong address."""
    await known.hear(a_decision(AgentEnrolled, agent=AGENT))
    return known


async def test_a_letter_that_has_not_left_leaves_with_the_new_address_and_name(enrolled: Notifier) -> None:
    await enrolled.hear(corrected(RIGHT, family_name="Durand-Martin"))
    await enrolled.deliver()
    assert sent_to(enrolled) == [RIGHT]
    [mail] = await enrolled.rows(where=NO_NOTICE)
    assert (mail.address, mail.given_name, mail.family_name) == (RIGHT, AGENT.given_name, "Durand-Martin")
    assert await written_to(enrolled) == [(RIGHT, "Durand-Martin")]


@pytest.mark.parametrize(
    ("then", "address"),
    [([], RIGHT), ([a_decision(EnrolmentWithdrawn, agent=an_agent(email=NEWEST), version=2)], NEWEST)],
    ids=["the correction is the last", "a decision is the last"],
)
async def test_decisions_and_corrections_of_one_batch_are_taken_in_their_order(
    notifier: Notifier, then: Sequence[Event], address: str
) -> None:
    await notifier.hear(a_decision(AgentEnrolled, agent=AGENT), corrected(RIGHT), *then)
    assert [kept for kept, _ in await written_to(notifier)] == [address]


async def test_what_has_left_and_another_issuers_agent_stay_as_they_were(enrolled: Notifier) -> None:
    await enrolled.deliver()
    other = an_agent(email=WRONG, issuer="ouest")
    await enrolled.hear(a_decision(AgentEnrolled, agent=other, enrolment_id=uuid4()))
    await enrolled.hear(corrected(RIGHT))
    states = [(mail.state, mail.address) for mail in await enrolled.rows(where=NO_NOTICE)]
    assert states == [("sent", WRONG), ("pending", WRONG)]


async def test_an_address_that_mails_came_back_from_is_tried_again(notifier: Notifier) -> None:
    await notifier.suppress(RIGHT)
    await notifier.hear(corrected(RIGHT))
    assert await notifier.query("SELECT 1 FROM suppression") == []


async def test_a_letter_that_was_claimed_before_does_not_begin_and_comes_again_with_the_new_address(
    enrolled: Notifier,
) -> None:
    async with enrolled.database.transaction() as tx:
        [mail], _ = await claims.claim(
            tx, OWNER, list(Priority), most=10, lease=CLAIM_LEASE, message_domain="x.fr", now=clock.now()
        )
    await enrolled.hear(corrected(RIGHT))
    async with enrolled.database.transaction() as tx:
        assert await claims.mark_data_started(tx, OWNER, [mail], lease=CLAIM_LEASE) == set()
        assert await claims.expire_leases(tx, OWNER) == (1, 0)
    await enrolled.deliver()
    assert sent_to(enrolled) == [RIGHT]
    assert [mail.attempts for mail in await enrolled.rows(where=NO_NOTICE)] == [1]


async def test_news_go_to_the_address_of_now_also_when_they_are_sent_again(notifier: Notifier) -> None:
    await notifier.hear(FOLLOWS)
    await notifier.hear(a_replay())
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id, email=RIGHT))
    await notifier.deliver()
    await notifier.hear(AgentCorrected(agent_id=AGENT.agent_id, email=NEWEST))
    await resend(notifier)
    await notifier.deliver()
    assert sent_to(notifier) == [RIGHT, NEWEST]


async def test_what_is_sent_again_is_not_sent_to_an_address_that_the_agent_has_no_more(
    enrolled: Notifier,
) -> None:
    """The enrolment has ended before its letters, and with it how to write to the agent."""
    await enrolled.deliver()
    await enrolled.hear(corrected(RIGHT))
    await enrolled.change("DELETE FROM enrolment")
    await resend(enrolled)
    await enrolled.deliver()
    assert sent_to(enrolled) == [WRONG]
    assert [mail.state for mail in await enrolled.rows(where=NO_NOTICE)] == ["sent", "superseded"]


async def test_an_address_that_only_a_subscription_had_before_is_the_agents_still(
    enrolled: Notifier,
) -> None:
    await enrolled.hear(FOLLOWS, FOLLOWS.model_copy(update={"email": RIGHT}))
    await enrolled.change("UPDATE mail SET enrolment_id = gen_random_uuid()")  # refused beside the seat
    await enrolled.deliver()
    assert sent_to(enrolled) == [WRONG]


async def test_a_decision_that_is_redriven_is_read_with_the_corrections_that_came_after_it(
    enrolled: Notifier,
) -> None:
    await enrolled.deliver()
    await enrolled.hear(corrected("zoe@exempel.fr", family_name="Durand-Martin"))
    await enrolled.hear(corrected(RIGHT))
    namesake = an_agent(email="autre@exemple.fr", issuer="ouest")
    of_both = [a_decision(AgentEnrolled, agent=agent, enrolment_id=uuid4()) for agent in (AGENT, namesake)]
    await enrolled.hear(*of_both, at=before())
    expected = [(namesake.email, namesake.family_name), (RIGHT, "Durand-Martin")]
    queued = await enrolled.rows(where=f"state = 'pending' AND {NO_NOTICE}")
    assert sorted((mail.address, mail.family_name) for mail in queued) == expected
    assert await written_to(enrolled) == [*expected, (RIGHT, "Durand-Martin")]


async def test_a_decision_that_came_after_a_correction_is_the_newest_word(enrolled: Notifier) -> None:
    await enrolled.hear(corrected(RIGHT), at=before())
    await enrolled.hear(a_decision(AgentEnrolled, agent=an_agent(email=NEWEST), version=2))
    assert [address for address, _ in await written_to(enrolled)] == [NEWEST]


async def test_a_correction_changes_nothing_that_a_newer_one_changed(enrolled: Notifier) -> None:
    await enrolled.change("UPDATE enrolment SET since = since - interval '1 day'")
    await enrolled.hear(corrected(RIGHT))
    await enrolled.suppress("zoe@exempel.fr")
    await enrolled.hear(corrected("zoe@exempel.fr", family_name="Durand-Martin"), at=before())
    assert await written_to(enrolled) == [(RIGHT, "Durand-Martin")]
    assert await enrolled.query("SELECT 1 FROM suppression") != []


async def test_a_correction_that_is_redriven_changes_nothing_that_a_newer_decision_says(
    enrolled: Notifier,
) -> None:
    """Decisions say what is right when enrolment publishes them."""
    await enrolled.change("UPDATE enrolment SET since = since - interval '1 day'")
    await enrolled.hear(a_decision(AgentEnrolled, agent=an_agent(email=NEWEST), enrolment_id=uuid4()))
    await enrolled.hear(corrected(RIGHT), at=before())
    assert [address for address, _ in await written_to(enrolled)] == [NEWEST, RIGHT]
    assert await enrolled.query("SELECT address FROM former_address") == [(WRONG,)]


async def test_a_decision_that_is_redriven_beside_a_correction_is_corrected(enrolled: Notifier) -> None:
    late = a_decision(AgentEnrolled, agent=AGENT, enrolment_id=uuid4())
    async with enrolled.database.transaction() as tx:
        await enrolments.process(tx, [received(corrected(RIGHT), issuer="iel")], clock.now())
        redriven = asyncio.create_task(enrolled.hear(late, at=before()))
        await locks_awaited(enrolled.database)  # the decision waits for the correction
    await redriven
    assert {address for address, _ in await written_to(enrolled)} == {RIGHT}


async def test_a_letter_whose_address_is_corrected_just_after_its_claim_goes_to_the_new_address(
    enrolled: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transaction commits the correction between the two statements of the claim."""

    async def after_the_correction(*arguments: Any) -> Any:
        monkeypatch.setattr(claims, "contexts", contexts)
        await enrolled.hear(corrected(RIGHT))
        return await contexts(*arguments)

    monkeypatch.setattr(claims, "contexts", after_the_correction)
    await enrolled.deliver()
    await enrolled.change("UPDATE mail SET lease_until = now() WHERE lease_until IS NOT NULL")
    await jobs.expire_leases(enrolled.database)
    await enrolled.deliver()
    assert sent_to(enrolled) == [RIGHT]


# ------------------------------------------------------------------------------------- what portals say

FOLLOWS = SubscriptionChanged(
    agent_id=AGENT.agent_id, email=WRONG, given_name="Zoé", theme="enjeux-ia", subscribed=True
)
EVERYTHING_ENDS = SubscriptionChanged(agent_id=AGENT.agent_id, email=WRONG, subscribed=False)
IT_ENDS = FOLLOWS.model_copy(update={"subscribed": False})
ANOTHER = FOLLOWS.model_copy(update={"theme": "acculturation", "email": NEWEST})
ANOTHER_ENDS = ANOTHER.model_copy(update={"subscribed": False})
FOLLOWS_AT_NEWEST = FOLLOWS.model_copy(update={"email": NEWEST})

Said = Sequence[tuple[Event, float]]
"""What is heard in this order, each with the hours before now at which the broker received it."""


def moved(email: str, **names: str) -> AgentCorrected:
    return AgentCorrected(agent_id=AGENT.agent_id, email=email, **names)


async def hear(notifier: Notifier, said: Said) -> None:
    for event, hours in said:
        await notifier.hear(event, at=clock.now() - timedelta(hours=hours))


@pytest.mark.parametrize(
    ("said", "known_as"),
    [
        pytest.param([(moved(RIGHT), 0)], None, id="who follows nothing is no subscriber"),
        pytest.param([(FOLLOWS, 0), (moved(RIGHT), 0)], (RIGHT, "Zoé", ""), id="corrected"),
        pytest.param(
            [(moved(RIGHT, family_name="Durand-Martin"), 0), (FOLLOWS, 1)],
            (RIGHT, "Zoé", "Durand-Martin"),
            id="a redriven subscription is read with the corrections after it",
        ),
        pytest.param(
            [(FOLLOWS, 2), (moved(RIGHT, family_name="Durand-Martin"), 1), (FOLLOWS_AT_NEWEST, 0)],
            (NEWEST, "Zoé", "Durand-Martin"),
            id="a newer subscription is the newest word",
        ),
        pytest.param(
            [(FOLLOWS, 24), (moved(RIGHT), 0), (moved("zoe@exempel.fr", family_name="Martin"), 1)],
            (RIGHT, "Zoé", "Martin"),
            id="a newer correction is the newest word",
        ),
        pytest.param(
            [(FOLLOWS_AT_NEWEST, 0), (moved(RIGHT, given_name="Zoey", family_name="Martin"), 1)],
            (NEWEST, "Zoé", "Martin"),
            id="an older correction changes only what a newer subscription does not say",
        ),
        pytest.param(
            [(moved(RIGHT), 1), (corrected(RIGHT), -0.1), (FOLLOWS_AT_NEWEST, 0)],
            (NEWEST, "Zoé", ""),
            id="what enrolment tells is in no order with what portals say",
        ),
    ],
)
async def test_a_subscriber_is_known_by_what_the_portal_said_last(
    notifier: Notifier, said: Said, known_as: tuple[str, str, str] | None
) -> None:
    await hear(notifier, said)
    await notifier.hear(moved("ailleurs@exemple.fr"), issuer="ouest")
    rows = await notifier.query("SELECT address, given_name, family_name FROM subscriber")
    assert rows == ([] if known_as is None else [known_as])


async def followed(notifier: Notifier) -> list[tuple[str, str]]:
    """What is followed, and with which address."""
    return await notifier.query(
        "SELECT interest, address FROM subscription JOIN subscriber USING (subscriber_id) ORDER BY interest"
    )


@pytest.mark.parametrize(
    ("said", "left"),
    [
        pytest.param([(FOLLOWS, 1), (IT_ENDS, 0), (FOLLOWS, 1)], [], id="ended since"),
        pytest.param([(FOLLOWS, 1), (EVERYTHING_ENDS, 0), (FOLLOWS, 1)], [], id="all ended since"),
        pytest.param([(IT_ENDS, 0), (FOLLOWS, 1)], [], id="ended before it was known"),
        pytest.param([(EVERYTHING_ENDS, 0), (FOLLOWS, 1)], [], id="all ended before it was known"),
        pytest.param([(IT_ENDS, 1), (FOLLOWS, 0)], [("enjeux-ia", WRONG)], id="asked for again"),
        pytest.param([(FOLLOWS, 0), (IT_ENDS, 1)], [("enjeux-ia", WRONG)], id="the end is redriven"),
        pytest.param([(FOLLOWS, 0), (EVERYTHING_ENDS, 1)], [("enjeux-ia", WRONG)], id="the whole end is"),
        pytest.param(
            [(ANOTHER, 0), (FOLLOWS, 1)],
            [("acculturation", NEWEST), ("enjeux-ia", NEWEST)],
            id="to something else, and changes no address",
        ),
        pytest.param(
            [(ANOTHER, 0), (ANOTHER_ENDS, 0), (FOLLOWS, 1)],
            [("enjeux-ia", NEWEST)],
            id="the address that was said last stays, though all of it has ended",
        ),
        pytest.param(
            [(FOLLOWS, 2), (ANOTHER_ENDS, 0), (ANOTHER, 1)],
            [("enjeux-ia", NEWEST)],
            id="an ended one still says the newer address",
        ),
    ],
)
async def test_a_subscription_that_is_redriven_undoes_no_newer_wish(
    notifier: Notifier, said: Said, left: Sequence[tuple[str, str]]
) -> None:
    await hear(notifier, said)
    assert await followed(notifier) == [(f"theme:{theme}", address) for theme, address in left]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("chosen", [["theme:acculturation"], []])
async def test_what_the_owner_of_the_address_has_ended_does_not_come_back_when_it_is_redriven(
    notifier: Notifier, chosen: list[str], known: bool
) -> None:
    """Nor a subscription that was not known then: an owner chooses from all there is."""
    another = ANOTHER.model_copy(update={"email": WRONG})
    await notifier.hear(*([FOLLOWS] if known else []), another, at=before())
    [row] = await notifier.query("SELECT subscriber_id FROM subscriber")
    async with notifier.database.transaction() as tx:
        await subscriptions.choose(tx, row.subscriber_id, chosen)
    await notifier.hear(FOLLOWS, at=before())
    assert [interest for interest, _ in await followed(notifier)] == chosen
    await notifier.hear(FOLLOWS, at=clock.now() + timedelta(minutes=1))
    assert len(await followed(notifier)) == len(chosen) + 1


@pytest.mark.parametrize(
    ("said", "retention"), [(corrected(RIGHT), AGENT_DETAILS), (IT_ENDS, ENDED_SUBSCRIPTIONS)]
)
async def test_what_was_corrected_and_what_was_ended_is_kept_for_ninety_days(
    notifier: Notifier, said: Event, retention: Any
) -> None:
    await notifier.hear(said)
    async with notifier.database.transaction() as tx:
        assert await end_rows(tx, retention, 90, clock.now() + timedelta(days=89)) == 0
        assert await end_rows(tx, retention, 90, clock.now() + timedelta(days=91)) == 1


async def test_of_what_is_said_of_an_agent_the_newest_alone_is_kept(notifier: Notifier) -> None:
    """However often it is said, in one batch or many, and in which order."""
    await notifier.hear(corrected("zoe@exempel.fr", family_name="Durant"), corrected(NEWEST))
    await notifier.hear(corrected(RIGHT, family_name="Durand-Martin"), at=before())
    found = await notifier.query("SELECT name, value FROM agent_detail ORDER BY name")
    assert found == [("email", NEWEST), ("family_name", "Durant")]


@pytest.mark.parametrize("topic", [Topic.ENROLMENT_DECISIONS, Topic.PORTAL_AGENTS])
async def test_a_batch_asks_once_for_its_corrections(notifier: Notifier, topic: Topic) -> None:
    events: list[Event] = []
    for agent in (an_agent(agent_id=f"A-{number}") for number in range(20)):
        if topic is Topic.ENROLMENT_DECISIONS:
            events += [a_decision(AgentEnrolled, agent=agent, enrolment_id=uuid4())]
            events += [corrected(RIGHT, agent.key)]
        else:
            events += [FOLLOWS.model_copy(update={"agent_id": agent.agent_id})]
            events += [AgentCorrected(agent_id=agent.agent_id, email=RIGHT)]
    batch: list[Any] = [received(event, issuer="iel") for event in events]
    async with notifier.database.transaction() as tx:
        with statements() as asked:
            if topic is Topic.ENROLMENT_DECISIONS:
                await enrolments.process(tx, batch, clock.now())
            else:
                await subscriptions.process(tx, batch)
    assert [sql.split()[0] for sql, _ in asked if "agent_detail" in sql] == ["SELECT", "INSERT"]


# --------------------------------------------------------------------------------- the former address


async def notices(notifier: Notifier) -> list[str]:
    """The addresses that hear of a correction."""
    return sorted(row.address.lower() for row in await notifier.rows(where="template = 'address-corrected'"))


async def test_the_former_address_hears_of_the_correction_and_not_of_the_new_address(
    enrolled: Notifier,
) -> None:
    await enrolled.deliver()
    held_until = clock.now() + timedelta(hours=20)
    held: dict[str, Any] = {"held_until": held_until, "may_confirm": [WRONG]}
    await enrolled.hear(corrected(RIGHT, corrected_by=CorrectedBy.SUPPORT, family_name="Martin", **held))
    await enrolled.deliver()
    [notice] = await enrolled.rows(where="template = 'address-corrected'")
    assert (notice.address, notice.family_name, notice.state) == (WRONG, AGENT.family_name, "sent")
    assert (notice.recipient, notice.enrolment_id, notice.details["by"]) == (AGENT.agent_id, None, "support")
    assert datetime.fromisoformat(str(notice.details["until"])) == held_until
    [taken] = [taken for taken in enrolled.relay.taken if _is_notice(taken)]
    assert (taken.recipient, RIGHT in taken.content.decode()) == (WRONG, False)
    assert reference_of(ENROLMENT_ID) in body(parsed(taken.content), "text/plain")


async def test_each_former_address_hears_of_it_once(notifier: Notifier) -> None:
    for address in ("a@exemple.fr", "A@exemple.fr", "b@exemple.fr", RIGHT):
        agent = an_agent(email=address)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), session_id=uuid4(), agent=agent))
    await notifier.hear(corrected(RIGHT))
    await notifier.hear(corrected(RIGHT))
    assert await notices(notifier) == ["a@exemple.fr", "b@exemple.fr"]


async def test_only_a_reader_who_may_confirm_a_correction_gets_the_link_to_confirm_it(
    enrolled: Notifier,
) -> None:
    """After a second correction within a day it is the address before both."""
    held: dict[str, Any] = {"held_until": clock.now() + timedelta(days=1), "may_confirm": [WRONG]}
    await enrolled.hear(corrected(RIGHT, **held))
    await enrolled.hear(corrected(NEWEST, **held))
    await enrolled.hear(corrected(WRONG))  # nothing is held, or enrolment is of the version before
    await enrolled.deliver()
    sent = [
        (row.address, row.details.get("new_address"), "until" in row.details)
        for row in await enrolled.rows(where="template = 'address-corrected' AND state = 'sent'")
    ]
    assert sorted(sent, key=str) == [
        (WRONG, NEWEST, True),
        (WRONG, RIGHT, True),
        (NEWEST, None, False),
        (RIGHT, None, True),
    ]


async def test_no_notice_goes_to_an_address_from_which_mails_come_back(enrolled: Notifier) -> None:
    await enrolled.suppress(WRONG)
    await enrolled.hear(corrected(RIGHT))
    assert await notices(enrolled) == []


async def test_a_correction_by_a_link_is_told_to_its_address_whatever_came_back_from_there(
    enrolled: Notifier,
) -> None:
    await enrolled.deliver()
    await enrolled.suppress(WRONG)
    await enrolled.hear(corrected(RIGHT, corrected_by=CorrectedBy.AGENT))
    await enrolled.deliver()
    [notice] = await enrolled.rows(where="template = 'address-corrected'")
    assert (notice.address, notice.state) == (WRONG, "sent")


@pytest.mark.parametrize("email", [None, WRONG.upper()])
async def test_where_the_address_stays_nobody_is_notified(enrolled: Notifier, email: str | None) -> None:
    await enrolled.hear(corrected(email, family_name="Martin"))
    assert await notices(enrolled) == []


async def test_a_correction_that_is_read_after_a_newer_one_notifies_nobody(enrolled: Notifier) -> None:
    await enrolled.hear(corrected(RIGHT))
    await enrolled.hear(corrected("autre@exemple.fr"), at=clock.now() - timedelta(minutes=1))
    assert await notices(enrolled) == [WRONG]
