"""One person in a session: what is known, what happened, and what an organiser may do about it.

Each form brings the version of the enrolment that it showed: where that is not the present one, nothing is
done and the page shows what has changed.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.staff_area import ENROLMENTS
from services.enrolment.pages.questions import answers_of, field_of
from services.enrolment.rules.overview import SessionNumbers
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.service import corrections, enrolments, people
from services.enrolment.service.by_organiser import ByOrganiser
from services.enrolment.service.failures import ChangedMeanwhile, EnrolmentFailure, NotFound
from services.enrolment.service.people import Destination, PersonInSession
from shared import clock
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Email, Line, Name, Paragraph
from shared.web.form_errors import FormError, FormErrors, sentence
from shared.web.forms import Form
from shared.web.logins import StaffVisit

CORRECTABLE: dict[str, TypeAdapter[str]] = {
    "email": TypeAdapter(Email),
    "given_name": TypeAdapter(Name),
    "family_name": TypeAdapter(Name),
}
"""What an organiser may correct of somebody; each has a sentence of its own."""
_LINE: TypeAdapter[str] = TypeAdapter(Line)
_PARAGRAPH: TypeAdapter[str] = TypeAdapter(Paragraph)
MAX_PRIORITY = 1000

Parsed = TypeVar("Parsed")


class OrganiserAction(Protocol):
    """What an organiser does with an enrolment, if it is in this version still; None: in any."""

    async def __call__(
        self, tx: Transaction, by: ByOrganiser, enrolment_id: UUID, *, version: int | None
    ) -> tuple[RosterLine, SessionState]:
        """Return the line of the roster then. Raises why nothing was done."""


class InvalidForm(Exception):
    """A form says nothing that could be done: what is wrong, by field; under "" what is no field's."""

    def __init__(self, errors: FormErrors) -> None:
        super().__init__(errors)
        self.errors = errors


def _parsed(kind: TypeAdapter[Parsed], field: str, typed: str, error: FormError) -> Parsed:
    try:
        return kind.validate_python(typed)
    except ValidationError:
        raise InvalidForm({field: error}) from None


def withdrawal_in(form: Form) -> OrganiserAction:
    """The withdrawal of who asked for it, or whose employer did. Raises ``InvalidForm``."""
    by, typed = form.typed("by"), form.typed("reason")
    if by not in ("agent", "employer"):
        raise InvalidForm({"by": FormError("by")})
    reason = _parsed(_PARAGRAPH, "reason", typed, FormError("too_long")) if typed else None
    return partial(enrolments.withdraw, reason=reason, by_employer=by == "employer")


def priority_in(form: Form) -> OrganiserAction:
    """The priority that somebody who waits is to have, or that before all. Raises ``InvalidForm``."""
    is_first = "premier" in form
    priority = None if is_first else form.number("priority", MAX_PRIORITY)
    if priority is None and not is_first:
        raise InvalidForm({"priority": FormError("priority", MAX_PRIORITY)})
    reason = _parsed(_LINE, "reason", form.typed("reason"), FormError("reason"))
    return partial(enrolments.change_priority, priority=priority, reason=reason)


def _correction_in(form: Form) -> OrganiserAction:
    seen = {field: form.get(f"avant-{field}", "") for field in CORRECTABLE}
    after = {
        field: _parsed(kind, field, form.typed(field), FormError(field))
        for field, kind in CORRECTABLE.items()
        if form.typed(field) != seen[field]
    }
    if not after:
        raise InvalidForm({"": FormError("unchanged")})
    return partial(
        corrections.correct_by_organiser, after=after, seen={field: seen[field] for field in after}
    )


def _answer_in(form: Form) -> OrganiserAction:
    accepted, reason = _heard_in(form)
    return partial(enrolments.reply_to_offer, accepted=accepted, reason=reason)


def approval_in(form: Form) -> OrganiserAction:
    """What the employer said, and how that was heard. Raises ``InvalidForm``."""
    granted, reason = _heard_in(form)
    return partial(enrolments.decide_approval, granted=granted, reason=reason)


def move_in(form: Form) -> OrganiserAction:
    """The move to another session, of who is asked nothing there. Raises ``InvalidForm``."""
    try:
        to_session_id = UUID(form.typed("to_session_id"))
    except ValueError:
        raise InvalidForm({"to_session_id": FormError("to_session_id")}) from None
    return partial(enrolments.move, to_session_id=to_session_id, answers=())


def _heard_in(form: Form) -> tuple[bool, str]:
    """Whether the answer that was heard is yes, and how it was heard. Raises ``InvalidForm``."""
    answer = form.typed("answer")
    if answer not in ("yes", "no"):
        raise InvalidForm({"answer": FormError("answer")})
    return answer == "yes", _parsed(_LINE, "heard", form.typed("heard"), FormError("heard"))


def _join_in(form: Form) -> OrganiserAction:
    other_id = frame.id_in(form.typed("autre"))
    return partial(enrolments.join, other_id=other_id, other_version=frame.version_in(form, "version-autre"))


