"""What letters say of an agent is corrected, in the order in which enrolment tells it."""

from typing import Any
from uuid import uuid4

from services.notifier.letters.bounces import digest_of
from services.notifier.tables import MailState
from shared import clock
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, EnrolmentWithdrawn
from shared.events.portal import AgentCorrected, SubscriptionChanged
from tests.integration.notifier.conftest import Notifier
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, a_session, an_agent

WRONG, RIGHT = "faute@exemple.fr", "zoe@exemple.fr"
AGENT = an_agent(email=WRONG)


def corrected(**changes: Any) -> AgentDetailsCorrected:
    values = {"agent_id": AGENT.agent_id, "issuer": "iel", "corrected_at": clock.now(), "email": RIGHT}
    return AgentDetailsCorrected.model_validate(values | changes)


async def test_a_letter_that_has_not_left_has_the_new_address_and_name(
    notifier: Notifier,
) -> None:
    await notifier.hear(a_decision(AgentEnrolled, agent=AGENT))
    await notifier.hear(corrected(family_name="Durand-Martin"))
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
    assert {mail.version: mail.address for mail in await notifier.rows()} == {1: RIGHT, 2: newest.email}
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
