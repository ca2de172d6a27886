"""One person in a session: what is known, what happened, and what an organiser may do about it.

Each form brings the version of the enrolment that it showed: where that is not the present one, nothing is
done and the page shows what has changed.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.frame import NotDone
from services.enrolment.pages.manage.staff_area import ENROLMENTS
from services.enrolment.pages.questions import answers_of, field_of
from services.enrolment.rules.eligibility import Refused
from services.enrolment.rules.organising import OrganisingFault
from services.enrolment.rules.policy import Policy
from services.enrolment.service import corrections, enrolments, people
from services.enrolment.service.enrolments import HasEnded
from services.enrolment.service.people import Destination
from shared import clock
from shared.database import Transaction
from shared.events.vocabulary import Email, Line, Name, Paragraph, Reason
from shared.web.form_errors import FormError, FormErrors
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


class ChangedMeanwhile(Exception):
    """Nothing was done: the enrolment is not as the form showed it, in this version.

    Or not the other one of a pair: there ``seen`` is None.
    """

    def __init__(self, seen: int | None) -> None:
        super().__init__(seen)
        self.seen = seen


LockSessions = Callable[[Transaction, UUID], Awaitable[None]]
DoneInSession = Callable[[Transaction, StaffVisit, UUID], Awaitable[object]]


def _parsed(kind: TypeAdapter[Parsed], field: str, typed: str, error: FormError) -> Parsed:
    try:
        return kind.validate_python(typed)
    except ValidationError:
        raise NotDone({field: error}) from None


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
        return await self._do(visit, self._correct, "corrigee", lock=corrections.lock_all_of_agent)

    async def _correct(self, tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
        form = visit.form
        after: dict[str, str] = {}
        for field, kind in CORRECTABLE.items():
            typed = form.typed(field)
            if typed != form.get(f"avant-{field}", ""):
                after[field] = _parsed(kind, field, typed, FormError(field))
        if not after:
            raise NotDone({"": FormError("unchanged")})
        found = await enrolments.find_own(tx, enrolment_id, visit.who)
        if found is not None and any(
            getattr(found.enrolment.agent, field) != form.get(f"avant-{field}", "") for field in after
        ):
            raise ChangedMeanwhile(found.enrolment.version)
        return await corrections.correct_by_organiser(tx, enrolment_id, after, visit.who, clock.now())

    async def withdraw(self, visit: StaffVisit) -> Response:
        """Withdraw the person, who asked for it, or whose employer did."""
        return await self._do(visit, self.withdraw_one, "desistee")

    async def withdraw_one(self, tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
        """Withdraw somebody as the form says. Raises ``NotDone`` for what is wrong with it."""
        by, typed = visit.form.typed("by"), visit.form.typed("reason")
        if by not in ("agent", "employer"):
            raise NotDone({"by": FormError("by")})
        reason = _parsed(_PARAGRAPH, "reason", typed, FormError("too_long")) if typed else None
        return await enrolments.withdraw(
            tx,
            enrolment_id,
            reason=reason,
            by_employer=by == "employer",
            organiser=visit.who,
            policy=self.policy,
            now=clock.now(),
        )

    async def answer_offer(self, visit: StaffVisit) -> Response:
        """Take or leave the seat that is offered, as the person has told the organiser."""
        return await self._do(visit, self._answer_offer, "repondue")

    async def _answer_offer(self, tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
        accepted, reason = _answer_in(visit)
        return await enrolments.answer_offer(
            tx,
            enrolment_id,
            accepted=accepted,
            reason=reason,
            organiser=visit.who,
            policy=self.policy,
            now=clock.now(),
        )

    async def decide_approval(self, visit: StaffVisit) -> Response:
        """Note that the employer agrees, or does not, as it has told the organiser."""
        return await self._do(visit, self._decide_approval, "accord")

    async def _decide_approval(self, tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
        granted, reason = _answer_in(visit)
        return await enrolments.decide_approval(
            tx,
            enrolment_id,
            granted=granted,
            reason=reason,
            organiser=visit.who,
            policy=self.policy,
            now=clock.now(),
        )

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

        async def lock_both(tx: Transaction, enrolment_id: UUID) -> None:
            await enrolments.lock(tx, enrolment_id, to_session_id)

        async def action(tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
            return await enrolments.move(
                tx,
                enrolment_id,
                to_session_id,
                answers,
                organiser=visit.who,
                policy=self.policy,
                now=clock.now(),
            )

        return await self._do(visit, action, "deplacee", lock=lock_both)

    async def prioritise(self, visit: StaffVisit) -> Response:
        """Serve somebody who waits sooner or later."""
        return await self._do(visit, self.prioritise_one, "priorite")

    async def prioritise_one(self, tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
        """Give somebody the priority of the form. Raises ``NotDone`` for what is wrong with it."""
        priority = visit.form.number("priority", MAX_PRIORITY)
        if priority is None:
            raise NotDone({"priority": FormError("priority", MAX_PRIORITY)})
        reason = _parsed(_LINE, "reason", visit.form.typed("reason"), FormError("reason"))
        return await enrolments.change_priority(
            tx,
            enrolment_id,
            priority=priority,
            reason=reason,
            organiser=visit.who,
            policy=self.policy,
            now=clock.now(),
        )

    async def join(self, visit: StaffVisit) -> Response:
        """Keep this one of two enrolments of one person."""
        return await self._do(visit, self._join, "reunie")

    async def _join(self, tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
        other = frame.id_in(visit.form.typed("autre"))
        found = await enrolments.find_own(tx, other, visit.who)
        if found is not None and found.enrolment.version != frame.version_in(visit.form, "version-autre"):
            raise ChangedMeanwhile(None)
        return await enrolments.join(
            tx, enrolment_id, other, organiser=visit.who, policy=self.policy, now=clock.now()
        )

    async def note(self, visit: StaffVisit) -> Response:
        """Note something beside the enrolment."""
        return await self._do(visit, _note, "notee", versioned=False)

    async def _do(
        self,
        visit: StaffVisit,
        action: DoneInSession,
        to_say: str,
        *,
        lock: LockSessions = enrolments.lock,
        versioned: bool = True,
    ) -> Response:
        """Do what a form asks for, in one transaction, if the enrolment is still as it showed it."""
        enrolment_id = frame.enrolment_id_of(visit)
        try:
            version = frame.version_in(visit.form) if versioned else None
            result = await done(visit, enrolment_id, action, version, lock=lock)
        except NotDone as error:
            return await _page(visit, status=422, errors=error.errors)
        except ChangedMeanwhile as error:
            return await _page(visit, status=409, seen=error.seen, other_changed=error.seen is None)
        if to_say == "deplacee" and isinstance(result, tuple):
            enrolment_id = result[0].enrolment.enrolment_id
        return frame.to_person(enrolment_id, to_say)


def _answer_in(visit: StaffVisit) -> tuple[bool, str]:
    """Whether the answer that was heard is yes, and how it was heard. Raises ``NotDone``."""
    answer = visit.form.typed("answer")
    if answer not in ("yes", "no"):
        raise NotDone({"answer": FormError("answer")})
    return answer == "yes", _parsed(_LINE, "heard", visit.form.typed("heard"), FormError("heard"))


async def _note(tx: Transaction, visit: StaffVisit, enrolment_id: UUID) -> object:
    text = _parsed(_PARAGRAPH, "note", visit.form.typed("note"), FormError("note"))
    return await people.add_note(tx, enrolment_id, text, visit.who, clock.now()) or None


async def done(
    visit: StaffVisit,
    enrolment_id: UUID,
    action: DoneInSession,
    version: int | None,
    *,
    lock: LockSessions = enrolments.lock,
) -> object:
    """Do something with one enrolment, in a transaction of its own; None: in whatever ``version`` it is.

    The sessions in which something changes are locked first: nobody else changes the enrolment meanwhile.
    Raises ``NotDone``, ``ChangedMeanwhile``, or a 404 where it is in no session of who visits.
    """
    async with visit.database.transaction() as tx:
        if version is not None:
            await lock(tx, enrolment_id)
            found = await enrolments.find_own(tx, enrolment_id, visit.who, lock=True)
            if found is None:
                raise HTTPException(404)
            if found.enrolment.version != version:
                raise ChangedMeanwhile(version)
        result = await action(tx, visit, enrolment_id)
        raise_unless_done(result)
    return result


def raise_unless_done(result: object) -> None:
    """Raise what is to be said of an action that did nothing."""
    match result:
        case None:
            raise HTTPException(404)
        case HasEnded():
            raise NotDone({"": FormError("enrolment_has_ended")})
        case Refused():
            raise NotDone({"": FormError("session_has_started")})
        case OrganisingFault():
            raise NotDone({"": FormError(result)})
        case Reason():
            raise NotDone({"": frame.refusal(result)})
        case _:
            return


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


async def _page(
    visit: StaffVisit,
    *,
    status: int = 200,
    errors: FormErrors | None = None,
    seen: int | None = None,
    other_changed: bool = False,
) -> Response:
    async with visit.database.quiet_transaction() as tx:
        found = await people.show(
            tx, frame.enrolment_id_of(visit), visit.who, frame.reading(visit), clock.now()
        )
        if found is None:
            raise HTTPException(404)
        numbers = await frame.own_session(tx, visit, found.session.session_id)
    agent = found.line.enrolment.agent
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
        stored=stored,
        values=blank | stored | typed,
        errors=errors,
        other_changed=other_changed,
        since=None if seen is None else [each for each in found.changes if each.version > seen],
    )
