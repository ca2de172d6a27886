"""Organisers enrol somebody: before the session, or on the day, whoever is at the door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from stdnum.fr import siret

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.presence import module_of
from services.enrolment.pages.questions import answers_of, field_of
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.questions import asked_of
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import arrivals, enrolments, people
from services.enrolment.service.by_organiser import ByOrganiser
from services.enrolment.service.failures import EnrolmentFailure
from shared.database import Transaction
from shared.events.catalogue import Question, SessionState
from shared.events.portal import QuestionAnswers
from shared.events.vocabulary import Agent, Employer, Function
from shared.messaging.portals.registry import OWN_ISSUER
from shared.web.form_errors import FormError, FormErrors
from shared.web.forms import Form
from shared.web.logins import StaffVisit

FIELDS = ("given_name", "family_name", "email", "function", "employer", "siret", "delegation")
EMPLOYER_FIELDS = ("employer", "siret", "delegation")
WITH_OWN_ERROR = ("email", "siret", "function", "delegation")
"""Fields whose sentence says what they take."""
_BY_PLACE = {"employer.name": "employer", "employer.siret": "siret", "employer.delegation": "delegation"}
LONGEST_REASON = 500
AGAIN = "depuis"
"""The enrolment of who is enrolled again, in the address."""


def agent_in(form: Form, known: Sequence[Employer] = ()) -> tuple[Agent | None, dict[str, FormError]]:
    """Return the agent that a form describes, with a new identifier of ours, or what is wrong, by field.

    ``known``: the employers of which one may be chosen, by its SIRET, instead of being typed.
    """
    chosen = next((employer for employer in known if employer.siret == form.typed("known")), None)
    typed_here = [name for name in FIELDS if chosen is None or name not in EMPLOYER_FIELDS]
    errors = {name: FormError("required") for name in typed_here if not form.typed(name)}
    described = {
        "agent_id": uuid4().hex,
        "issuer": OWN_ISSUER,
        "email": form.typed("email"),
        "given_name": form.typed("given_name"),
        "family_name": form.typed("family_name"),
        "function": form.typed("function"),
        "employer": chosen
        or {
            "name": form.typed("employer"),
            "siret": form.typed("siret").replace(" ", "").replace("\u00a0", ""),
            "delegation": form.typed("delegation"),
        },
    }
    try:
        agent = Agent.model_validate(described)
    except ValidationError as error:
        for fault in error.errors():
            name = _BY_PLACE.get(".".join(map(str, fault["loc"])), str(fault["loc"][0]))
            errors.setdefault(name, FormError(name) if name in WITH_OWN_ERROR else FormError("invalid"))
        return None, errors
    if chosen is None and not siret.is_valid(agent.employer.siret):  # the contract looks at the form alone
        errors.setdefault("siret", FormError("siret"))
    return (None if errors else agent), errors


def answers_in(form: Form, questions: Sequence[Question]) -> tuple[QuestionAnswers, Mapping[str, str]]:
    """Return what a form answers to what its function is asked, and what is wrong with it, by field."""
    function = form.typed("function")
    if function not in set(Function):
        return (), {}
    return answers_of(asked_of(questions, Function(function)), form)


_ADDED: Mapping[State, str] = {
    State.WAITLISTED: "ajoutee-attente",
    State.PENDING_APPROVAL: "ajoutee-decision",
    State.PENDING_SELECTION: "ajoutee-decision",
}
"""What was done, of who has no seat yet."""


@dataclass(frozen=True, slots=True)
class ByHandPage:
    """The form, and what comes of it by the rules of ``policy``."""

    policy: Policy

    async def show(self, visit: StaffVisit) -> Response:
        """The form; on POST the person is enrolled, waits, or the page says why not.

        Whoever comes from the door, where the address has a module, goes back there: the arrival is noted.
        """
        if visit.request.method != "POST":
            return await _page(visit)
        async with visit.database.quiet_transaction() as tx:
            session = (await frame.own_session(tx, visit)).session
            known = await people.employers(tx, session.session_id)
            before = await _before(tx, visit)
        agent, errors = agent_in(visit.form, known)
        answers, faults = answers_in(visit.form, session.questions)
        reason = visit.form.typed("above_capacity")
        if len(reason) > LONGEST_REASON:
            errors["above_capacity"] = FormError("too_long")
        if agent is None or errors or faults:
            return await _page(visit, errors=errors, faults=faults)
        by = frame.acting(visit, self.policy)
        try:
            async with visit.database.transaction() as tx:
                line, session = await enrolments.enrol_by_hand(
                    tx,
                    by,
                    session.session_id,
                    agent,
                    approved="approved" in visit.form,
                    above_capacity=reason or None,
                    answers=answers,
                    before=before,
                )
                if _at_door(visit):
                    return await _note_arrival(tx, visit, by, session, line)
        except EnrolmentFailure as failure:
            return await _page(visit, errors={"": frame.why_not(failure)})
        return frame.to_person(line.enrolment.enrolment_id, _ADDED.get(line.enrolment.state, "ajoutee"))


async def _before(tx: Transaction, visit: StaffVisit) -> Agent | None:
    """Who is enrolled again, as the address says. Raises a 404 for whom an enrolment of others is."""
    if AGAIN not in visit.request.query_params:
        return None
    enrolment_id = frame.id_in(visit.request.query_params[AGAIN])
    before = await people.agent_before(tx, enrolment_id, visit.who, frame.reading(visit))
    if before is None:
        raise HTTPException(404)
    return before


def _values(visit: StaffVisit, before: Agent | None) -> dict[str, str]:
    """What the form has: what was typed, or first what is known of who is enrolled again."""
    if before is None or visit.request.method == "POST":
        return {name: visit.form.get(name, "") for name in (*FIELDS, "known", "above_capacity")}
    employer = before.employer
    names = {name: getattr(before, name) for name in ("given_name", "family_name", "email", "function")}
    work = {"employer": employer.name, "siret": employer.siret, "delegation": employer.delegation}
    return {**names, **work, "known": "", "above_capacity": ""}


def _at_door(visit: StaffVisit) -> bool:
    return "seance" in visit.request.query_params


async def _note_arrival(
    tx: Transaction, visit: StaffVisit, by: ByOrganiser, session: SessionState, line: RosterLine
) -> Response:
    """Note that somebody who has a seat has come to the module of the address, and lead back to the door."""
    module, code = module_of(visit, session), str(line.enrolment.enrolment_id)
    is_here = line.enrolment.state.has_seat
    if is_here:
        await arrivals.note(tx, by, session.session_id, module, code)
    return frame.to_session(
        session.session_id,
        "/pointage",
        done=f"pointee-{code}" if is_here else "sans-place",
        at=f"p-{code}" if is_here else "",
        seance=module + 1,
    )


async def _page(
    visit: StaffVisit, errors: FormErrors | None = None, faults: Mapping[str, str] | None = None
) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        known = await people.employers(tx, numbers.session.session_id)
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
        known={employer.siret: employer.name for employer in known},
        errors={**(errors or {}), **wrong_answers},
        faults=faults or {},
        form=visit.form,
        field_of=field_of,
        module=module_of(visit, numbers.session) if _at_door(visit) else None,
    )
