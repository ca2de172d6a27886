from datetime import datetime, timedelta
from uuid import UUID, uuid4

from services.enrolment.rules.eligibility import judge_approval, judge_reply, judge_withdrawal
from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.organising import OrganisingFault, judge_destination, judge_join, prioritise
from services.enrolment.rules.requests import (
    ApprovalDecision,
    ByHand,
    OfferAnswer,
    SeatRequest,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.waiting_list import FIRST_PLACE
from services.enrolment.service import requests
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import (
    ApprovalByOrganiser,
    EnrolmentByHand,
    JoinByOrganiser,
    MoveByOrganiser,
    OfferAnswerByOrganiser,
    PriorityChange,
    ServedFirst,
    WithdrawalByOrganiser,
)
from services.enrolment.service.failures import (
    ChangedMeanwhile,
    HasEnded,
    HasStarted,
    NotFound,
    NotPossible,
    RefusedByRules,
)
from services.enrolment.service.sessions import lock_own
from services.enrolment.store import (
    changes,
    enrolments,
    roster_enrolments,
    roster_lines,
    rosters,
    sessions,
)
from services.enrolment.store.load_plans import LoadPlan
from shared import read_log
from shared.auth import Principal
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, AgentKey
from shared.messaging.portals.registry import Portal
from shared.read_log import Reading, ReadKind

LineInSession = tuple[RosterLine, SessionState]


async def find_own(
    tx: Transaction, enrolment_id: UUID, organiser: Principal, *, lock: bool = False
) -> EnrolmentInSession | None:
    found = await enrolments.find(tx, enrolment_id, lock=lock)
    return found if found is not None and organiser.finds(found.session.organiser) else None


async def lapsing(tx: Transaction, now: datetime, within: timedelta) -> tuple[int, float]:
    """Return how many offers lapse within this time, and by how many seconds the oldest is overdue."""
    return await enrolments.lapsing(tx, now, now + within)


async def of_agent(
    tx: Transaction,
    agent_id: str,
    portal: Portal | None,
    *,
    reading: Reading | None = None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[tuple[Enrolment, int | None, datetime]]:
    """Return the newest first, with place in line and last change. A portal gets its own agents."""
    found = await enrolments.page_of_agent(tx, agent_id, portal, after, limit)
    if reading is not None:
        about = [enrolment.agent.key for enrolment, _, _ in found]
        await read_log.record(tx, reading, ReadKind.ENROLMENTS, agents=about)
    return found


async def own_as_seen(acting: Acting, enrolment_id: UUID, version: int | None) -> EnrolmentInSession:
    """Lock the enrolment. ``version`` None means any.

    Raises ``NotFound``, ``ChangedMeanwhile``.
    """
    found = await find_own(acting.tx, enrolment_id, acting.who, lock=True)
    if found is None:
        raise NotFound(f"enrolment {enrolment_id}")
    if version is not None and found.enrolment.version != version:
        raise ChangedMeanwhile(enrolment_id)
    return found


# Each action of an organiser returns the roster line and its session. If it is refused, or if ``version`` is
# not the present version, it raises an ``EnrolmentFailure`` and does nothing.


async def change_priority(
    acting: Acting,
    enrolment_id: UUID,
    command: PriorityChange | ServedFirst,
    *,
    version: int | None = None,
) -> LineInSession:
    found = await own_as_seen(acting, enrolment_id, version)
    session_id, agent = found.session.session_id, found.enrolment.agent.key
    plan = LoadPlan(places_from=FIRST_PLACE)
    roster = await rosters.load_for_organiser(
        acting.tx, session_id, acting.policy, acting.now, plan=plan, agents=[agent]
    )
    latest = roster.latest.get(agent)
    if latest is None or latest.enrolment_id != enrolment_id:
        raise NotPossible(OrganisingFault.NOT_IN_LINE)
    priority = command.priority if isinstance(command, PriorityChange) else None
    fault = prioritise(roster, agent, priority, acting.who.name, command.reason)
    if fault is not None:
        raise NotPossible(fault)
    await rosters.save(acting.tx, [roster])
    return await roster_lines.line_of(acting.tx, session_id, enrolment_id), found.session


async def withdraw(
    acting: Acting, enrolment_id: UUID, command: WithdrawalByOrganiser, *, version: int | None = None
) -> LineInSession:
    found = await own_as_seen(acting, enrolment_id, version)
    if not found.enrolment.state.is_live:
        raise HasEnded(found.enrolment.state)
    if judge_withdrawal(found.session, found.enrolment, acting.now) is not None:
        raise HasStarted
    by_employer = command.by == "employer"
    request = Withdrawal(*_members(acting, found), command.reason, by_employer)
    return await _processed(acting, request, found, reason=command.reason)


async def reply_to_offer(
    acting: Acting, enrolment_id: UUID, command: OfferAnswerByOrganiser, *, version: int | None = None
) -> LineInSession:
    found = await own_as_seen(acting, enrolment_id, version)
    request = OfferAnswer(*_members(acting, found), command.accepted, found.enrolment.version)
    refused = judge_reply(found.session, found.enrolment, request)
    if refused is not None:
        raise RefusedByRules(refused.reason)
    return await _processed(acting, request, found, reason=command.reason)


async def decide_approval(
    acting: Acting, enrolment_id: UUID, command: ApprovalByOrganiser, *, version: int | None = None
) -> LineInSession:
    """Record the employer's decision (rule 5)."""
    found = await own_as_seen(acting, enrolment_id, version)
    refused = judge_approval(found.session, found.enrolment, acting.now, granted=command.granted)
    if refused is not None:
        raise RefusedByRules(refused.reason)
    request = ApprovalDecision(*_members(acting, found), command.granted)
    return await _processed(acting, request, found, reason=command.reason)


async def join(
    acting: Acting,
    enrolment_id: UUID,
    command: JoinByOrganiser,
    *,
    version: int | None = None,
    other_version: int | None = None,
) -> LineInSession:
    """Return the line that stays."""
    found = await own_as_seen(acting, enrolment_id, version)
    other = await find_own(acting.tx, command.enrolment_id, acting.who)
    if other is None:
        raise NotFound(f"enrolment {enrolment_id}, or {command.enrolment_id}")
    if other_version is not None and other.enrolment.version != other_version:
        raise ChangedMeanwhile(command.enrolment_id)
    fault = judge_join(found.session, found.enrolment, other.enrolment, acting.now)
    if fault is not None:
        raise NotPossible(fault)
    request = Withdrawal(*_members(acting, other), None, joined_to=enrolment_id)
    return await _processed(acting, request, found)


def _members(acting: Acting, found: EnrolmentInSession) -> tuple[UUID, datetime, UUID, AgentKey]:
    return uuid4(), acting.now, found.session.session_id, found.enrolment.agent.key


async def _processed(
    acting: Acting,
    request: Withdrawal | OfferAnswer | ApprovalDecision,
    found: EnrolmentInSession,
    *,
    reason: str | None = None,
) -> LineInSession:
    enrolment_id, session = found.enrolment.enrolment_id, found.session
    await requests.process(acting.tx, [request], acting.policy, acting.now)
    await changes.add_author(acting.tx, request.key, session.session_id, acting.now, acting.who.name)
    if reason is not None:
        details = {"reason": reason}
        await changes.add_details(acting.tx, request.key, enrolment_id, acting.now, details)
    return await roster_lines.line_of(acting.tx, session.session_id, enrolment_id), session


async def move(
    acting: Acting, enrolment_id: UUID, command: MoveByOrganiser, *, version: int | None = None
) -> LineInSession:
    """Return the line in the other session."""
    # Lock both sessions in order: otherwise two moves in opposite directions would deadlock.
    await enrolments.lock_session_of(acting.tx, enrolment_id, [command.to_session_id])
    found = await own_as_seen(acting, enrolment_id, version)
    there = await sessions.find(acting.tx, command.to_session_id)
    fault = judge_destination(found.session, there, acting.who.delegation)
    if fault is not None or there is None:
        raise NotPossible(fault or OrganisingFault.NO_SUCH_SESSION)
    if not found.enrolment.state.has_seat:
        raise RefusedByRules(Reason.NOT_ENROLLED)
    request = Swap(*_members(acting, found), command.to_session_id, command.answers)
    await requests.grant(acting.tx, request, acting.policy, acting.now)
    await changes.add_author(acting.tx, request.key, request.session_id, acting.now, acting.who.name)
    return await _newest_line(acting.tx, command.to_session_id, request.agent_key), there


async def enrol_by_hand(
    acting: Acting, session_id: UUID, command: EnrolmentByHand, *, before: Agent | None = None
) -> LineInSession:
    """The person gets a new identifier, unless a known agent has the same address and names (rule 22).

    ``before`` is the agent of an earlier enrolment; it counts as known.
    """
    # Lock the session first: otherwise two concurrent requests would make two agents of one person.
    session = await lock_own(acting.tx, session_id, acting.who)
    agent = command.agent()
    if before is not None and _is_same_person(agent, before):
        agent = agent.model_copy(update=before.key._asdict())
    elif (known := await enrolments.known_by_hand(acting.tx, agent)) is not None:
        agent = agent.model_copy(update={"agent_id": known})
    by_hand = ByHand(acting.who.name, command.above_capacity)
    request = SeatRequest(uuid4(), acting.now, session_id, agent, command.approved, by_hand, command.answers)
    await requests.grant(acting.tx, request, acting.policy, acting.now)
    return await _newest_line(acting.tx, session_id, agent.key), session


def _is_same_person(agent: Agent, before: Agent) -> bool:
    known, typed = (
        [text.lower() for text in (each.email, each.given_name, each.family_name)] for each in (before, agent)
    )
    return known == typed


async def _newest_line(tx: Transaction, session_id: UUID, agent: AgentKey) -> RosterLine:
    [enrolment] = await roster_enrolments.latest(tx, [(session_id, agent)])
    return await roster_lines.line_of(tx, session_id, enrolment.enrolment_id)
