from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.catalogue.rules.changes import publish
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule, Violation, refused
from services.catalogue.rules.sessions import Done, Plan, Session
from shared.events.catalogue import (
    Audience,
    BespokeAnswer,
    BespokeRequestAnswered,
    BespokeRequestClosed,
    BespokeRequestReceived,
)
from shared.events.vocabulary import ApprovalPolicy, Contact


class BespokeState(StrEnum):
    RECEIVED = "received"
    QUALIFIED = "qualified"
    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"

    @property
    def is_open(self) -> bool:
        return self not in (BespokeState.AGREED, BespokeState.DECLINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class BespokeRequest:
    """``bespoke_id`` is the ``request_id``, unless another portal's request has it.

    ``requester`` and ``message`` are None once they are erased: then no answer is possible. ``answer`` is the
    last message to the authority; ``messages`` are all, by the version of the request.
    """

    bespoke_id: UUID
    request_id: UUID
    source: str
    portal: str | None
    siret: str
    authority: str
    delegation: str
    theme: str
    trainees: int
    received_at: datetime
    requester: Contact | None
    message: str | None = None
    wished_from: datetime | None = None
    wished_until: datetime | None = None
    version: int = 1
    state: BespokeState = BespokeState.RECEIVED
    answered_at: datetime | None = None
    advisor: Contact | None = None
    answer: str | None = None
    messages: Mapping[str, str] | None = None
    session_id: UUID | None = None

    @property
    def moved_at(self) -> datetime:
        return self.answered_at or self.received_at


@dataclass(frozen=True, slots=True)
class Answered:
    request: BespokeRequest
    event: BespokeRequestAnswered
    session: Done | None = None


_FROM = {
    BespokeAnswer.QUALIFIED: (BespokeState.RECEIVED,),
    BespokeAnswer.PROPOSED: (BespokeState.RECEIVED, BespokeState.QUALIFIED, BespokeState.PROPOSED),
    BespokeAnswer.AGREED: (BespokeState.QUALIFIED, BespokeState.PROPOSED),
    BespokeAnswer.DECLINED: (BespokeState.RECEIVED, BespokeState.QUALIFIED, BespokeState.PROPOSED),
}
"""An agreement or a refusal is final; a proposal is not."""


def acknowledged(request: BespokeRequest) -> BespokeRequestReceived | None:
    if request.requester is None:
        return None
    return BespokeRequestReceived(
        request_id=request.request_id,
        request_source=request.source,
        siret=request.siret,
        authority=request.authority,
        delegation=request.delegation,
        theme=request.theme,
        trainees=request.trainees,
        wished_from=request.wished_from,
        wished_until=request.wished_until,
        requested_by=request.requester,
        received_at=request.received_at,
    )


def closed(request: BespokeRequest) -> BespokeRequestClosed:
    return BespokeRequestClosed(
        request_id=request.request_id, request_source=request.source, siret=request.siret
    )


def possible_answers(request: BespokeRequest) -> tuple[BespokeAnswer, ...]:
    if request.requester is None:
        return ()
    return tuple(answer for answer in BespokeAnswer if request.state in _FROM[answer])


_NEXT = {
    BespokeState.RECEIVED: BespokeAnswer.QUALIFIED,
    BespokeState.QUALIFIED: BespokeAnswer.PROPOSED,
    BespokeState.PROPOSED: BespokeAnswer.AGREED,
}


def next_answer(request: BespokeRequest) -> BespokeAnswer | None:
    return None if request.requester is None else _NEXT.get(request.state)


def answer(
    request: BespokeRequest,
    given: BespokeAnswer,
    *,
    advisor: Contact,
    message: str | None,
    session: Session | None,
    now: datetime,
) -> Answered | RefusedByRule:
    """An agreement publishes ``session`` at once, only for the authority's agents."""
    if request.requester is None or given not in possible_answers(request):
        detail = f"a request that is {request.state} cannot be {given}"
        return refused(RefusalCode.NOT_ANSWERABLE, detail, "answer")
    done: Done | None = None
    if given is BespokeAnswer.AGREED:
        if session is None:
            detail = "an agreement comes with the session that was agreed on"
            return refused(RefusalCode.NO_SESSION, detail, "session")
        published = publish(session, now)
        if isinstance(published, RefusedByRule):
            return RefusedByRule(tuple(_of_the_session(violation) for violation in published.violations))
        done = published
    elif session is not None:
        return refused(RefusalCode.NO_SESSION, "only an agreement comes with a session", "session")
    session_id = done.session.session_id if done else None
    return Answered(
        replace(
            request,
            version=request.version + 1,
            state=BespokeState(given.value),
            answered_at=now,
            advisor=advisor,
            answer=message or request.answer,
            messages={**(request.messages or {}), **({str(request.version + 1): message} if message else {})},
            session_id=session_id,
        ),
        BespokeRequestAnswered(
            request_id=request.request_id,
            request_source=request.source,
            siret=request.siret,
            answer=given,
            requested_by=request.requester,
            advisor=advisor,
            message=message,
            session_id=session_id,
        ),
        done,
    )


def handed_over(request: BespokeRequest, advisor: Contact) -> BespokeRequest | RefusedByRule:
    if request.requester is None or not request.state.is_open:
        detail = f"a request that is {request.state} is answered for good, or nobody can be answered"
        return refused(RefusalCode.NOT_ANSWERABLE, detail, "advisor")
    return replace(request, version=request.version + 1, advisor=advisor)


def _of_the_session(violation: Violation) -> Violation:
    return replace(violation, field=f"session.{violation.field}" if violation.field else "session")


def private_plan(plan: Plan, siret: str) -> Plan:
    return replace(
        plan,
        audience=Audience(sirets=(siret,)),
        approval=ApprovalPolicy.NONE,
        reserved_seats=(),
        quota_per_authority=None,
    )
