"""Organisers hear what their sessions need of them, those of their staff whom the settings name."""

from collections.abc import Mapping, Sequence

from services.notifier.letters import Letter, Template
from services.notifier.store import queue
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import MinimumMissed


async def write(
    tx: Transaction, received: Sequence[Received[MinimumMissed]], organisers: Mapping[str, Sequence[str]]
) -> None:
    """Write to each of the organisers of a session that too few take part.

    ``organisers``: addresses, by organiser. These are no agents: their recipient is named after it.
    """
    for notice in received:
        missed = notice.event
        letter = Letter(
            Template.MINIMUM_MISSED,
            missed.model_dump(include={"minimum", "enrolled", "offered", "candidates"}),
        )
        for number, address in enumerate(organisers.get(missed.organiser, ()), start=1):
            await queue.add_letter(
                tx,
                notice.id,
                letter,
                Addressee(f"organisation-{missed.organiser}-{number}", address, "", ""),
                called_for_at=notice.received_at,
                session_id=missed.session_id,
            )
