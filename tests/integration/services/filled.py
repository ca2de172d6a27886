"""Something in each service, for tests that ask it anything."""

from collections.abc import Awaitable, Callable

from services.catalogue.rules.offers import loaded_resource_id, loaded_session_id
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import SeatRequest
from services.enrolment.service import requests, sessions
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled
from tests.integration.catalogue.conftest import AS_OF
from tests.integration.notifier.conftest import Notifier
from tests.support.builders import an_agent, open_now
from tests.support.catalogue import load
from tests.support.smtp import ScriptedRelay
from tests.unit.notifier.builders import a_decision, a_session

Known = dict[str, str]
"""What there is, by the name of its parameter in paths."""


async def the_national_offer(database: Database) -> Known:
    await load(database, as_of=AS_OF)
    return {
        "offer_id": "ia-et-territoires",
        "session_id": str(loaded_session_id("ia-et-territoires", "rennes")),
        "resource_id": str(loaded_resource_id("dossier-usage-responsable")),
    }


async def a_candidate(database: Database) -> Known:
    session = open_now(approval="selection", organiser="bretagne")
    seat = SeatRequest(session.session_id, clock.now(), session.session_id, an_agent(), approved=True)
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, Policy(), clock.now())
        await requests.process(tx, [seat], Policy(), clock.now())
    return {"session_id": str(session.session_id)}


async def a_mail_that_waits(database: Database) -> Known:
    notifier = Notifier(database, ScriptedRelay())
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    return {"mail_id": str((await notifier.row()).mail_id)}


FILL: dict[str, Callable[[Database], Awaitable[Known]]] = {
    "catalogue": the_national_offer,
    "enrolment": a_candidate,
    "notifier": a_mail_that_waits,
}
