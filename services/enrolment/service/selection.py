from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.organising import RankingFault, rank_named
from services.enrolment.rules.states import Cause, State
from services.enrolment.rules.waiting_list import FIRST_PLACE
from services.enrolment.service.acting import Acting
from services.enrolment.service.failures import InvalidRanking, NotPossible
from services.enrolment.service.sessions import lock_own
from services.enrolment.store import rosters
from services.enrolment.store.load_plans import LoadPlan


@dataclass(frozen=True, slots=True)
class Selection:
    enrolled: int
    waitlisted: int
    refused: int


async def select(
    acting: Acting,
    session_id: UUID,
    ranked: Sequence[NamedAgent],
    not_selected: Sequence[NamedAgent],
    *,
    dry_run: bool = False,
) -> Selection:
    """``dry_run`` counts the result without storing it.

    Raises ``NotFound``, ``NotPossible``, ``InvalidRanking``.
    """
    await lock_own(acting.tx, session_id, acting.who)
    plan = LoadPlan(pending=True, places_from=FIRST_PLACE)
    roster = await rosters.load_for_organiser(acting.tx, session_id, acting.policy, acting.now, plan=plan)
    fault = rank_named(roster, ranked, not_selected, acting.who.name)
    if isinstance(fault, RankingFault):
        raise InvalidRanking(fault)
    if fault is not None:
        raise NotPossible(fault)
    if not dry_run:
        await rosters.save(acting.tx, [roster])
    states = [change.enrolment.state for change in roster.changes if change.cause is Cause.SELECTION]
    return Selection(
        enrolled=states.count(State.ENROLLED),
        waitlisted=states.count(State.WAITLISTED),
        refused=states.count(State.REFUSED),
    )
