from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.ranking import RankingDraft
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.service import sheet_cells as cells
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance
from shared.events.vocabulary import Adjustment
from shared.web import french, labels, spreadsheets
from shared.web.spreadsheets import Cell, Column, Fault, SheetRow

AGENT = Column("agent_id", "Identifiant")
ISSUER = Column("issuer", "Émetteur", required=False)
RANK = Column("rank", "Rang")
MODULE = Column("module", "Numéro de séance", required=False)
ATTENDANCE = Column("attendance", "Présence")

FAMILY_NAME = Column("family_name", "Nom", required=False)
GIVEN_NAME = Column("given_name", "Prénom", required=False)

WHO = (AGENT, ISSUER, FAMILY_NAME, GIVEN_NAME)
_PLACE = (
    Column("function", "Fonction"),
    Column("employer", "Employeur"),
    Column("siret", "SIRET"),
    Column("delegation", "Délégation"),
)


@dataclass(frozen=True, slots=True)
class AttendanceLine:
    agent: NamedAgent
    module: int | None
    attendance: Attendance


def module_title(session: SessionState, number: int) -> str | None:
    """The module counts from 0. Returns None for a whole session or a removed module."""
    return session.modules[number].title if number < len(session.modules) else None


def roster_heading(session: SessionState, asked_before: Mapping[str, str]) -> bytes:
    """The last columns are the modules, the questions, and removed questions."""
    modules = [Column(f"module_{n}", f"Séance {n} : {m.title}") for n, m in enumerate(session.modules, 1)]
    removed = [
        Column(f"question_{question_id}", f"Question retirée : {label}")
        for question_id, label in asked_before.items()
    ]
    return spreadsheets.heading(
        [*_roster(session), *(modules or [ATTENDANCE]), *_questions(session), *removed]
    )


def _questions(session: SessionState) -> list[Column]:
    return [
        Column(f"question_{question.question_id}", f"Question : {question.label}")
        for question in session.questions
    ]


def _roster(session: SessionState) -> list[Column]:
    return [
        Column("state", "Situation"),
        Column("position", "Place dans la liste d’attente"),
        Column("reason", "Motif du refus"),
        *WHO,
        Column("email", "Courriel"),
        Column("address_is_bad", "Courriel à vérifier"),
        *_PLACE,
        _moments("received_at", "Demande reçue le", session),
        _moments("hold_until", "Réponse attendue avant le", session),
        Column("priority", "Priorité"),
        Column("same_person", "Aussi inscrite ou inscrit sous"),
        Column("above_capacity", "Au-delà de la capacité"),
        Column("enrolment_id", "Référence"),
    ]


def _moments(name: str, title: str, session: SessionState) -> Column:
    return Column(name, f"{title} ({french.zone(session.timezone)})")


def roster_lines(
    lines: Sequence[RosterLine], session: SessionState, asked_before: Mapping[str, str]
) -> bytes:
    question_ids = [*(question.question_id for question in session.questions), *asked_before]
    return spreadsheets.lines(_roster_line(line, session, question_ids) for line in lines)


def _roster_line(line: RosterLine, session: SessionState, question_ids: Sequence[str]) -> list[Cell]:
    enrolment = line.enrolment
    modules = range(max(1, len(session.modules)))
    is_offered = enrolment.state is State.OFFERED
    return [
        labels.ROSTER_STATES[enrolment.state],
        line.position,
        enrolment.reason.refusal.label if enrolment.reason else None,
        *_who(line),
        enrolment.agent.email,
        "oui" if line.address_is_bad else None,
        *_place(line),
        _local(enrolment.received_at, session),
        _local(enrolment.hold_until, session) if enrolment.hold_until and is_offered else None,
        enrolment.priority or None,
        ", ".join(map(str, line.same_person)) or None,
        line.above_capacity,
        str(enrolment.enrolment_id),
        *(_attendance(line, number) for number in modules),
        *(_answer(line, question_id) for question_id in question_ids),
    ]


def ranking_form(
    candidates: Sequence[RosterLine], session: SessionState, draft: RankingDraft | None = None
) -> bytes:
    received = _moments("received_at", "Candidature reçue le", session)
    return spreadsheets.write(
        (RANK, *WHO, *_PLACE, received, *_questions(session)),
        (
            [
                _rank(line, draft),
                *_who(line),
                *_place(line),
                _local(line.enrolment.received_at, session),
                *(_answer(line, question.question_id) for question in session.questions),
            ]
            for line in candidates
        ),
    )


