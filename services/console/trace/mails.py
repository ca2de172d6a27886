from collections.abc import Iterator
from dataclasses import replace

from services.catalogue.definition import DEFINITION as CATALOGUE
from services.catalogue.service import bespoke
from services.console.asking import ConsoleSettings, ask_service
from services.console.findings import Finding, Mark
from services.console.trace.request_trace import RequestTrace, TraceOptions, step
from services.notifier.definition import DEFINITION as NOTIFIER
from services.notifier.service import mails
from services.notifier.service.queue import MAILS_LATE
from services.notifier.tables import MailRow, MailState
from shared import clock


async def add_mails(settings: ConsoleSettings, traced: RequestTrace, options: TraceOptions) -> None:
    of_notifier = await ask_service(
        NOTIFIER,
        settings,
        lambda tx: mails.of_events(tx, traced.event_ids, traced.enrolment_ids, options.reading),
    )
    for row in of_notifier.value or ():
        traced.steps += _mail(row, options)
    bespoke_id = traced.known_id
    if bespoke_id is None:
        return
    of_catalogue = await ask_service(CATALOGUE, settings, lambda tx: bespoke.find(tx, bespoke_id))
    if (request := of_catalogue.value) is not None:
        found = f"bespoke request, for {request.delegation}: {request.state}"
        traced.steps.append(step("catalogue", "received", request.received_at, found))


def _mail(row: MailRow, options: TraceOptions) -> Iterator[Finding]:
    whose = f" to {row.given_name} {row.family_name} <{row.address}>" if options.with_personal_data else ""
    yield step("notifier", "queued", row.created_at, f"{row.template}{whose}: mail {row.mail_id}")
    code = f"{row.smtp_code} " if row.smtp_code else ""
    answer = f"{code}{row.smtp_answer or ''}".strip()
    found = f"{row.template}, attempt {row.attempts}, Message-ID {row.message_id or 'not given yet'}"
    when = row.settled_at or row.due_at
    settled = step("notifier", row.state, when, f"{found}; {answer or 'no answer'}")
    match MailState(row.state):
        case MailState.AMBIGUOUS:
            remedy = f"ask the relay's log, then parcours notifier mails resolve {row.mail_id}"
        case MailState.FAILED:
            remedy = f"parcours notifier mails show {row.mail_id}; to send it again: mails resend"
        case MailState.PENDING | MailState.RETRY if clock.now() - row.due_at > MAILS_LATE:
            remedy = "the notifier does not send it: parcours status, parcours doctor"
        case _:
            remedy = ""
    yield replace(settled, mark=Mark.ACT, remedy=remedy) if remedy else settled
    if row.bounced_at is not None:
        yield step("notifier", "came back", row.bounced_at, f"{row.bounce_status or 'without a status'}")
