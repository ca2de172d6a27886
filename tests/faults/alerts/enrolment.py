"""Causes of what is wrong with what is due in sessions, with erasures, and with what portals send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared import clock
from shared.events.portal import AgentErasureRequested, WithdrawalRequested
from shared.events.topics import Topic
from tests.faults.alerts.installed import AlertCause, Installed
from tests.support.builders import as_json, headers

LONG_OVER = "UPDATE enrolment SET hold_until = now() - interval '6 minutes' WHERE state = 'offered'"
NOBODY = "NOT EXISTS (SELECT 1 FROM enrolment WHERE state = 'offered')"


async def _offer_a_seat(installed: Installed, name: str) -> None:
    """Have the next in line offered the only seat of a new session."""
    users = installed.users
    await users.publish_session(name, 1)
    [first] = await users.ask_for_seats(name, 1)
    await users.ask_for_seats(name, 1)
    await users.withdraw(name, first)
    await installed.until_sql("enrolment", "EXISTS (SELECT 1 FROM enrolment WHERE state = 'offered')")


@asynccontextmanager
async def _a_session_is_locked(installed: Installed) -> AsyncIterator[None]:
    await _offer_a_seat(installed, "locked")
    session = installed.users.sessions["locked"]
    lock = f"SELECT 1 FROM session WHERE session_id = '{session}' FOR UPDATE"
    async with installed.open_transaction("enrolment", lock):
        installed.sql("enrolment", LONG_OVER)
        yield
    await installed.until_sql("enrolment", NOBODY)


@asynccontextmanager
async def _an_offer_cannot_lapse(installed: Installed) -> AsyncIterator[None]:
    await _offer_a_seat(installed, "failing")
    installed.sql(
        "enrolment", "ALTER TABLE enrolment ADD CONSTRAINT fault CHECK (state <> 'lapsed') NOT VALID"
    )
    installed.sql("enrolment", LONG_OVER)
    yield
    installed.sql("enrolment", "ALTER TABLE enrolment DROP CONSTRAINT fault")
    await installed.until_sql("enrolment", NOBODY)


@asynccontextmanager
async def _an_agent_cannot_be_forgotten(installed: Installed) -> AsyncIterator[None]:
    installed.sql(
        "notifier",
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fault'; END $$;"
        "CREATE TRIGGER fault BEFORE DELETE ON mail FOR EACH ROW EXECUTE FUNCTION fault()",
    )
    agent_id = installed.users.agents["large"][0].agent_id
    document = {"agent_id": agent_id, "requested_at": clock.now().isoformat()}
    record = (agent_id, headers(AgentErasureRequested.TYPE), as_json(document))
    await installed.users.portal.send(Topic.PORTAL_AGENTS, [record])
    yield
    installed.sql("notifier", "DROP TRIGGER fault ON mail; DROP FUNCTION fault()")
    await installed.until_sql("notifier", f"NOT EXISTS (SELECT 1 FROM mail WHERE recipient = '{agent_id}')")


@asynccontextmanager
async def _a_portal_sends_what_nobody_knows(installed: Installed) -> AsyncIterator[None]:
    session = installed.users.sessions["large"]
    records = [(session, headers("fr.cnfpt.portal.SeatReserved.v1"), b"{}") for _ in range(40)]
    await installed.users.portal.send(Topic.PORTAL_ENROLMENTS, records)
    yield


@asynccontextmanager
async def _somebody_speaks_for_a_portal(installed: Installed) -> AsyncIterator[None]:
    session = installed.users.sessions["large"]
    made = headers(WithdrawalRequested.TYPE, source="/portals/exemple")
    document = as_json({"session_id": session, "agent_id": "somebody"})
    await installed.users.portal.send(Topic.PORTAL_ENROLMENTS, [(session, made, document)])
    yield


CAUSES = [
    AlertCause(("ParcoursOffersNotLapsing",), _a_session_is_locked),
    AlertCause(("ParcoursExpiryFails",), _an_offer_cannot_lapse),
    AlertCause(("ParcoursErasureFails",), _an_agent_cannot_be_forgotten),
    AlertCause(("ParcoursPortalRejected",), _a_portal_sends_what_nobody_knows),
    AlertCause(("ParcoursSignaturesRefused",), _somebody_speaks_for_a_portal),
]