@dataclass(frozen=True, slots=True)
class PersonPages:
    """The page of a person, and what its forms do by the rules of ``policy``."""

    policy: Policy

    async def show(self, visit: StaffVisit) -> Response:
        """All that is known of one enrolment."""
        return await _page(visit)

    # ------------------------------------------------------------------------------------ what is done

    async def correct(self, visit: StaffVisit) -> Response:
        """Correct names and address."""
        return await self._do(visit, _correction_in, "corrigee")

    async def withdraw(self, visit: StaffVisit) -> Response:
        """Withdraw the person, who asked for it, or whose employer did."""
        return await self._do(visit, withdrawal_in, "desistee")

    async def reply_to_offer(self, visit: StaffVisit) -> Response:
        """Take or leave the seat that is offered, as the person has told the organiser."""
        return await self._do(visit, _answer_in, "repondue")

    async def decide_approval(self, visit: StaffVisit) -> Response:
        """Note that the employer agrees, or does not, as it has told the organiser."""
        return await self._do(visit, approval_in, "accord")

    async def move(self, visit: StaffVisit) -> Response:
        """Move the person to another session of the offer; one that asks questions asks them first."""
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
        move = partial(enrolments.move, to_session_id=to_session_id, answers=answers)
        return await self._do(visit, lambda _form: move, "deplacee")

    async def prioritise(self, visit: StaffVisit) -> Response:
        """Serve somebody who waits sooner or later."""
        return await self._do(visit, priority_in, "priorite")

    async def join(self, visit: StaffVisit) -> Response:
        """Keep this one of two enrolments of one person, once both were seen side by side."""
        if "confirmer" not in visit.form:
            return await _join_page(visit)
        return await self._do(visit, _join_in, "reunie")

    async def note(self, visit: StaffVisit) -> Response:
        """Note something beside the enrolment."""
        try:
            text = _parsed(_PARAGRAPH, "note", visit.form.typed("note"), FormError("note"))
        except InvalidForm as error:
            return await _page(visit, status=422, errors=error.errors)
        return await self._keep(visit, partial(people.add_note, text=text), "notee")

    async def remove_note(self, visit: StaffVisit) -> Response:
        """Take away a note, whose text is gone then."""
        note_id = frame.id_in(visit.form.typed("laquelle"))
        return await self._keep(visit, partial(people.remove_note, note_id=note_id), "note-retiree")

    async def _keep(self, visit: StaffVisit, act: Callable[..., Awaitable[None]], to_say: str) -> Response:
        enrolment_id = frame.enrolment_id_of(visit)
        try:
            async with visit.database.transaction() as tx:
                await act(tx, frame.acting(visit, self.policy), enrolment_id)
        except NotFound as failure:
            raise HTTPException(404) from failure
        return frame.to_person(enrolment_id, to_say, frame.listed_by(visit))

    async def _do(
        self, visit: StaffVisit, action_in: Callable[[Form], OrganiserAction], to_say: str
    ) -> Response:
        """Do what a form asks for, if the enrolment is still as it showed it."""
        enrolment_id, version = frame.enrolment_id_of(visit), frame.version_in(visit.form)
        try:
            act = action_in(visit.form)
            async with visit.database.transaction() as tx:
                line, _ = await act(tx, frame.acting(visit, self.policy), enrolment_id, version=version)
        except InvalidForm as error:
            return await _page(visit, status=422, errors=error.errors, seen=version)
        except ChangedMeanwhile as failure:
            other = failure.enrolment_id != enrolment_id
            return await _page(visit, status=409, seen=None if other else version, other_changed=other)
        except EnrolmentFailure as failure:
            return await _page(visit, status=422, errors={"": frame.why_not(failure)})
        stays = line.enrolment.enrolment_id == enrolment_id
        return frame.to_person(line.enrolment.enrolment_id, to_say, frame.listed_by(visit) if stays else {})


async def _questions_page(visit: StaffVisit, there: Destination, faults: Mapping[str, str]) -> Response:
    """What the other session asks, before the move."""
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit, there.left.session_id)
    return frame.page(
        visit,
        "move-questions.html",
        numbers,
        "participants",
        status=422 if faults else 200,
        person=f"{ENROLMENTS}/{frame.enrolment_id_of(visit)}",
        there=there,
        faults=faults,
        form=visit.form,
        field_of=field_of,
    )


async def _join_page(visit: StaffVisit) -> Response:
    """Two enrolments of one person side by side, and what follows when one ends."""
    found, numbers = await _found(visit)
    other_id = frame.id_in(visit.form.typed("autre"))
    ends = next((twin for twin, _ in found.twins if twin.enrolment.enrolment_id == other_id), None)
    if ends is None:
        return await _page(visit, status=409, other_changed=True)
    return frame.page(visit, "join.html", numbers, "participants", stays=found.line, ends=ends)


async def _found(visit: StaffVisit) -> tuple[PersonInSession, SessionNumbers]:
    """Return who is at the address, and the session. Raises a 404."""
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
