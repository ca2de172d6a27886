from dataclasses import replace
from uuid import UUID

from services.notifier.letters.changes import SessionConsequences
from services.notifier.letters.kinds import Letter, LetterDetails, LetterType, Mail, quoted_reason
from shared.events.seances import NumberedSession
from shared.events.vocabulary import Status


def trainer_letter(trainer_id: UUID, session_version: int, event_id: UUID) -> Letter:
    details: LetterDetails = {"session_version": session_version, "cause_id": str(event_id)}
    return to_trainer(Letter(LetterType.TRAINER_NAMED, details), trainer_id)


def change_for_trainers(
    before: NumberedSession | None, after: NumberedSession, change: SessionConsequences
) -> Letter | None:
    if before is None or after.version <= before.version:
        return None
    if after.status is Status.CANCELLED and before.status is Status.PUBLISHED:
        return Letter(LetterType.TRAINER_CANCELLED, quoted_reason(after.cancellation_reason))
    details_of = {letter.template: letter.details for letter in change.letters}
    details = dict(details_of.get(LetterType.SESSION_CHANGED, {}))
    if LetterType.MODULE_CANCELLED in details_of:
        details["gone"] = details_of[LetterType.MODULE_CANCELLED]["modules"]
    return Letter(LetterType.TRAINER_CHANGED, details) if details else None


def to_trainer(letter: Letter, trainer_id: UUID) -> Letter:
    return replace(letter, details={**letter.details, "trainer": str(trainer_id)})


def trainer_of(mail: Mail) -> UUID:
    return UUID(str(mail.details["trainer"]))
