from collections.abc import Sequence
from uuid import UUID

from services.enrolment.rules.named_agents import AgentsByName, NamedAgent
from services.enrolment.rules.ranking import RankingDraft
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.service import sheet_lines
from shared.events.vocabulary import AgentKey
from shared.web.spreadsheets import Fault, SheetRow


def draft_of(
    rows: Sequence[SheetRow], candidates: Sequence[RosterLine], version: int
) -> tuple[RankingDraft, list[Fault]]:
    faults: list[Fault] = []
    ranked, not_selected, lines = sheet_lines.ranking_of(rows, faults)
    ids = {line.enrolment.agent.key: line.enrolment.enrolment_id for line in candidates}
    agents = AgentsByName(ids)
    first: dict[AgentKey, NamedAgent] = {}
    found: dict[NamedAgent, UUID] = {}
    for named in (*ranked, *not_selected):
        line, agent = lines[named], agents.find(named)
        if agent is None:
            faults.append(Fault(line, "ambiguous", "two candidates have this identifier: name the issuer"))
        elif agent not in ids:
            faults.append(Fault(line, "not_a_candidate", "names nobody who is a candidate"))
        elif first.setdefault(agent, named) != named:
            faults.append(Fault(line, "twice", f"is in line {lines[first[agent]]} already"))
        else:
            found[named] = ids[agent]
    draft = RankingDraft(
        version,
        {found[named]: rank for rank, named in enumerate(ranked, 1) if named in found},
        frozenset(found[named] for named in not_selected if named in found),
    )
    return draft, faults