def _rank(line: RosterLine, draft: RankingDraft | None) -> Cell:
    enrolment_id = line.enrolment.enrolment_id
    if draft is None:
        return None
    return cells.NOT_SELECTED if enrolment_id in draft.not_selected else draft.ranks.get(enrolment_id)


def attendance_form(seated: Sequence[RosterLine], session: SessionState) -> bytes:
    columns = (ATTENDANCE, MODULE, Column("title", "Séance"), *WHO)
    return spreadsheets.write(
        columns,
        (
            [_attendance(line, number), number + 1, module_title(session, number), *_who(line)]
            for number in range(max(1, len(session.modules)))
            for line in seated
        ),
    )


def _attendance(line: RosterLine, module: int) -> str | None:
    return labels.ATTENDANCE[line.attendance[module]] if module in line.attendance else None


def _answer(line: RosterLine, question_id: str) -> Cell:
    answer = line.answers.get(question_id)
    match None if answer is None else answer.value:
        case bool(is_yes):
            return "oui" if is_yes else "non"
        case list(needed):
            return ", ".join(labels.ADJUSTMENTS[Adjustment(code)] for code in needed)
        case str() | int() | None as value:
            return value
        case other:
            raise TypeError(f"no question takes {type(other)} as its answer")


def _who(line: RosterLine) -> list[Cell]:
    agent = line.enrolment.agent
    return [agent.agent_id, agent.issuer or None, agent.family_name, agent.given_name]


def _place(line: RosterLine) -> list[Cell]:
    agent = line.enrolment.agent
    employer = agent.employer
    return [labels.FUNCTIONS[agent.function], employer.name, employer.siret, employer.delegation]


def _local(moment: datetime, session: SessionState) -> str:
    """Return the moment in the session's zone, in the form that French spreadsheets read."""
    return moment.astimezone(ZoneInfo(session.timezone)).strftime("%d/%m/%Y %H:%M")


def ranking_of(
    rows: Sequence[SheetRow], faults: list[Fault]
) -> tuple[list[NamedAgent], list[NamedAgent], dict[NamedAgent, int]]:
    ranks: dict[int, tuple[int, NamedAgent]] = {}
    not_selected: list[NamedAgent] = []
    lines: dict[NamedAgent, int] = {}
    for row in rows:
        agent, rank = _named(row), row.cells[RANK.name]
        if not agent.agent_id:
            faults.append(Fault(row.line, "empty", "names nobody", AGENT.name))
        elif agent in lines:
            message = f"is in line {lines[agent]} already"
            faults.append(Fault(row.line, "twice", message, AGENT.name))
        elif cells.says_not_selected(rank):
            not_selected.append(agent)
        elif not (rank.isdecimal() and rank.isascii() and 0 < len(rank) < 10 and int(rank) > 0):
            message = "is neither a rank (1, 2, 3 …) nor 'non retenu'"
            faults.append(Fault(row.line, "not_a_rank", message, RANK.name))
        elif int(rank) in ranks:
            message = f"is the rank of line {ranks[int(rank)][0]} already"
            faults.append(Fault(row.line, "rank_twice", message, RANK.name))
        else:
            ranks[int(rank)] = row.line, agent
        lines.setdefault(agent, row.line)
    return [agent for _, (_, agent) in sorted(ranks.items())], not_selected, lines


def _named(row: SheetRow) -> NamedAgent:
    return NamedAgent(row.cells[AGENT.name], row.cells[ISSUER.name] or None)


def records_of(rows: Sequence[SheetRow], faults: list[Fault]) -> list[tuple[int, AttendanceLine]]:
    return [(row.line, record) for row in rows for record in _record(row, faults)]


def _record(row: SheetRow, faults: list[Fault]) -> Iterator[AttendanceLine]:
    cell, module = row.cells[ATTENDANCE.name], row.cells[MODULE.name]
    attendance = cells.attendance_of(cell)
    before = len(faults)
    if not cell:
        return
    if attendance is None:
        allowed = ", ".join(labels.ATTENDANCE.values())
        faults.append(Fault(row.line, "not_attendance", f"is none of {allowed}", ATTENDANCE.name))
    if not row.cells[AGENT.name]:
        faults.append(Fault(row.line, "empty", "names nobody", AGENT.name))
    if module and not (module.isdecimal() and module.isascii() and 1 <= len(module) <= 3):
        faults.append(Fault(row.line, "not_a_module", "is not the number of a module", MODULE.name))
    if len(faults) == before and attendance is not None:
        yield AttendanceLine(_named(row), int(module) if module else None, attendance)
