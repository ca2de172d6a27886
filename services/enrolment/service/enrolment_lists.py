"""Lists of people whom an organiser or an officer enrols at once: each row is a request by hand (rule 25)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from pydantic import ValidationError
from stdnum.fr import siret

from services.enrolment.rules.links import ListLinkState, list_state
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.questions import takes
from services.enrolment.rules.requests import ByHand, SeatRequest
from services.enrolment.rules.roster_lines import plain
from services.enrolment.rules.states import State
from services.enrolment.service import requests
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import EnrolmentByHand
from services.enrolment.service.employers import EmployerDirectory, is_siret
from services.enrolment.service.sessions import lock_own
from services.enrolment.store import enrolments, sessions
from shared.database import Transaction
from shared.events.catalogue import Question, SessionState
from shared.events.portal import AnswerValue, QuestionAnswer
from shared.events.reasons import Reason
from shared.events.vocabulary import Adjustment, Agent, Employer, Function, QuestionKind
from shared.web import labels
from shared.web.spreadsheets import Column, Fault, SheetRow

MOST_PEOPLE = 500
MOST_SEARCHED = 20
OFFICER = "service formation"
"""The author of what an officer enrols: a link names nobody."""
FAMILY_NAME = Column("family_name", "Nom", aliases=("Nom de famille", "Nom d’usage"))
GIVEN_NAME = Column("given_name", "Prénom", aliases=("Prénoms",))
EMAIL = Column(
    "email",
    "Courriel",
    aliases=("Mail", "E-mail", "Adresse", "Adresse mail", "Adresse e-mail", "Adresse électronique"),
)
FUNCTION = Column("function", "Fonction", required=False, aliases=("Poste", "Emploi"))
EMPLOYER = Column(
    "employer", "Employeur", required=False, aliases=("Nom de l’employeur", "Collectivité", "Établissement")
)
SIRET = Column("siret", "SIRET", required=False, aliases=("SIRET de l’employeur", "N° SIRET", "Numéro SIRET"))
DELEGATION = Column("delegation", "Délégation", required=False, aliases=("Délégation de l’employeur",))
COLUMNS = (FAMILY_NAME, GIVEN_NAME, EMAIL, FUNCTION, EMPLOYER, SIRET, DELEGATION)
FROM_FORM = (FUNCTION, EMPLOYER, DELEGATION)
"""A row without these takes what the form says for all rows."""

_YES_NO = {"oui": True, "non": False}
_ADJUSTMENTS: Mapping[str, Adjustment] = {
    plain(text): code for code, label in labels.ADJUSTMENTS.items() for text in (code, label)
}
_FUNCTIONS: Mapping[str, Function] = {
    **{plain(label): function for function, label in labels.FUNCTIONS.items()},
    **{function.value.replace("_", " "): function for function in Function},
    "agente": Function.AGENT,
    "encadrante": Function.ENCADRANT,
    "cadre": Function.ENCADRANT,
    "cheffe de service": Function.CHEF_DE_SERVICE,
    "dirigeante": Function.DIRIGEANT,
}
_DELEGATIONS: Mapping[str, str] = {
    plain(text): code for code, label in labels.DELEGATIONS.items() for text in (code, label)
}


@dataclass(frozen=True, slots=True)
class ListedPerson:
    line: int
    command: EnrolmentByHand

    @property
    def who(self) -> tuple[str, str, str]:
        return _who(self.command.email, self.command.given_name, self.command.family_name)


@dataclass(frozen=True, slots=True)
class ListedResult:
    """``place`` is that in line.

    ``is_new`` is False if the person was in the session already, or had withdrawn.
    """

    person: ListedPerson
    state: State
    reason: Reason | None = None
    place: int | None = None
    is_new: bool = True


def columns_for(questions: Sequence[Question]) -> Sequence[Column]:
    """Return the columns of a list. Those of the questions have the headings of a roster, or their words."""
    asked = (
        Column(
            _column_of(question), question.label, required=False, aliases=(f"Question : {question.label}",)
        )
        for question in questions
    )
    return (*COLUMNS, *asked)


def _column_of(question: Question) -> str:
    return f"question_{question.question_id}"


def people_in(
    rows: Sequence[SheetRow],
    for_all: Mapping[str, str],
    employers: EmployerDirectory,
    questions: Sequence[Question] = (),
    *,
    approved: bool,
) -> tuple[list[ListedPerson], list[Fault]]:
    """Return the people whom the rows describe, and at most one fault of each other row."""
    people: dict[tuple[str, str, str], ListedPerson] = {}
    faults: list[Fault] = []
    for row in rows:
        cells = {name: cell or for_all.get(name, "") for name, cell in row.cells.items()}
        person = _person(row.line, cells, employers, questions, approved=approved)
        if isinstance(person, ListedPerson) and person.who in people:
            message = f"is the person of line {people[person.who].line}"
            person = Fault(row.line, "twice", message, FAMILY_NAME.name)
        if isinstance(person, Fault):
            faults.append(person)
        else:
            people[person.who] = person
    return list(people.values()), faults


def _person(
    line: int,
    cells: Mapping[str, str],
    employers: EmployerDirectory,
    questions: Sequence[Question],
    *,
    approved: bool,
) -> ListedPerson | Fault:
    for column in (FAMILY_NAME, GIVEN_NAME, EMAIL, FUNCTION):
        if not cells[column.name]:
            return Fault(line, "empty", "is empty", column.name)
    function = _FUNCTIONS.get(plain(cells[FUNCTION.name]))
    if function is None:
        return Fault(line, "not_a_function", "is none of the functions", FUNCTION.name)
    employer = _employer(line, cells, employers)
    if isinstance(employer, Fault):
        return employer
    answers = []
    for question in questions:
        if cell := cells[_column_of(question)]:
            answer = _answer(question, cell)
            if answer is None:
                return Fault(line, question.kind, "is no answer to this question", _column_of(question))
            answers.append(answer)
    try:
        command = EnrolmentByHand(
            family_name=cells[FAMILY_NAME.name],
            given_name=cells[GIVEN_NAME.name],
            email=cells[EMAIL.name],
            function=function,
            employer=employer,
            approved=approved,
            answers=tuple(answers),
        )
    except ValidationError as error:
        return Fault(line, "invalid", "is not valid", str(error.errors()[0]["loc"][0]))
    return ListedPerson(line, command)


def _answer(question: Question, cell: str) -> QuestionAnswer | None:
    try:
        answer = QuestionAnswer(question_id=question.question_id, value=_value(question, cell))
    except ValidationError:
        return None
    return answer if takes(question, answer.value) else None


def _value(question: Question, cell: str) -> AnswerValue:
    """Return the cell's value in the question's type, or as text if it is invalid."""
    match question.kind:
        case QuestionKind.YES_NO:
            return _YES_NO.get(plain(cell), cell)
        case QuestionKind.NUMBER if cell.isascii() and cell.isdigit() and len(cell) < 10:
            return int(cell)
        case QuestionKind.CHOICE:
            return {plain(choice): choice for choice in question.choices}.get(plain(cell), cell)
        case QuestionKind.ADJUSTMENT:
            return _needed(plain(cell)) or cell
    return cell


def _needed(cell: str) -> tuple[Adjustment, ...]:
    """Return the adjustments that the cell lists, or none if it says anything else. Labels have commas."""
    needed: dict[Adjustment, None] = {}
    for name, adjustment in _ADJUSTMENTS.items():
        if name in cell:
            cell = cell.replace(name, "")
            needed[adjustment] = None
    return () if cell.strip(" ,;/\n") else tuple(needed)


def unknown_sirets(rows: Sequence[SheetRow], employers: EmployerDirectory) -> Sequence[str]:
    """Return at most :data:`MOST_SEARCHED` SIRETs that nobody here knows, in the order of the list."""
    cells = (row.cells for row in rows)
    numbers = ("".join((cell[SIRET.name] or cell[EMPLOYER.name]).split()) for cell in cells)
    valid = (number for number in numbers if is_siret(number) and siret.is_valid(number))
    return list(dict.fromkeys(each for each in valid if employers.with_siret(each) is None))[:MOST_SEARCHED]


def _employer(line: int, cells: Mapping[str, str], employers: EmployerDirectory) -> Employer | Fault:
    """A known SIRET says name and delegation. A name says the SIRET if exactly one employer has it."""
    name, number = cells[EMPLOYER.name], "".join(cells[SIRET.name].split())
    if not (name or number):
        return Fault(line, "empty", "is empty", EMPLOYER.name)
    if number and not (is_siret(number) and siret.is_valid(number)):
        return Fault(line, "not_a_siret", "is not a SIRET", SIRET.name)
    match employers.called(name, number):
        case [known]:
            return known
        case [] if number or is_siret("".join(name.split())):
            return _described(line, number, cells)
        case []:
            public = employers.public(name)
            if delegation := _DELEGATIONS.get(plain(cells[DELEGATION.name])):
                public = [employer for employer in public if employer.delegation == delegation]
            if public:
                return public[0] if len(public) == 1 else _several(line)
            return Fault(line, "unknown_employer", "is not known here: add its SIRET", EMPLOYER.name)
        case _:
            return _several(line)


def _several(line: int) -> Fault:
    return Fault(line, "several_employers", "is the name of several employers", EMPLOYER.name)


def _described(line: int, number: str, cells: Mapping[str, str]) -> Employer | Fault:
    name, delegation = cells[EMPLOYER.name], _DELEGATIONS.get(plain(cells[DELEGATION.name]))
    if not number or not name:
        return Fault(line, "unknown_siret", "is not known here: add the employer's name", EMPLOYER.name)
    if delegation is None:
        return Fault(line, "not_a_delegation", "is none of the delegations", DELEGATION.name)
    try:
        return Employer(siret=number, name=name, delegation=delegation)
    except ValidationError:
        return Fault(line, "invalid", "is not valid", EMPLOYER.name)


async def enrol(acting: Acting, session_id: UUID, people: Sequence[ListedPerson]) -> list[ListedResult]:
    """Judge the people in their order. The caller rolls back if the results are not to be kept.

    A person who is in the session, or has withdrawn from it, keeps that state. Raises ``NotFound``.
    """
    # Lock the session first: otherwise two lists at once would make two agents of one person.
    await lock_own(acting.tx, session_id, acting.who)
    by_hand = ByHand(acting.who.name)
    return await _enrol(acting.tx, session_id, people, by_hand, policy=acting.policy, now=acting.now)


async def opens_to_officer(
    tx: Transaction, session_id: UUID, siret: str, now: datetime
) -> tuple[ListLinkState, SessionState | None, EmployerDirectory]:
    """Return the state of an officer's link, its session, and the officer's own authority if it is known."""
    session = await sessions.find(tx, session_id)
    known = [] if session is None else await enrolments.employers_of_organiser(tx, session.organiser)
    own = EmployerDirectory([employer for employer in known if employer.siret == siret])
    return list_state(session, siret, now), session, own


async def enrol_for_officer(
    tx: Transaction,
    session_id: UUID,
    siret: str,
    people: Sequence[ListedPerson],
    *,
    policy: Policy,
    now: datetime,
) -> list[ListedResult]:
    """Do what :func:`enrol` does, for the officer of an authority with a private session (rule 14).

    As in a nomination, a person who has withdrawn and is named again is judged again.
    """
    await sessions.lock(tx, [session_id])
    return await _enrol(tx, session_id, people, ByHand(OFFICER, officer_of=siret), policy=policy, now=now)


async def _enrol(
    tx: Transaction,
    session_id: UUID,
    people: Sequence[ListedPerson],
    by_hand: ByHand,
    *,
    policy: Policy,
    now: datetime,
) -> list[ListedResult]:
    named = await enrolments.named(tx, session_id, [person.command.email for person in people])
    before = {_who(row.email, row.given_name, row.family_name): State(row.state) for row in named}
    asked: dict[UUID, ListedPerson] = {}
    asking: list[SeatRequest] = []
    results: list[ListedResult] = []
    for person in people:
        state = before.get(person.who)
        stays = state is State.WITHDRAWN and by_hand.officer_of is None
        if state is not None and (state.is_live or stays):
            results.append(ListedResult(person, state, is_new=False))
            continue
        agent = await _agent(tx, person.command)
        request = SeatRequest(
            uuid4(), now, session_id, agent, person.command.approved, by_hand, person.command.answers
        )
        asked[request.request_id] = person
        asking.append(request)
    decided = await requests.process(tx, asking, policy, now)
    for request in asking:
        result = decided[request.key]
        if result is None:
            raise LookupError("a session that was there is not")
        place = result.numbers.get("place_in_line")
        results.append(
            ListedResult(
                asked[request.request_id],
                State(result.state),
                result.reason,
                place if isinstance(place, int) else None,
            )
        )
    return sorted(results, key=lambda result: result.person.line)


async def _agent(tx: Transaction, command: EnrolmentByHand) -> Agent:
    agent = command.agent()
    known = await enrolments.known_by_hand(tx, agent)
    return agent if known is None else agent.model_copy(update={"agent_id": known})


def _who(email: str, given_name: str, family_name: str) -> tuple[str, str, str]:
    return email.lower(), given_name.lower(), family_name.lower()
