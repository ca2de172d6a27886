"""What the service did not do, as problems (RFC 9457)."""

from collections.abc import Callable

from fastapi import FastAPI, Request, Response

from services.catalogue.service.failures import (
    Impossible,
    Missing,
    NotYours,
    PublishedDifferently,
    Stale,
)
from shared.http import Problem


def answer_with_problems(api: FastAPI) -> None:
    """Answer each failure of the service with its problem."""
    for failure, problem in _PROBLEMS.items():
        api.add_exception_handler(failure, _handler(problem))


def _handler(problem: Callable[..., Problem]) -> Callable[[Request, Exception], Response]:
    def answer(_request: Request, error: Exception) -> Response:
        return problem(error).response()

    return answer


def _missing(error: Missing) -> Problem:
    return Problem(404, "Not found", str(error))


def _stale(error: Stale) -> Problem:
    return Problem(412, "Changed meanwhile", str(error), headers={"ETag": f'"{error.current}"'})


def _not_yours(error: NotYours) -> Problem:
    return Problem(403, "Not your delegation", str(error))


def _impossible(error: Impossible) -> Problem:
    errors = [
        {
            "field": f"body.{reason.field}" if reason.field else "",
            **({"code": reason.code.value} if reason.code else {}),
            "message": reason.detail,
        }
        for reason in error.reasons
    ]
    status, title = (409, "Not possible now") if error.for_now else (422, "The request is not valid")
    return Problem(status, title, str(error), errors=errors)


def _published(error: PublishedDifferently) -> Problem:
    return Problem(409, "Published already", str(error))


_PROBLEMS: dict[type[Exception], Callable[..., Problem]] = {
    Missing: _missing,
    Stale: _stale,
    NotYours: _not_yours,
    Impossible: _impossible,
    PublishedDifferently: _published,
}
