"""A list of people, tried before it is enrolled: on the organiser's page, and behind an officer's link."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from services.enrolment.rules.states import State
from services.enrolment.service import enrolment_lists
from services.enrolment.service.employers import EmployerDirectory
from services.enrolment.service.enrolment_lists import ListedPerson, ListedResult
from shared.database import Database, Transaction
from shared.events.catalogue import Question
from shared.events.vocabulary import Employer
from shared.guard import Guard, LimitMet
from shared.rates import Rate
from shared.web import sheet_queue, spreadsheets, workbooks
from shared.web.form_errors import FormError, FormErrors
from shared.web.forms import Form
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
    def mistakes(self) -> Mapping[tuple[str, str, str], Sequence[int]]:
        """Return the lines of each mistake: column, what it says and the fault's code."""
        typed = {row.line: row.cells for row in self.sheet.rows}
        lines: dict[tuple[str, str, str], list[int]] = {}
        for fault in self.faults:
            column = fault.column or ""
            cell = typed.get(fault.line, {}).get(column, "")
            lines.setdefault((column, cell, fault.code), []).append(fault.line)
        return lines

    @property
    def known(self) -> int:
        return sum(not result.is_new for result in self.results)

    @property
    def enrollable(self) -> int:
        return len(self.results) - self.known - self.count(State.REFUSED)


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """What the page says of a list. ``text`` stays in the form."""

    errors: FormErrors = field(default_factory=dict)
    unreadable: Sequence[Fault] = ()
    tried: TriedList | None = None
    not_now: str = ""
    text: str = ""

    @property
    def status(self) -> int:
        if self.not_now:
            return 429
        return 422 if self.errors or self.unreadable else 200

    def values(self, form: Form, questions: Sequence[Question]) -> dict[str, Any]:
        return {
            "unreadable_faults": self.unreadable,
            "tried": self.tried,
            "not_now": self.not_now,
            "columns": {column.name: column.title for column in enrolment_lists.columns_for(questions)},
            "values": {name: form.typed(name) for name in _FOR_ALL} | {"liste": self.text},
        }


@dataclass(frozen=True, slots=True)
class SentList:
    """A list and what its sender may do. ``whose`` names the sender, for limits.

    ``for_all`` has what a row without it takes, beside the fields of the form. ``known`` returns the
    session's questions and the employers known here. ``enrol`` enrols people in a transaction, and returns
    the results. ``people`` is how many the sender may enrol; None means any number. ``find_each`` finds
    employers that are not known here by their SIRETs.
    """

    request: Request
    form: Form
    database: Database
    whose: str
    for_all: Mapping[str, str]
    approved: bool
    known: Callable[[Transaction], Awaitable[tuple[Sequence[Question], EmployerDirectory]]]
    enrol: Callable[[Transaction, Sequence[ListedPerson]], Awaitable[Sequence[ListedResult]]]
    page: Callable[[ListAnswer], Awaitable[Response]]
    people: Rate | None = None
    find_each: Callable[[Iterable[str]], Awaitable[Sequence[Employer]]] | None = None


async def answer(sent: SentList) -> Response:
    """Show the form. A POST shows what each row would do, or does it."""
    if sent.request.method != "POST":
        return await sent.page(ListAnswer())
    content = sent.form.file or sent.form.typed("liste").encode()
    if not content:
        return await sent.page(ListAnswer(errors={"": FormError("list_is_empty")}))
    queue: SheetQueue = sent.request.app.state.sheets
    guard: Guard = sent.request.app.state.guard
    try:
        async with sheet_queue.turn(queue, guard, sent.request, sent.whose, content):
            return await sent.page(await _try(sent, content))
    except UnreadableSheet as error:
        return await sent.page(ListAnswer(unreadable=error.faults, text=_text_of(content)))
    except LimitMet as error:
        reason = "busy" if isinstance(error, Busy) else "too_much"
        response = await sent.page(ListAnswer(not_now=reason, text=_text_of(content)))
        response.headers["Retry-After"] = str(error.seconds)
        return response


async def _try(sent: SentList, content: bytes) -> ListAnswer:
    async with sent.database.quiet_transaction() as tx:
        questions, employers = await sent.known(tx)
    if workbooks.is_workbook(content):
        content = await sheet_queue.in_thread(partial(workbooks.as_csv, content))
    columns = enrolment_lists.columns_for(questions)
    sheet = await sheet_queue.in_thread(partial(workbooks.read, content, columns))
    text = _text_of(content)
    if len(sheet.rows) > enrolment_lists.MOST_PEOPLE or not text:
        many = {"liste": FormError("list_is_long", enrolment_lists.MOST_PEOPLE)}
        return ListAnswer(errors=many, text=text)
    if sent.find_each is not None and (unknown := enrolment_lists.unknown_sirets(sheet.rows, employers)):
        employers = employers.with_found(await sent.find_each(unknown))
    people, faults = enrolment_lists.people_in(
        sheet.rows,
        {**{name: sent.form.typed(name) for name in _FOR_ALL}, **sent.for_all},
        employers,
        questions,
        approved=sent.approved,
    )
    faults = [*sheet.faults, *faults]
    results = await _judge(sent, people, keep=False)
    action = sent.form.typed("action")
    is_done = False
    if action == POSSIBLE or (action == ALL and not faults and not _refused(results)):
        if sent.people is not None:
            guard: Guard = sent.request.app.state.guard
            number = sum(result.is_new and result.reason is None for result in results)
            try:
                await guard.take(sent.request, "listed", sent.people, sent.whose, number=number)
            except LimitMet:
                return ListAnswer(not_now="too_many_people", text=text)
        results = await _enrol(sent, results)
        is_done = True
    return ListAnswer(tried=TriedList(sheet, faults, results, is_done), text=text)


async def _enrol(sent: SentList, results: Sequence[ListedResult]) -> Sequence[ListedResult]:
    """Enrol whom the rules do not refuse. A refused person changes no other's result."""
    refused: dict[int, ListedResult] = {}
    while True:
        refused |= {result.person.line: result for result in _refused(results)}
        granted = [result.person for result in results if result.reason is None]
        results = await _judge(sent, granted, keep=True)
        if not _refused(results):
            return sorted([*results, *refused.values()], key=lambda result: result.person.line)


async def _judge(sent: SentList, people: Sequence[ListedPerson], *, keep: bool) -> Sequence[ListedResult]:
    """Return the results. They are stored only if ``keep`` and nobody is refused."""
    results: Sequence[ListedResult] = []
    try:
        async with sent.database.transaction() as tx:
            results = await sent.enrol(tx, people)
            if not keep or _refused(results):
                raise _NotKept
    except _NotKept:
        return results
    return results


def _refused(results: Sequence[ListedResult]) -> Sequence[ListedResult]:
    return [result for result in results if result.reason is not None]


def _text_of(content: bytes) -> str:
    """Return what stays in the form: "" for a list that cannot be read or is too long."""
    try:
        text = "" if workbooks.is_workbook(content) else spreadsheets.text_of(content)
    except UnreadableSheet:
        return ""
    return text if len(text) <= _LONGEST else ""
