"""Organisers select candidates by a ranking."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.organising import OrganisingFault, RankingFault, rank_named
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.states import Cause, State
from services.enrolment.rules.waiting_list import FIRST_PLACE
from services.enrolment.service import sessions
from services.enrolment.store import rosters
from services.enrolment.store.load_plans import LoadPlan
from shared.auth import Principal
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class Selection:
    """How many candidates have a seat, wait, and are refused."""

    enrolled: int
    waitlisted: int
    refused: int


async def select(
    tx: Transaction,
    session_id: UUID,
    ranked: Sequence[NamedAgent],
    not_selected: Sequence[NamedAgent],
    *,
    organiser: Principal,
    policy: Policy,
    now: datetime,
    dry_run: bool = False,
) -> Selection | RankingFault | OrganisingFault | None:
    """Decide about all candidates of a session at once. The ranked fill the seats in order, then the list.

    Returns why nothing was decided, or None when the session is not the organiser's. ``dry_run``: what it
    would come to is counted, and nothing is stored.
    """
    if await sessions.find_own(tx, session_id, organiser) is None:
        return None
    plan = LoadPlan(pending=True, places_from=FIRST_PLACE)
    roster = await rosters.load_for_organiser(tx, session_id, policy, now, plan=plan)
    fault = rank_named(roster, ranked, not_selected, organiser.name)
    if fault is not None:
        return fault
    if not dry_run:
        await rosters.save(tx, [roster])
    states = [change.enrolment.state for change in roster.changes if change.cause is Cause.SELECTION]
    return Selection(
        enrolled=states.count(State.ENROLLED),
        waitlisted=states.count(State.WAITLISTED),
        refused=states.count(State.REFUSED),
    )
