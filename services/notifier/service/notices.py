"""Organisers hear what their sessions need of them, those of their staff whom the settings name."""

from collections.abc import Mapping, Sequence

from services.notifier.letters import Letter, Template
from services.notifier.store import queue
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import MinimumMissed, SelectionDue

_ABOUT_THE_SESSION = {"session_id", "organiser"}


async def write(
    tx: Transaction,
    received: Sequence[Received[MinimumMissed | SelectionDue]],
    organisers: Mapping[str, Sequence[str]],
) -> None:
    """Write to each of the organisers of a session what is theirs to decide.

    ``organisers``: addresses, by organiser. These are no agents: their recipient is named after it.
    """
    for notice in received:
        event = notice.event
        template = Template.MINIMUM_MISSED if isinstance(event, MinimumMissed) else Template.SELECTION_DUE
        letter = Letter(template, event.model_dump(exclude=_ABOUT_THE_SESSION))
        for number, address in enumerate(organisers.get(event.organiser, ()), start=1):
            await queue.add_letter(
                tx,
                notice.id,
                letter,
                Addressee(f"organisation-{event.organiser}-{number}", address, "", ""),
                called_for_at=notice.received_at,
                session_id=event.session_id,
            )
