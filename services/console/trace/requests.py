from collections.abc import Iterator, Sequence

from services.console.asking import ConsoleSettings, ServiceAnswer, ask_service
from services.console.findings import Finding, Mark
from services.console.trace.request_trace import RequestTrace, TraceOptions, step
from services.enrolment.definition import DEFINITION as ENROLMENT
from services.enrolment.service import intake
from services.enrolment.service.explain import (
    AgentExplanation,
    EnrolmentHistory,
    IdExplanation,
    OutcomeExplanation,
    RequestExplanation,
    SessionExplanation,
    explain,
)
from services.enrolment.tables import EnrolmentRow, RequestRow
from services.notifier.definition import DEFINITION as NOTIFIER
from services.notifier.service import mails


async def add_requests(settings: ConsoleSettings, traced: RequestTrace, options: TraceOptions) -> None:
    async def find(identifier: str) -> ServiceAnswer[Sequence[IdExplanation]]:
        return await ask_service(ENROLMENT, settings, lambda tx: explain(tx, identifier, options.reading))

    explained = await find(traced.identifier)
    if explained.value is None:
        traced.unanswered.append(explained.finding("trace"))
        return
    explanations = explained.value
    mail_id = traced.known_id
    if not explanations and mail_id is not None:
        of_mail = await ask_service(NOTIFIER, settings, lambda tx: mails.enrolment_of(tx, mail_id))
        if of_mail.value is not None:
            explanations = (await find(str(of_mail.value))).value or ()
    for explanation in explanations:
        traced.steps += _explained(traced, explanation, options)


async def add_acceptance(settings: ConsoleSettings, traced: RequestTrace) -> None:
    event_id = traced.known_id
    if event_id is None:
        return
    answer = await ask_service(ENROLMENT, settings, lambda tx: intake.accepted_at(tx, event_id))
    traced.accepted_at = answer.value
    if traced.accepted_at is not None:
        traced.received_at = traced.received_at or traced.accepted_at
        traced.steps.append(step("enrolment", "accepted", traced.accepted_at, f"by HTTP: {event_id}"))


def _explained(traced: RequestTrace, explanation: IdExplanation, options: TraceOptions) -> Iterator[Finding]:
    match explanation:
        case RequestExplanation(request, histories):
            traced.received_at = request.received_at
            yield from _request(request)
            for past in histories:
                yield from _history(traced, past, options)
        case OutcomeExplanation(_, outcomes):
            for outcome in outcomes:
                why = f", {outcome.code}" if outcome.code else ""
                yield step("enrolment", "told its portal", outcome.at, f"{outcome.state}{why}")
        case SessionExplanation(session, row, _, _):
            traced.sessions[str(session.session_id)] = row.version
        case AgentExplanation(_, histories, _):
            for past in histories:
                yield from _history(traced, past, options)
        case EnrolmentHistory():
            yield from _history(traced, explanation, options)


def _request(request: RequestRow) -> Iterator[Finding]:
    sender = f" from {request.source}" if request.source else ""
    received = f"{request.kind} {request.request_id}{sender}, for session {request.session_id}"
    yield step("enrolment", "received", request.received_at, received)
    if request.decided_at is None:
        yield Finding("enrolment", "waits", Mark.OK, "for the event of its session, five minutes at most")
    else:
        reason = f", {request.reason}" if request.reason else ""
        yield step("enrolment", "decided", request.decided_at, f"{request.outcome}{reason}")


def _history(traced: RequestTrace, past: EnrolmentHistory, options: TraceOptions) -> Iterator[Finding]:
    enrolment = past.enrolment
    traced.enrolment_ids.add(enrolment.enrolment_id)
    traced.event_ids.add(enrolment.request_id)
    if past.request is not None and traced.received_at is None:
        traced.received_at = past.request.received_at
        yield from _request(past.request)
    if options.with_personal_data:
        yield step("enrolment", "agent", enrolment.received_at, _person(enrolment))
    for change in past.changes:
        moved = f"{change.state}, {change.cause}: enrolment {enrolment.enrolment_id}"
        yield step("enrolment", "moved", change.at, moved)
    for event in past.events:
        name = event.type.split(".")[-2]
        what = f"{name} {event.event_id}, version {event.version} of enrolment {enrolment.enrolment_id}"
        if event.sent_at is None:
            remedy = "start enrolment; then parcours outbox, parcours doctor"
            yield Finding("enrolment", "not published", Mark.ACT, what, remedy)
        else:
            traced.event_ids.add(event.event_id)
            traced.published[event.event_id] = (name, event.sent_at)
            yield step("enrolment", "published", event.sent_at, what)


def _person(enrolment: EnrolmentRow) -> str:
    agent = enrolment.agent
    name = f"{agent.get('given_name')} {agent.get('family_name')} <{agent.get('email')}>"
    return f"{name}, {enrolment.agent_id} of {enrolment.issuer}"
