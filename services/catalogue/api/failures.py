from typing import Any

from fastapi import FastAPI, Request, Response

from services.catalogue.rules.refusals import Violation
from services.catalogue.service.failures import Failure, Impossible, Missing, NotYours, Stale, Withdrawn
from shared.http import Problem


def answer_with_problems(api: FastAPI) -> None:
    api.add_exception_handler(Failure, _answer)


def _answer(request: Request, error: Exception) -> Response:
    return _problem(error).response(request)


def _problem(error: Exception) -> Problem:
    match error:
        case Missing():
            return Problem(404, "Not found", str(error))
        case Withdrawn():
            return Problem(410, "Withdrawn", str(error))
        case NotYours():
            return Problem(403, "Not your delegation", str(error))
        case Stale():
            return Problem(412, "Changed meanwhile", str(error), headers={"ETag": f'"{error.current}"'})
        case Impossible():
            status, title = (409, "Not possible now") if error.for_now else (422, "The request is not valid")
            return Problem(
                status, title, str(error), errors=[_error(violation) for violation in error.violations]
            )
        case _:  # PublishedDifferently
            return Problem(409, "Published already", str(error))


def _error(violation: Violation) -> dict[str, Any]:
    field = f"body.{violation.field}" if violation.field else ""
    code = {"code": violation.code.value} if violation.code else {}
    return {"field": field, **code, "message": violation.detail}
