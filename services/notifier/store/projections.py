"""What is known from the catalogue alone, beside what the catalogue says."""

from sqlalchemy import select

from services.notifier import tables
from services.notifier.letters import letter_about
from shared.database import Transaction
from shared.events.catalogue import ReplayPublished
from shared.events.topics import Topic
from shared.messaging.projections import Compared, Latest


async def compare(tx: Transaction, latest: Latest) -> list[Compared]:
    """Sessions by their last word; replays by the session recorded: of the rest, the first word is told.

    News is no projection: it is what subscribers were told, and when.
    """
    states = [one.event for one in latest[Topic.CATALOGUE_SESSIONS]]
    sessions = {str(state.session_id): state.model_dump(mode="json") for state in states}
    known = await tx.scalars(select(tables.SessionRow))
    replays = {
        str(one.event.resource_id): {"version": 0, "session_id": one.event.session_id}
        for one in latest[Topic.CATALOGUE_RESOURCES]
        if isinstance(one.event, ReplayPublished) and letter_about(one.event) is not None
    }
    told = await tx.scalars(select(tables.ReplayRow))
    return [
        Compared("session", sessions, {str(row.session_id): row.state for row in known}),
        Compared(
            "replay",
            replays,
            {str(row.resource_id): {"version": 0, "session_id": row.session_id} for row in told},
        ),
    ]
