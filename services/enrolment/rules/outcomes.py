from services.enrolment.rules.requests import Request, Swap
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.vocabulary import FieldProblem

PortalOutcome = RequestRejected | RequestAccepted


def no_enrolment(request: Request) -> RequestRejected | None:
    """Return None if no portal sent the request.

    Another portal's agent gets the same answer, so that it reveals nothing.
    """
    return _rejected(
        request,
        RejectionCode.NOT_YOURS,
        "/agent_id",
        "has no enrolment in this session that this portal may speak for",
    )


def no_session(request: Request) -> RequestRejected | None:
    if isinstance(request, Swap):
        either = "session_id or to_session_id is the id of no session that is known"
        return _rejected(request, RejectionCode.INVALID, "", either)
    return _rejected(request, RejectionCode.INVALID, "/session_id", "is the id of no session that is known")


def other_offer(request: Swap) -> RequestRejected | None:
    """Return the answer to a move to a session of another offer, or None if no portal sent it."""
    return _rejected(request, RejectionCode.INVALID, "/to_session_id", "is a session of another offer")


def nothing_new(request: Request) -> RequestAccepted | None:
    """Return the answer to a list that changes nothing, or None if no portal sent it."""
    if request.portal is None:
        return None
    return RequestAccepted(
        request_id=request.request_id, request_source=request.source, portal=request.portal
    )


def _rejected(request: Request, code: RejectionCode, pointer: str, message: str) -> RequestRejected | None:
    if request.portal is None or request.position is None:
        return None
    return RequestRejected(
        request_id=request.request_id,
        request_source=request.source,
        portal=request.portal,
        topic=request.position.topic,
        partition=request.position.partition,
        offset=request.position.offset,
        code=code,
        problems=(FieldProblem(pointer=pointer, message=message),),
    )
