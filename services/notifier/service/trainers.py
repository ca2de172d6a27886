"""Who speaks or teaches in a session: letters about it name them, and they have one of their own."""

from collections.abc import Sequence

from services.notifier.letters import trainer_letter
from services.notifier.store import queue, trainers
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.catalogue import SessionTrainersChanged
from shared.events.cloudevents import Received


async def take_over(tx: Transaction, received: Sequence[Received[SessionTrainersChanged]]) -> None:
    """Keep the newest list of each session; write to who is named for the first time and has an address."""
    by_version = sorted(received, key=lambda named: named.event.session_version)
    newest = {named.event.session_id: named for named in by_version}
    known = await trainers.names(
        tx, [trainer.trainer_id for named in newest.values() for trainer in named.event.trainers]
    )
    await trainers.save(tx, [named.event for named in newest.values()])
    for named in newest.values():
        for trainer in named.event.trainers:
            if trainer.email is not None and trainer.trainer_id not in known:
                await queue.add_letter(
                    tx,
                    trainer.trainer_id,
                    trainer_letter(trainer.trainer_id, named.event.session_version, named.id),
                    Addressee(f"formateur-{trainer.trainer_id}", trainer.email, "", trainer.name),
                    called_for_at=named.received_at,
                    session_id=named.event.session_id,
                )
