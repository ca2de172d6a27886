"""What enrolment knows of a request: received, decided, moved, published."""

from collections.abc import Iterator, Sequence

from services.console.asking import Asked, ConsoleSettings, ask_service
from services.console.findings import Finding, Mark
from services.console.trace.way import TraceOptions, Way, step
from services.enrolment.app import DEFINITION as ENROLMENT
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
from services.notifier.app import DEFINITION as NOTIFIER
from services.notifier.service import mails


async def add_requests(settings: ConsoleSettings, way: Way, options: TraceOptions) -> None:
    """Add what enrolment knows; of a mail, by the enrolment that it is about."""

    async def find(identifier: str) -> Asked[Sequence[IdExplanation]]:
        return await ask_service(ENROLMENT, settings, lambda tx: explain(tx, identifier, options.reading))

    explained = await find(way.identifier)
    if explained.answer is None:
        way.could_not.append(explained.finding("trace"))
        return
    explanations = explained.answer
    mail_id = way.known_id
    if not explanations and mail_id is not None:
        of_mail = await ask_service(NOTIFIER, settings, lambda tx: mails.enrolment_of(tx, mail_id))
        if of_mail.answer is not None:
            explanations = (await find(str(of_mail.answer))).answer or ()
    for explanation in explanations:
        way.steps += _explained(way, explanation, options)


async def add_acceptance(settings: ConsoleSettings, way: Way) -> None:
    """Add when the request came by HTTP, which enrolment accepts for all services."""
    event_id = way.known_id
    if event_id is None:
        return
    asked = await ask_service(ENROLMENT, settings, lambda tx: intake.accepted_at(tx, event_id))
    way.accepted_at = asked.answer
    if way.accepted_at is not None:
        way.received_at = way.received_at or way.accepted_at
        way.steps.append(step("enrolment", "accepted", way.accepted_at, f"by HTTP: {event_id}"))


def _explained(way: Way, explanation: IdExplanation, options: TraceOptions) -> Iterator[Finding]:
    match explanation:
        case RequestExplanation(request, histories):
            way.received_at = request.received_at
            yield from _request(request)
            for past in histories:
                yield from _history(way, past, options)
        case OutcomeExplanation(_, outcomes):
            for outcome in outcomes:
                why = f", {outcome.code}" if outcome.code else ""
                yield step("enrolment", "told its portal", outcome.at, f"{outcome.state}{why}")
        case SessionExplanation(session, row, _, _):
            way.sessions[str(session.session_id)] = row.version
        case AgentExplanation(_, histories, _):
            for past in histories:
                yield from _history(way, past, options)
        case EnrolmentHistory():
            yield from _history(way, explanation, options)


def _request(request: RequestRow) -> Iterator[Finding]:
    sender = f" from {request.source}" if request.source else ""
    received = f"{request.kind} {request.request_id}{sender}, for session {request.session_id}"
    yield step("enrolment", "received", request.received_at, received)
    if request.decided_at is None:
        yield Finding("enrolment", "waits", Mark.OK, "for the event of its session, five minutes at most")
    else:
        reason = f", {request.reason}" if request.reason else ""
        yield step("enrolment", "decided", request.decided_at, f"{request.outcome}{reason}")


def _history(way: Way, past: EnrolmentHistory, options: TraceOptions) -> Iterator[Finding]:
    enrolment = past.enrolment
    way.enrolment_ids.add(enrolment.enrolment_id)
    way.event_ids.add(enrolment.request_id)
    if past.request is not None and way.received_at is None:
        way.received_at = past.request.received_at
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
            way.event_ids.add(event.event_id)
            way.published[event.event_id] = (name, event.sent_at)
            yield step("enrolment", "published", event.sent_at, what)


def _person(enrolment: EnrolmentRow) -> str:
    agent = enrolment.agent
    name = f"{agent.get('given_name')} {agent.get('family_name')} <{agent.get('email')}>"
    return f"{name}, {enrolment.agent_id} of {enrolment.issuer}"
