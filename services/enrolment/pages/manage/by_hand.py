from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from stdnum.fr import siret

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.presence import module_of
from services.enrolment.pages.questions import answers_of, field_of
from services.enrolment.rules.questions import asked_of
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import arrivals, enrolments, people
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import EnrolmentByHand
from services.enrolment.service.employers import EmployerDirectory, employers_for
from services.enrolment.service.failures import EnrolmentFailure
from shared.database import Transaction
from shared.events.catalogue import Question, SessionState
from shared.events.portal import QuestionAnswers
from shared.events.vocabulary import Agent, Employer, Function
from shared.web.form_errors import FormError, FormErrors
from shared.web.forms import Form
from shared.web.logins import StaffVisit

PERSON_FIELDS = ("given_name", "family_name", "email", "function")
FIELDS = (*PERSON_FIELDS, "employer", "siret", "delegation")
WITH_OWN_ERROR = ("email", "siret", "function", "delegation")
_BY_PLACE = {"employer.name": "employer", "employer.siret": "siret", "employer.delegation": "delegation"}
LONGEST_REASON = 500
AGAIN = "depuis"


def enrolment_in(
    form: Form, employers: EmployerDirectory, answers: QuestionAnswers
) -> tuple[EnrolmentByHand | None, dict[str, FormError]]:
    name, number = form.typed("employer"), "".join(form.typed("siret").split())
    known = employers.with_siret(form.typed("known"))
    found = employers.called(name, number) if known is None else [known]
    chosen = found[0] if len(found) == 1 else None
    required: Sequence[str] = FIELDS
    if chosen is not None:
        required = PERSON_FIELDS
    elif not (number or form.typed("delegation")):
        required = (*PERSON_FIELDS, "employer")
    errors = {field: FormError("required") for field in required if not form.typed(field)}
    if chosen is None and name and "siret" not in required:
        errors["employer"] = FormError("choose_employer" if employers.similar(name) else "unknown_employer")
    reason = form.typed("above_capacity")
    if len(reason) > LONGEST_REASON:
        errors["above_capacity"] = FormError("too_long")
    described = {
        **{name: form.typed(name) for name in ("email", "given_name", "family_name", "function")},
        "employer": chosen
        or {
            "name": name,
            "siret": number,
            "delegation": form.typed("delegation"),
        },
        "approved": "approved" in form,
        "above_capacity": reason or None,
        "answers": answers,
    }
    try:
        command = EnrolmentByHand.model_validate(described)
    except ValidationError as error:
        for fault in error.errors():
            field = _BY_PLACE.get(".".join(map(str, fault["loc"])), str(fault["loc"][0]))
            if field in required or field not in FIELDS:
                errors.setdefault(
                    field, FormError(field) if field in WITH_OWN_ERROR else FormError("invalid")
                )
        return None, errors
    if chosen is None and not siret.is_valid(command.employer.siret):  # the contract checks only digits
        errors.setdefault("siret", FormError("siret"))
    return command, errors


def answers_in(form: Form, questions: Sequence[Question]) -> tuple[QuestionAnswers, Mapping[str, str]]:
    function = form.typed("function")
    if function not in set(Function):
        return (), {}
    return answers_of(asked_of(questions, Function(function)), form)


_ADDED: Mapping[State, str] = {
    State.WAITLISTED: "ajoutee-attente",
    State.PENDING_APPROVAL: "ajoutee-decision",
    State.PENDING_SELECTION: "ajoutee-decision",
}


async def show(visit: StaffVisit) -> Response:
    """Show the form. A POST enrols the person, or shows the refusal.

    A module in the address means the check-in page: the POST notes the arrival too.
    """
    if visit.request.method != "POST":
        return await _page(visit)
    async with visit.database.quiet_transaction() as tx:
        session = (await frame.own_session(tx, visit)).session
        employers = await employers_for(tx, visit.who, everywhere=True)
        before = await _before(tx, visit)
    found = await _searched(visit, employers)
    answers, faults = answers_in(visit.form, session.questions)
    command, errors = enrolment_in(visit.form, employers.with_found(found), answers)
    if command is None or errors or faults:
        return await _page(visit, errors=errors, faults=faults, found=found)
    try:
        async with frame.acting(visit) as acting:
            line, session = await enrolments.enrol_by_hand(acting, session.session_id, command, before=before)
            if _at_door(visit):
                return await _note_arrival(acting, visit, session, line)
    except EnrolmentFailure as failure:
        return await _page(visit, errors={"": frame.why_not(failure)}, found=found)
    return frame.to_person(line.enrolment.enrolment_id, _ADDED.get(line.enrolment.state, "ajoutee"))


async def _searched(visit: StaffVisit, employers: EmployerDirectory) -> Sequence[Employer]:
    """Search the State's register for an employer that nobody here knows by that name or SIRET."""
    name, number = visit.form.typed("employer"), "".join(visit.form.typed("siret").split())
    if employers.called(name, number) or (not number and employers.similar(name)):
        return ()
    return await frame.employer_search_of(visit).find(number or name)


async def _before(tx: Transaction, visit: StaffVisit) -> Agent | None:
    if AGAIN not in visit.request.query_params:
        return None
    enrolment_id = frame.id_in(visit.request.query_params[AGAIN])
    before = await people.read_agent(tx, enrolment_id, visit.who, frame.reading(visit))
    if before is None:
        raise HTTPException(404)
    return before


def _values(visit: StaffVisit, before: Agent | None) -> dict[str, str]:
    if before is None or visit.request.method == "POST":
        return {name: visit.form.get(name, "") for name in (*FIELDS, "known", "above_capacity")}
    employer = before.employer
    names = {name: getattr(before, name) for name in ("given_name", "family_name", "email", "function")}
    work = {"employer": employer.name, "siret": employer.siret, "delegation": employer.delegation}
    return {**names, **work, "known": "", "above_capacity": ""}


def _at_door(visit: StaffVisit) -> bool:
    return "seance" in visit.request.query_params


async def _note_arrival(
    acting: Acting, visit: StaffVisit, session: SessionState, line: RosterLine
) -> Response:
    module, code = module_of(visit, session), str(line.enrolment.enrolment_id)
    is_here = line.enrolment.state.has_seat
    if is_here:
        await arrivals.note(acting, session.session_id, module, code)
    return frame.to_session(
        session.session_id,
        "/pointage",
        done=f"pointee-{code}" if is_here else "sans-place",
        at=f"p-{code}" if is_here else "",
        seance=module + 1,
    )


async def _page(
    visit: StaffVisit,
    errors: FormErrors | None = None,
    faults: Mapping[str, str] | None = None,
    found: Sequence[Employer] = (),
) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        employers = (await employers_for(tx, visit.who, everywhere=bool(errors))).with_found(found)
        before = await _before(tx, visit)
    wrong_answers = {field: FormError(code) for field, code in (faults or {}).items()}
    return frame.page(
        visit,
        "by-hand.html",
        numbers,
        "participants",
        status=422 if errors or faults else 200,
        values=_values(visit, before),
        again=visit.request.query_params.get(AGAIN, ""),
        approved="approved" in visit.form,
        suggested=employers.names,
        similar={
            employer.siret: f"{employer.name} ({employer.siret})"
            for employer in employers.similar(visit.form.typed("employer"))
        },
        errors={**(errors or {}), **wrong_answers},
        faults=faults or {},
        form=visit.form,
        field_of=field_of,
        module=module_of(visit, numbers.session) if _at_door(visit) else None,
    )
