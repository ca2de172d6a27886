from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.responses import Response

from services.catalogue.pages import form_errors, form_rows, session_steps
from services.catalogue.pages.form_errors import WrongForm
from services.catalogue.service.acting import Acting
from services.catalogue.service.failures import Impossible, PublishedDifferently, Stale
from shared.web import responses
from shared.web.form_errors import FormError, FormErrors, shown_errors
from shared.web.forms import Form
from shared.web.logins import StaffVisit

FormSubject = TypeVar("FormSubject")


@dataclass(frozen=True, slots=True)
class FormState:
    """``errors`` are by field, "" for none. ``stale``: the subject has changed since the form was opened.

    ``tried`` is the effect that the confirmed form would have. Nothing is stored before.
    """

    errors: FormErrors = field(default_factory=dict)
    stale: bool = False
    tried: Any = None

    def shown(self, visit: StaffVisit, tag: str = "", order: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "status": 412 if self.stale else 422 if self.errors else 200,
            "stale": self.stale,
            "tag": tag if self.stale else visit.form.get("version", tag),
            "done": visit.done,
            **shown_errors(visit.rendering, self.errors, order),
        }


class FormPage(Generic[FormSubject]):
    """``load`` finds the subject, ``show`` is the page.

    ``act`` reads the form, acts in one transaction, and returns the address of the next page, or the result
    of a trial: a button that leads to another step tries the form. ``field_of`` maps request fields to form
    fields.
    """

    def __init__(
        self,
        load: Callable[[StaffVisit], Awaitable[FormSubject]],
        act: Callable[[Acting, FormSubject, Form], Awaitable[Any]],
        show: Callable[[StaffVisit, FormSubject, FormState], Awaitable[Response]],
        *,
        field_of: Callable[[str], str] = str,
    ) -> None:
        self._load, self._act, self._show, self._field_of = load, act, show, field_of

    async def __call__(self, visit: StaffVisit) -> Response:
        subject = await self._load(visit)
        is_other = form_rows.BUTTON in visit.form and session_steps.target(visit.form) is None
        if visit.request.method != "POST" or is_other:
            return await self._show(visit, subject, FormState())
        try:
            async with acting(visit) as organiser:
                done = await self._act(organiser, subject, visit.form)
        except Stale:
            return await self._show(visit, await self._load(visit), FormState(stale=True))
        except (ValidationError, WrongForm, Impossible, PublishedDifferently) as error:
            return await self._show(visit, subject, FormState(self._errors(error)))
        if isinstance(done, str):
            return responses.see_other(done)
        return await self._show(visit, subject, FormState(tried=done))

    def _errors(self, error: Exception) -> FormErrors:
        errors: dict[str, FormError] = {}
        for name, found in form_errors.of(error).items():
            errors.setdefault(self._field_of(name), found)
        return errors


@asynccontextmanager
async def acting(visit: StaffVisit) -> AsyncIterator[Acting]:
    async with visit.database.transaction() as tx:
        yield Acting(tx, visit.who, frozenset((visit.form.get("version", ""),)))


@asynccontextmanager
async def looking(visit: StaffVisit) -> AsyncIterator[Acting]:
    async with visit.database.quiet_transaction() as tx:
        yield Acting(tx, visit.who)


def lead(address: str, done: str, **more: str) -> str:
    return f"{address}?{urlencode({**more, 'fait': done})}"
