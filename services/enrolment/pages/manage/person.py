"""The page of one person in a session, with the organiser's actions.

If the enrolment has changed since the form was shown, nothing is done and the page shows the changes.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.staff_area import ENROLMENTS
from services.enrolment.pages.questions import answers_of, field_of
from services.enrolment.rules.overview import SessionNumbers
from services.enrolment.service import corrections, enrolments, people
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import (
    MAX_PRIORITY,
    AgentCorrection,
    ApprovalByOrganiser,
    JoinByOrganiser,
    MoveByOrganiser,
    OfferAnswerByOrganiser,
    PriorityChange,
    ServedFirst,
    WithdrawalByOrganiser,
)
from services.enrolment.service.enrolments import LineInSession
from services.enrolment.service.failures import ChangedMeanwhile, EnrolmentFailure, NotFound
from services.enrolment.service.people import Destination, PersonInSession
from shared import clock
from shared.events.vocabulary import Paragraph
from shared.security_log import SecurityEvent
from shared.web.form_errors import FormError, FormErrors, sentence
from shared.web.forms import Form
from shared.web.logins import StaffVisit

CORRECTABLE = ("email", "given_name", "family_name")
_PARAGRAPH: TypeAdapter[str] = TypeAdapter(Paragraph)
_ANSWERS = {"yes": True, "no": False}
_HEARD = {"accepted": "answer", "granted": "answer", "reason": "heard"}
_NOTHING: Mapping[str, Any] = MappingProxyType({})

CommandClass = TypeVar("CommandClass", bound=BaseModel)


class OrganiserAction(Protocol):
    async def __call__(self, acting: Acting, enrolment_id: UUID, *, version: int | None) -> LineInSession: ...


class InvalidForm(Exception):
    def __init__(self, errors: FormErrors) -> None:
        super().__init__(errors)
        self.errors = errors


def _command(
    kind: type[CommandClass],
    values: dict[str, Any],
    *,
    fields: Mapping[str, str] = _NOTHING,
    errors: FormErrors = _NOTHING,
) -> CommandClass:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        field = fields.get(name, name)
        raise InvalidForm({field: errors.get(field, FormError(field))}) from None


def withdrawal_in(form: Form) -> OrganiserAction:
    values = {"by": form.typed("by"), "reason": form.typed("reason") or None}
    command = _command(WithdrawalByOrganiser, values, errors={"reason": FormError("too_long")})
    return partial(enrolments.withdraw, command=command)


def priority_in(form: Form) -> OrganiserAction:
    values: dict[str, Any] = {"reason": form.typed("reason")}
    if "premier" in form:
        return partial(enrolments.change_priority, command=_command(ServedFirst, values))
    values["priority"] = form.number("priority", MAX_PRIORITY)
    command = _command(PriorityChange, values, errors={"priority": FormError("priority", MAX_PRIORITY)})
    return partial(enrolments.change_priority, command=command)


def correction_in(form: Form) -> OrganiserAction:
    seen = {field: form.get(f"avant-{field}", "") for field in CORRECTABLE}
    after = {field: form.typed(field) for field in CORRECTABLE if form.typed(field) != seen[field]}
    if not after:
        raise InvalidForm({"": FormError("unchanged")})
    command = _command(AgentCorrection, after)
    seen = {field: seen[field] for field in after}
    return partial(corrections.correct_by_organiser, command=command, seen=seen)


def reply_in(form: Form) -> OrganiserAction:
    command = _command(OfferAnswerByOrganiser, _heard_in(form, "accepted"), fields=_HEARD)
    return partial(enrolments.reply_to_offer, command=command)


def approval_in(form: Form) -> OrganiserAction:
    command = _command(ApprovalByOrganiser, _heard_in(form, "granted"), fields=_HEARD)
    return partial(enrolments.decide_approval, command=command)


def _heard_in(form: Form, field: str) -> dict[str, Any]:
    return {field: _ANSWERS.get(form.typed("answer")), "reason": form.typed("heard")}


def move_in(form: Form) -> OrganiserAction:
    command = _command(MoveByOrganiser, {"to_session_id": form.typed("to_session_id")})
    return partial(enrolments.move, command=command)


def join_in(form: Form) -> OrganiserAction:
    command = JoinByOrganiser(enrolment_id=frame.id_in(form.typed("autre")))
    return partial(enrolments.join, command=command, other_version=frame.version_in(form, "version-autre"))


async def show(visit: StaffVisit) -> Response:
    return await _page(visit)


def acting_by(
    action_in: Callable[[Form], OrganiserAction], done: str
) -> Callable[[StaffVisit], Awaitable[Response]]:
    return partial(_do, action_in=action_in, done=done)


async def _do(visit: StaffVisit, action_in: Callable[[Form], OrganiserAction], done: str) -> Response:
    enrolment_id, version = frame.enrolment_id_of(visit), frame.version_in(visit.form)
    try:
        act = action_in(visit.form)
        async with frame.acting(visit) as acting:
            line, _ = await act(acting, enrolment_id, version=version)
    except InvalidForm as error:
        return await _page(visit, status=422, errors=error.errors, seen=version)
    except ChangedMeanwhile as failure:
        other = failure.enrolment_id != enrolment_id
        return await _page(visit, status=409, seen=None if other else version, other_changed=other)
    except EnrolmentFailure as failure:
        return await _page(visit, status=422, errors={"": frame.why_not(failure)})
    stays = line.enrolment.enrolment_id == enrolment_id
    return frame.to_person(line.enrolment.enrolment_id, done, frame.listed_by(visit) if stays else {})


async def correct(visit: StaffVisit) -> Response:
    response = await _do(visit, correction_in, "corrigee")
    if response.status_code == HTTPStatus.SEE_OTHER:
        frame.record(visit, SecurityEvent.CORRECTION)
    return response


async def move(visit: StaffVisit) -> Response:
    """Move the person. If the other session has questions, a page asks them first."""
    try:
        to_session_id = UUID(visit.form.typed("to_session_id"))
    except ValueError:
        return await _page(visit, status=422, errors={"to_session_id": FormError("to_session_id")})
    async with visit.database.quiet_transaction() as tx:
        there = await people.destination(tx, frame.enrolment_id_of(visit), to_session_id, visit.who)
    questions = [] if there is None else there.questions
    answers, faults = answers_of(questions, visit.form)
    answered = "repondu" in visit.form
    if there is not None and questions and (faults or not answered):
        return await _questions_page(visit, there, faults if answered else {})
    command = MoveByOrganiser(to_session_id=to_session_id, answers=answers)
    return await _do(visit, lambda _form: partial(enrolments.move, command=command), "deplacee")


async def join(visit: StaffVisit) -> Response:
    if "confirmer" not in visit.form:
        return await _join_page(visit)
    return await _do(visit, join_in, "reunie")


async def note(visit: StaffVisit) -> Response:
    try:
        text = _PARAGRAPH.validate_python(visit.form.typed("note"))
    except ValidationError:
        return await _page(visit, status=422, errors={"note": FormError("note")})
    return await _keep(visit, partial(people.add_note, text=text), "notee")


async def remove_note(visit: StaffVisit) -> Response:
    note_id = frame.id_in(visit.form.typed("laquelle"))
    return await _keep(visit, partial(people.remove_note, note_id=note_id), "note-retiree")


async def _keep(visit: StaffVisit, act: Callable[..., Awaitable[None]], done: str) -> Response:
    enrolment_id = frame.enrolment_id_of(visit)
    try:
        async with frame.acting(visit) as acting:
            await act(acting, enrolment_id)
    except NotFound as failure:
        raise HTTPException(404) from failure
    return frame.to_person(enrolment_id, done, frame.listed_by(visit))


async def _questions_page(visit: StaffVisit, there: Destination, faults: Mapping[str, str]) -> Response:
    enrolment_id = frame.enrolment_id_of(visit)
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit, there.left.session_id)
        agent = await people.read_agent(tx, enrolment_id, visit.who, frame.reading(visit))
    return frame.page(
        visit,
        "move-questions.html",
        numbers,
        "participants",
        status=422 if faults else 200,
        person=f"{ENROLMENTS}/{enrolment_id}",
        agent=agent,
        there=there,
        faults=faults,
        form=visit.form,
        field_of=field_of,
    )


async def _join_page(visit: StaffVisit) -> Response:
    found, numbers = await _found(visit)
    other_id = frame.id_in(visit.form.typed("autre"))
    ends = next((twin for twin, _ in found.twins if twin.enrolment.enrolment_id == other_id), None)
    if ends is None:
        return await _page(visit, status=409, other_changed=True)
    return frame.page(visit, "join.html", numbers, "participants", stays=found.line, ends=ends)


async def _found(visit: StaffVisit) -> tuple[PersonInSession, SessionNumbers]:
    async with visit.database.quiet_transaction() as tx:
        found = await people.show(
            tx, frame.enrolment_id_of(visit), visit.who, frame.reading(visit), clock.now()
        )
        if found is None:
            raise HTTPException(404)
        return found, await frame.own_session(tx, visit, found.session.session_id)


async def _page(
    visit: StaffVisit,
    *,
    status: int = 200,
    errors: FormErrors | None = None,
    seen: int | None = None,
    other_changed: bool = False,
) -> Response:
    found, numbers = await _found(visit)
    agent = found.line.enrolment.agent
    since = [] if seen is None else [change for change in found.changes if change.version > seen]
    stored = {field: getattr(agent, field) for field in CORRECTABLE}
    kept = (
        *CORRECTABLE,
        "by",
        "reason",
        "priority",
        "to_session_id",
        "answer",
        "heard",
        "note",
    )
    typed = {name: visit.form[name] for name in kept if name in visit.form}
    blank = dict.fromkeys(kept, "") | {"priority": str(found.line.enrolment.priority)}
    return frame.page(
        visit,
        "person.html",
        numbers,
        "participants",
        status=status,
        found=found,
        obstacles={
            twin.enrolment.enrolment_id: sentence(visit.rendering, FormError(fault))
            for twin, fault in found.twins
            if fault is not None
        },
        stored=stored,
        values=blank | stored | typed,
        opened=visit.request.url.path.rpartition("/")[2],
        errors=errors,
        has_changed=bool(since) or (status == 409 and not other_changed),
        other_changed=other_changed,
        since=since,
    )
