from collections.abc import Sequence
from uuid import UUID

from services.notifier.letters import Letter, to_trainer, trainer_letter
from services.notifier.store import queue, trainers
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.catalogue import SessionState, SessionTrainersChanged
from shared.events.cloudevents import Received


async def process(tx: Transaction, received: Sequence[Received[SessionTrainersChanged]]) -> None:
    by_version = sorted(received, key=lambda named: named.event.session_version)
    newest = {named.event.session_id: named for named in by_version}
    known = await trainers.names(
        tx, [trainer.trainer_id for named in newest.values() for trainer in named.event.trainers]
    )
    await trainers.save(tx, [named.event for named in newest.values()])
    for named in newest.values():
        for trainer in named.event.trainers:
            if trainer.email is not None and trainer.trainer_id not in known:
                letter = trainer_letter(trainer.trainer_id, named.event.session_version, named.id)
                await queue.add_letter(
                    tx,
                    trainer.trainer_id,
                    letter,
                    _addressee(trainer.trainer_id, trainer.email, trainer.name),
                    called_for_at=named.received_at,
                    session_id=named.event.session_id,
                )


async def notify(tx: Transaction, changed: Received[SessionState], letter: Letter) -> None:
    for row in await trainers.written_to(tx, changed.event.trainer_ids):
        await queue.add_letter(
            tx,
            changed.id,
            to_trainer(letter, row.trainer_id),
            _addressee(row.trainer_id, row.address or "", row.name),
            called_for_at=changed.received_at,
            session_id=changed.event.session_id,
        )


def _addressee(trainer_id: UUID, address: str, name: str) -> Addressee:
    return Addressee(f"formateur-{trainer_id}", address, "", name)
