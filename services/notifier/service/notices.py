from collections.abc import Mapping, Sequence
from uuid import UUID

from services.notifier import letters
from services.notifier.letters import EnrolmentState, KnownEnrolment, Letter, LetterContext, LetterType, Mail
from services.notifier.store import fan_outs, queue, sessions
from services.notifier.store.queue import Addressee
from shared import clock
from shared.auth import Principal
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.enrolment import (
    MinimumMissed,
    NominationAnswered,
    OrganiserNotice,
    ParticipantsMessaged,
    SelectionDue,
    WebhookDisabled,
)

NoticeEvent = MinimumMissed | SelectionDue | ParticipantsMessaged | NominationAnswered | WebhookDisabled

_LETTER_OF: Mapping[type[OrganiserNotice], LetterType] = {
    MinimumMissed: LetterType.MINIMUM_MISSED,
    SelectionDue: LetterType.SELECTION_DUE,
}
_ABOUT_THE_SESSION = {"session_id", "organiser"}


async def process(
    tx: Transaction, received: Sequence[Received[NoticeEvent]], organisers: Mapping[str, Sequence[str]]
) -> None:
    """Letters to organisers are named after the organiser, who is no agent.

    ``organisers`` are addresses by organiser.
    """
    messages = []
    for notice in received:
        if isinstance(notice.event, ParticipantsMessaged):
            messages.append(letters.message_fan_out(notice.id, notice.event, notice.received_at))
        elif isinstance(notice.event, NominationAnswered):
            officer = notice.event.nominated_by
            await queue.add_letter(
                tx,
                notice.id,
                letters.nomination_letter(notice.event),
                Addressee(f"designation-{notice.event.request_id}", officer.email, "", officer.name),
                called_for_at=notice.received_at,
                session_id=notice.event.session_id,
            )
        elif isinstance(notice.event, WebhookDisabled):
            await queue.add_letter(
                tx,
                notice.id,
                letters.webhook_letter(notice.event),
                Addressee(f"portail-{notice.event.portal}", notice.event.contact, "", ""),
                called_for_at=notice.received_at,
            )
        else:
            await _write_to_organisers(tx, notice, notice.event, organisers)
    if messages:
        await sessions.lock(tx, {message.subject_id for message in messages}, exclusive=True)
        await fan_outs.store(tx, messages)


async def _write_to_organisers(
    tx: Transaction,
    notice: Received[NoticeEvent],
    event: OrganiserNotice,
    organisers: Mapping[str, Sequence[str]],
) -> None:
    letter = Letter(_LETTER_OF[type(event)], event.model_dump(exclude=_ABOUT_THE_SESSION))
    for number, address in enumerate(organisers.get(event.organiser, ()), start=1):
        await queue.add_letter(
            tx,
            notice.id,
            letter,
            Addressee(f"organisation-{event.organiser}-{number}", address, "", ""),
            called_for_at=notice.received_at,
            session_id=event.session_id,
        )


async def preview(
    tx: Transaction,
    session_id: UUID,
    organiser: Principal,
    *,
    text: str,
    link: str | None,
    state: EnrolmentState,
) -> tuple[Mail, LetterContext] | None:
    session = (await sessions.find(tx, [session_id])).get(session_id)
    if session is None or not organiser.finds(session.organiser):
        return None
    mail = Mail(
        mail_id=UUID(int=0),
        template=LetterType.ORGANISER_MESSAGE,
        details={"text": text, "link": link},
        message_id="",
        address="prenom.nom@exemple.invalid",
        given_name="Prénom",
        family_name="Nom",
        session_id=session_id,
        enrolment_id=UUID(int=0),
        version=1,
        called_for_at=clock.now(),
    )
    return mail, LetterContext(session, KnownEnrolment(1, state))
