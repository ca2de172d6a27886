from fastapi import FastAPI, Request, Response

from services.enrolment.api.access import not_found
from services.enrolment.rules.organising import OrganisingFault
from services.enrolment.service.failures import (
    EnrolmentFailure,
    HasEnded,
    HasStarted,
    MessageHasLeft,
    NotFound,
    NotPossible,
    RefusedByRules,
)
from shared.http import Problem

_NOT_POSSIBLE = {
    OrganisingFault.SESSION_IS_CANCELLED: "The session is cancelled.",
    OrganisingFault.SESSION_IS_OVER: "The session is over.",
    OrganisingFault.ALSO_ELSEWHERE: "This agent is also in sessions of other organisers: "
    "the agent's portal or an administrator makes the correction.",
    OrganisingFault.NO_SUCH_SESSION: "There is no other session of the same offer with this id "
    "among the sessions that you organise.",
    OrganisingFault.NO_PAIR: "These are not two enrolments of this session, of two issuers, with "
    "the same address or the same names.",
    OrganisingFault.HAS_ENDED: "One of the two has ended already.",
    OrganisingFault.HAS_ATTENDANCE: "Attendance is recorded for the one that would end: keep that one.",
    OrganisingFault.SEAT_IS_LOST: "The one that would end has a seat, the other has none: keep that one.",
    OrganisingFault.NOT_IN_LINE: "This agent does not wait in line: only a waiting agent has a priority.",
}


def answer_with_problems(api: FastAPI) -> None:
    api.add_exception_handler(EnrolmentFailure, _answer)


def _answer(request: Request, error: Exception) -> Response:
    return _problem(error).response(request)


def _problem(error: Exception) -> Problem:
    match error:
        case NotFound():
            return not_found(error.what)
        case HasEnded():
            return Problem(409, "Not possible now", f"This enrolment has ended: {error.state}.")
        case HasStarted():
            detail = "The session has started: record the absence as attendance instead."
            return Problem(409, "Not possible now", detail)
        case MessageHasLeft():
            return Problem(409, "Not possible now", "The message has left.")
        case NotPossible():
            detail = _NOT_POSSIBLE.get(error.fault, error.fault.value)
            return Problem(409, "Not possible now", detail)
        case RefusedByRules():
            detail = f"The rules of the session refuse it: {error.reason.value}."
            return Problem(409, "Refused", detail, code=error.reason.value)
        case _:
            raise error
