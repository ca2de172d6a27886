from services.notifier.letters import Letter, LetterType
from services.notifier.store import queue
from services.notifier.store.queue import Addressee
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import NewAddressGiven
from shared.web.links import CONFIRM_ADDRESS_FOR


async def write(tx: Transaction, given: Received[NewAddressGiven]) -> None:
    """The new address may be a stranger's, so its letter names nobody.

    Neither letter is about the enrolment. Otherwise both would go to the address that is right when they
    leave.
    """
    event, agent = given.event, given.event.agent
    until = (event.given_at + CONFIRM_ADDRESS_FOR).isoformat()
    new = Addressee(f"adresse-{event.request_id}", event.new_address, "", "")
    confirm = {"request": str(event.request_id), "until": until}
    present = Addressee(agent.agent_id, agent.email, agent.given_name, agent.family_name, issuer=agent.issuer)
    notice = {"reference": str(event.enrolment_id), "until": until}
    for template, details, to in (
        (LetterType.CONFIRM_ADDRESS, confirm, new),
        (LetterType.ADDRESS_GIVEN, notice, present),
    ):
        letter = Letter(template, details, needs_session=False)
        await queue.add_letter(tx, given.id, letter, to, called_for_at=given.received_at)
