from uuid import UUID

from services.notifier.letters.kinds import DetailRow, Letter, LetterType, Mail, rows_of
from shared.events.catalogue import BespokeRequestAnswered, BespokeRequestReceived
from shared.events.enrolment import NominationAnswered, WebhookDisabled


def bespoke_receipt(received: BespokeRequestReceived) -> Letter:
    wished = {"wished_from": received.wished_from, "wished_until": received.wished_until}
    details: dict[str, str | int | None] = {
        "authority": received.authority,
        "delegation": received.delegation,
        "theme": received.theme,
        "trainees": received.trainees,
        "reference": str(received.request_id),
        **{name: None if day is None else day.isoformat() for name, day in wished.items()},
    }
    return Letter(LetterType.BESPOKE_RECEIVED, details, needs_session=False)


def bespoke_letter(answered: BespokeRequestAnswered) -> Letter:
    details: dict[str, str | None] = {
        "answer": answered.answer.value,
        "message": answered.message,
        "advisor": answered.advisor.name,
        "advisor_address": answered.advisor.email,
        "reference": str(answered.request_id),
        "siret": answered.siret,
    }
    return Letter(LetterType.BESPOKE_ANSWERED, details, needs_session=False)


def nomination_letter(answered: NominationAnswered) -> Letter:
    """Names are looked up when the letter is written."""
    trainees: list[DetailRow] = [
        {"enrolment": str(trainee.enrolment_id), "outcome": trainee.outcome.value}
        | ({"reason": trainee.reason.value} if trainee.reason is not None else {})
        for trainee in answered.trainees
    ]
    return Letter(
        LetterType.NOMINATION_ANSWERED,
        {
            "session_version": answered.session_version,
            "trainees": trainees,
            "replaced": [str(enrolment_id) for enrolment_id in answered.replaced],
        },
    )


def webhook_letter(disabled: WebhookDisabled) -> Letter:
    details = {"portal": disabled.portal, "failure": disabled.reason}
    return Letter(LetterType.WEBHOOK_DISABLED, details, needs_session=False)


def trainees_of(mail: Mail) -> list[UUID]:
    replaced = mail.details.get("replaced")
    named = [str(row["enrolment"]) for row in rows_of(mail.details, "trainees")]
    return [UUID(str(enrolment)) for enrolment in (*named, *(replaced if isinstance(replaced, list) else ()))]
