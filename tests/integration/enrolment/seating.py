"""Sessions in which agents have asked for seats."""

from typing import Any

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front
from tests.support.builders import open_now


async def session_with(front: Front, *agents: Agent, **changes: Any) -> SessionState:
    """Publish a session that is open now; these agents ask for seats in this order."""
    session = open_now(**changes)
    await front.publish(session)
    if agents:
        await front.enrol(session, *agents)
    return session
