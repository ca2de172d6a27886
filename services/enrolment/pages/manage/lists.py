from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.rules.states import State
from services.enrolment.service import enrolment_lists
from services.enrolment.service.enrolment_lists import ListedPerson, ListedResult
from services.enrolment.service.failures import EnrolmentFailure
from shared.guard import Guard, LimitMet
from shared.web import sheet_queue, spreadsheets, workbooks
from shared.web.form_errors import FormError, FormErrors
from shared.web.logins import StaffVisit
from shared.web.sheet_queue import Busy, SheetQueue
from shared.web.spreadsheets import Fault, Sheet, UnreadableSheet

ALL, POSSIBLE = "tout", "possible"
"""Enrol the whole list or nobody; enrol whom the rules do not refuse."""
_LONGEST = 100_000
"""Characters of a list. The form sends them again."""
_FOR_ALL = tuple(column.name for column in enrolment_lists.FROM_FORM)


class _NotKept(Exception):
    """Rolls back the transaction in which a list was judged."""


@dataclass(frozen=True, slots=True)
class TriedList:
    """``results`` are those of the people, ``faults`` those of the rows that describe nobody."""

    sheet: Sheet
    faults: Sequence[Fault]
    results: Sequence[ListedResult]
    is_done: bool

    def count(self, state: str) -> int:
        return sum(result.is_new and result.state == state for result in self.results)

    @property
    def known(self) -> int:
        return sum(not result.is_new for result in self.results)

    @property
    def enrollable(self) -> int:
        return len(self.results) - self.known - self.count(State.REFUSED)


async def show(visit: StaffVisit) -> Response:
    """Show the form. A POST shows what each row would do, or does it."""
    if visit.request.method != "POST":
        return await _page(visit)
    content = visit.form.file or visit.form.typed("liste").encode()
    if not content:
        return await _page(visit, errors={"": FormError("list_is_empty")})
    queue: SheetQueue = visit.request.app.state.sheets
    guard: Guard = visit.request.app.state.guard
    try:
        async with sheet_queue.turn(queue, guard, visit.request, visit.who, content):
            return await _try(visit, content)
    except UnreadableSheet as error:
        return await _page(visit, unreadable=error.faults, text=_text_of(content))
    except LimitMet as error:
        response = await _page(
            visit,
            not_now="busy" if isinstance(error, Busy) else "too_much",
            text=_text_of(content),
            status=429,
        )
        response.headers["Retry-After"] = str(error.seconds)
        return response
    except EnrolmentFailure as failure:
        return await _page(visit, errors={"": frame.why_not(failure)}, text=_text_of(content))


async def _try(visit: StaffVisit, content: bytes) -> Response:
    async with visit.database.quiet_transaction() as tx:
        questions = (await frame.own_session(tx, visit)).session.questions
        employers = await enrolment_lists.directory(tx, visit.who)
    if workbooks.is_workbook(content):
        content = await sheet_queue.in_thread(partial(workbooks.as_csv, content))
    columns = enrolment_lists.columns_for(questions)
    sheet = await sheet_queue.in_thread(partial(workbooks.read, content, columns))
    text = _text_of(content)
    if len(sheet.rows) > enrolment_lists.MOST_PEOPLE or len(text) > _LONGEST:
        many = {"liste": FormError("list_is_long", enrolment_lists.MOST_PEOPLE)}
        return await _page(visit, errors=many, text=text)
    people, faults = enrolment_lists.people_in(
        sheet.rows,
        {name: visit.form.typed(name) for name in _FOR_ALL},
        employers,
        questions,
        approved="approved" in visit.form,
    )
    faults = [*sheet.faults, *faults]
    results = await _judge(visit, people, keep=False)
    action = visit.form.typed("action")
    is_done = False
    if action == POSSIBLE or (action == ALL and not faults and not _refused(results)):
        results = await _enrol(visit, results)
        is_done = True
    return await _page(visit, tried=TriedList(sheet, faults, results, is_done), text=text)


async def _enrol(visit: StaffVisit, results: Sequence[ListedResult]) -> Sequence[ListedResult]:
    """Enrol whom the rules do not refuse. A refused person changes no other's result."""
    refused: dict[int, ListedResult] = {}
    while True:
        refused |= {result.person.line: result for result in _refused(results)}
        granted = [result.person for result in results if result.reason is None]
        results = await _judge(visit, granted, keep=True)
        if not _refused(results):
            return sorted([*results, *refused.values()], key=lambda result: result.person.line)


async def _judge(visit: StaffVisit, people: Sequence[ListedPerson], *, keep: bool) -> Sequence[ListedResult]:
    """Return the results. They are stored only if ``keep`` and nobody is refused."""
    results: Sequence[ListedResult] = []
    try:
        async with frame.acting(visit) as acting:
            results = await enrolment_lists.enrol(acting, frame.session_id_of(visit), people)
            if not keep or _refused(results):
                raise _NotKept
    except _NotKept:
        return results
    return results


def _refused(results: Sequence[ListedResult]) -> Sequence[ListedResult]:
    return [result for result in results if result.reason is not None]


def _text_of(content: bytes) -> str:
    """Return what stays in the form: "" for a workbook that cannot be read."""
    try:
        return "" if workbooks.is_workbook(content) else spreadsheets.text_of(content)
    except UnreadableSheet:
        return ""


async def _page(
    visit: StaffVisit,
    *,
    errors: FormErrors | None = None,
    unreadable: Sequence[Fault] = (),
    tried: TriedList | None = None,
    not_now: str = "",
    text: str = "",
    status: int = 422,
) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
    is_wrong = errors or unreadable or not_now
    return frame.page(
        visit,
        "list.html",
        numbers,
        "participants",
        status=status if is_wrong else 200,
        errors=errors,
        unreadable_faults=unreadable,
        tried=tried,
        not_now=not_now,
        columns={
            column.name: column.title
            for column in enrolment_lists.columns_for(numbers.session.questions)
        },
        values={name: visit.form.typed(name) for name in _FOR_ALL} | {"liste": text},
        approved="approved" in visit.form,
    )
