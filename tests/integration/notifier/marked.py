"""A person who leaves a mark in every way that people come into the notifier."""

from uuid import uuid4

from services.notifier.handlers import router
from services.notifier.service import subscriptions
from shared import clock
from shared.events.catalogue import BespokeRequestAnswered, SessionScheduled, SessionTrainersChanged
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled
from shared.events.portal import AgentCorrected, SubscriptionChanged
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_messages import messaged
from tests.support.builders import an_agent
from tests.support.consuming import a_record, received, take
from tests.support.guards import a_guard
from tests.support.searching import MARK
from tests.support.smtp import Reply
from tests.unit.notifier.builders import a_decision, a_session

ADDRESS = f"{MARK}@exemple.fr"


async def live_through_everything(notifier: Notifier) -> None:
    """Leave the mark of people in every way that they come into this service."""
    agent = an_agent(f"{MARK}-1", email=ADDRESS, given_name=MARK, family_name=MARK, issuer="iel")
    subscription = SubscriptionChanged(
        agent_id=agent.agent_id,
        email=ADDRESS,
        given_name=MARK,
        family_name=MARK,
        theme="enjeux-ia",
        subscribed=True,
    )
    officer = {"name": MARK, "email": ADDRESS}
    answered = BespokeRequestAnswered.model_validate(
        {
            "request_id": uuid4(),
            "siret": "21350238800019",
            "answer": "declined",
            "requested_by": officer,
            "advisor": officer,
            "message": MARK,
        }
    )
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    named = [{"trainer_id": uuid4(), "name": MARK, "email": ADDRESS}]
    trainers = {"session_id": a_session().session_id, "session_version": 1, "trainers": named}
    await notifier.hear(SessionTrainersChanged.model_validate(trainers))
    decision = a_decision(AgentEnrolled, agent=agent)
    await notifier.hear(decision)
    message = messaged(text=MARK, enrolment_ids=[decision.enrolment_id])
    await take(router, notifier.database, [received(message)], organisers={})
    await notifier.fan_out()
    await notifier.hear(subscription)
    correction = {"agent_id": agent.agent_id, "issuer": agent.issuer, "family_name": MARK}
    await notifier.hear(AgentCorrected.model_validate(correction))
    corrected = correction | {"corrected_at": clock.now()}
    await notifier.hear(AgentDetailsCorrected.model_validate(corrected))
    await notifier.hear(answered)
    refusal = f"550 5.1.1 <{ADDRESS}>: Recipient address rejected: User unknown"
    notifier.relay.script("RCPT", Reply(refusal))
    await notifier.deliver()
    async with notifier.database.transaction() as tx:
        await subscriptions.request(tx, f"autre.{ADDRESS}", ["theme:enjeux-ia"], ["Enjeux"], a_guard().digest)
        await dead_letters.park(tx, [Parked(a_record(subscription), None, "no reason", MARK)])
