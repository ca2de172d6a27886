from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid5

from services.notifier.letters import Letter, LetterType
from services.notifier.store import agent_log_ins, bounces, corrections, people, queue
from services.notifier.store.events import OUTBOX
from services.notifier.store.queue import Addressee
from shared import read_log
from shared.database import Transaction
from shared.events.corrections import Corrections
from shared.events.enrolment import AgentDetailsCorrected, CorrectedBy
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import AgentKey
from shared.rates import Rate
from shared.read_log import Reading, ReadKind

CORRECTIONS = Rate(100, 3600)

CorrectionEvent = TypeVar("CorrectionEvent", AgentDetailsCorrected, AgentCorrected)


async def request(
    tx: Transaction, agent: AgentKey, address: str, reading: Reading, *, seen: str
) -> UUID | None:
    """Ask all services to correct an agent's address. Returns the id of the request.

    Returns None if the address is not the one ``seen``, or if some service would not know the agent.
    """
    (person,) = await people.known(tx, [agent])
    if not person.is_correctable or person.address != seen:
        return None
    corrected = AgentCorrected(issuer=agent.issuer, agent_id=agent.agent_id, email=address)
    [request_id] = await OUTBOX.publish(tx, [corrected])
    await read_log.record(tx, reading, ReadKind.CORRECTION, agents=[agent], about=[request_id])
    return request_id


async def is_everywhere(tx: Transaction, agent: AgentKey, address: str) -> bool:
    (person,) = await people.known(tx, [agent])
    return person.address == address and await people.addresses(tx, agent) <= {address}


async def apply(tx: Transaction, event_id: UUID, corrected: AgentDetailsCorrected, moment: datetime) -> None:
    """Notify the former addresses and the addresses that may confirm the correction. End their log-ins.

    ``moment`` is when the correction was received. The new address is no longer suppressed.
    """
    former = await corrections.former_addressees(tx, corrected, moment)
    readers = [(addressee.address, addressee) for addressee in former]
    if former:  # an address from before an earlier correction is in no enrolment any more
        earlier = set(corrected.may_confirm) - {address.lower() for address, _ in readers}
        readers += [(address, former[0]) for address in sorted(earlier)]
    await corrections.apply(tx, corrected, moment)
    await agent_log_ins.forget(tx, [addressee.address for addressee in former])
    if corrected.email is not None:
        await bounces.lift(tx, corrected.email)
    for number, (address, addressee) in enumerate(readers):
        if corrected.corrected_by is CorrectedBy.AGENT:  # whose link came to the address
            await bounces.lift(tx, address)
        # Mails to a suppressed address come back unread.
        if await bounces.suppressed_since(tx, address) is None:
            details: dict[str, str | None] = {
                "reference": str(addressee.enrolment_id),
                "by": corrected.corrected_by,
                "cause_id": str(event_id),
            }
            if address.lower() in corrected.may_confirm:
                details["new_address"] = corrected.email
            if corrected.held_until is not None:
                details["until"] = corrected.held_until.isoformat()
            await queue.add_letter(
                tx,
                uuid5(event_id, str(number)),
                Letter(LetterType.ADDRESS_CORRECTED, details, needs_session=False),
                Addressee(
                    corrected.agent_id,
                    address,
                    addressee.given_name,
                    addressee.family_name,
                    issuer=corrected.issuer,
                ),
                called_for_at=moment,
            )


def still_right(
    corrected: CorrectionEvent, agent: AgentKey, moment: datetime, newer: Corrections
) -> CorrectionEvent:
    return corrected.model_copy(update=dict.fromkeys(newer.since(agent, moment)))
