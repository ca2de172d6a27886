"""What organisers do with one enrolment, and portals read of their agents'."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from services.enrolment.rules.eligibility import (
    Refused,
    judge_answer,
    judge_approval,
    judge_withdrawal,
)
from services.enrolment.rules.enrolments import Enrolment, EnrolmentInSession
from services.enrolment.rules.organising import OrganisingFault, judge_destination, judge_join, prioritise
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    ApprovalDecision,
    ByHand,
    OfferAnswer,
    SeatRequest,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.rules.states import State
from services.enrolment.rules.waiting_list import FIRST_PLACE
from services.enrolment.service import requests
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
from shared.events.portal import QuestionAnswers
from shared.events.vocabulary import Agent, Reason
from shared.messaging.portals.registry import Portal
from shared.read_log import Reading, ReadKind


async def find_own(
    tx: Transaction, enrolment_id: UUID, organiser: Principal, *, lock: bool = False
) -> EnrolmentInSession | None:
    """Return the enrolment if its session is the organiser's, else None."""
    found = await enrolments.find(tx, enrolment_id, lock=lock)
    return found if found is not None and organiser.finds(found.session.organiser) else None


async def lapsing(tx: Transaction, now: datetime, within: timedelta) -> tuple[int, float]:
    """Return how many offers lapse within this time, and for how long the oldest should have lapsed."""
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
    """Return enrolments of the agents with this identifier, the newest first: of a portal's own, or of all.

    Each with its place in line while it waits, and when it changed last. Who of the staff reads is recorded.
    """
    found = await enrolments.page_of_agent(tx, agent_id, portal, after, limit)
    if reading is not None:
        about = [enrolment.agent.key for enrolment, _, _ in found]
        await read_log.record(tx, reading, ReadKind.ENROLMENTS, agents=about)
    return found


async def lock(tx: Transaction, enrolment_id: UUID, *others: UUID) -> None:
    """Lock the session of an enrolment, and these others, in the order in which all are locked.

    Nobody else changes the enrolment until the transaction ends.
    """
    await enrolments.lock_session_of(tx, enrolment_id, others)


@dataclass(frozen=True, slots=True)
class HasEnded:
    """The enrolment has ended, in this state."""

    state: State


async def change_priority(
    tx: Transaction,
    enrolment_id: UUID,
    *,
    priority: int,
    reason: str,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> tuple[RosterLine, SessionState] | OrganisingFault | None:
    """Give an agent who waits another priority. Author and reason are kept.

    Returns its line of the roster then, why it is not possible, or None when there is no such enrolment.
    """
    found = await find_own(tx, enrolment_id, organiser, lock=True)
    if found is None:
        return None
    session_id, agent = found.session.session_id, found.enrolment.agent.key
    plan = LoadPlan(places_from=FIRST_PLACE)
    roster = await rosters.load_for_organiser(tx, session_id, policy, now, plan=plan, agents=[agent])
    latest = roster.latest.get(agent)
    if latest is None or latest.enrolment_id != enrolment_id:
        return OrganisingFault.NOT_IN_LINE
    fault = prioritise(roster, agent, priority, organiser.name, reason)
    if fault is not None:
        return fault
    await rosters.save(tx, [roster])
    return await roster_lines.line_of(tx, session_id, enrolment_id), found.session


async def withdraw(
    tx: Transaction,
    enrolment_id: UUID,
    *,
    reason: str | None,
    by_employer: bool,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> tuple[RosterLine, SessionState] | HasEnded | Refused | None:
    """Withdraw somebody for the organiser, whom the agent or employer asked, and who is kept as the author.

    Returns its line of the roster then, why it is not possible, or None when there is no such enrolment.
    """
    found = await find_own(tx, enrolment_id, organiser, lock=True)
    if found is None:
        return None
    enrolment, session = found.enrolment, found.session
    if not enrolment.state.is_live:
        return HasEnded(enrolment.state)
    refused = judge_withdrawal(session, enrolment, now)
    if refused is not None:
        return refused
    # As anybody's withdrawal: it needs the first of the waiting list, not everybody.
    request = Withdrawal(uuid4(), now, session.session_id, enrolment.agent.key, reason, by_employer)
    return await _answered(tx, request, found, organiser, policy)


async def answer_offer(
    tx: Transaction,
    enrolment_id: UUID,
    *,
    accepted: bool,
    reason: str,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> tuple[RosterLine, SessionState] | Reason | None:
    """Take the seat that is held for an agent, or leave it, as they have told the organiser.

    The organiser is kept as the author, with the reason. Returns the line of the roster then, why it is
    refused, or None when there is no such enrolment.
    """
    found = await find_own(tx, enrolment_id, organiser, lock=True)
    if found is None:
        return None
    enrolment, session = found.enrolment, found.session
    agent, version = enrolment.agent.key, enrolment.version
    request = OfferAnswer(uuid4(), now, session.session_id, agent, accepted, version)
    refused = judge_answer(session, enrolment, request)
    if refused is not None:
        return refused.reason
    return await _answered(tx, request, found, organiser, policy, reason=reason)


async def decide_approval(
    tx: Transaction,
    enrolment_id: UUID,
    *,
    granted: bool,
    reason: str,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> tuple[RosterLine, SessionState] | Reason | None:
    """Note that the employer agrees to an enrolment, or does not, as the organiser was told (rule 5).

    The organiser is kept as the author, with the reason. Returns the line of the roster then, why it is
    refused, or None when there is no such enrolment.
    """
    found = await find_own(tx, enrolment_id, organiser, lock=True)
    if found is None:
        return None
    enrolment, session = found.enrolment, found.session
    refused = judge_approval(session, enrolment, now, granted=granted)
    if refused is not None:
        return refused.reason
    request = ApprovalDecision(uuid4(), now, session.session_id, enrolment.agent.key, granted)
    return await _answered(tx, request, found, organiser, policy, reason=reason)


async def _answered(
    tx: Transaction,
    request: Withdrawal | OfferAnswer | ApprovalDecision,
    found: EnrolmentInSession,
    organiser: Principal,
    policy: Policy,
    *,
    reason: str | None = None,
) -> tuple[RosterLine, SessionState]:
    """Answer what an organiser requests for somebody else, and keep who it was, and why if they say so.

    Returns the line that the enrolment ``found`` has in the roster then.
    """
    enrolment_id, session, now = found.enrolment.enrolment_id, found.session, request.received_at
    await requests.answer(tx, [request], policy, now)
    await changes.add_author(tx, request.key, session.session_id, now, organiser.name)
    if reason is not None:
        await changes.add_reason(tx, request.key, enrolment_id, now, reason)
    return await roster_lines.line_of(tx, session.session_id, enrolment_id), session


async def join(
    tx: Transaction,
    enrolment_id: UUID,
    other_id: UUID,
    *,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> tuple[RosterLine, SessionState] | OrganisingFault | None:
    """End the other enrolment of a person who is there under two issuers; the author is kept.

    Returns the line of the roster of the one that stays, why it is not possible, or None when one of the two
    is in no session of theirs.
    """
    found = await find_own(tx, enrolment_id, organiser, lock=True)
    other = await find_own(tx, other_id, organiser)
    if found is None or other is None:
        return None
    session, ends = found.session, other.enrolment
    fault = judge_join(session, found.enrolment, ends, now)
    if fault is not None:
        return fault
    request = Withdrawal(uuid4(), now, session.session_id, ends.agent.key, None, joined_to=enrolment_id)
    return await _answered(tx, request, found, organiser, policy)


async def move(
    tx: Transaction,
    enrolment_id: UUID,
    to_session_id: UUID,
    answers: QuestionAnswers,
    *,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> tuple[RosterLine, SessionState] | OrganisingFault | Reason | None:
    """Move somebody who has a seat to another session, by its rules; the organiser is kept as the author.

    ``answers`` are to the questions there.

    Returns the line of the other session's roster then, why it is not possible, or None when there is no such
    enrolment. The transaction of what is refused is not to be committed: the organiser alone hears of it.
    """
    found = await find_own(tx, enrolment_id, organiser)  # not locked: both sessions are, by the answer
    if found is None:
        return None
    there = await sessions.find(tx, to_session_id)
    fault = judge_destination(found.session, there, organiser.delegation)
    if fault is not None or there is None:
        return fault
    if not found.enrolment.state.has_seat:
        return Reason.NOT_ENROLLED
    agent, session_id = found.enrolment.agent.key, found.session.session_id
    request = Swap(uuid4(), now, session_id, agent, to_session_id, answers)
    answer = (await requests.answer(tx, [request], policy, now))[request.key]
    if answer is None:
        raise LookupError("a session that was there is not")
    if answer.reason is not None:
        return answer.reason
    await changes.add_author(tx, request.key, session_id, now, organiser.name)
    [enrolment] = await roster_enrolments.latest(tx, [(to_session_id, agent)])
    return await roster_lines.line_of(tx, to_session_id, enrolment.enrolment_id), there


async def enrol_by_hand(
    tx: Transaction,
    session_id: UUID,
    agent: Agent,
    *,
    approved: bool,
    above_capacity: str | None,
    answers: QuestionAnswers,
    organiser: Principal,
    policy: Policy,
    now: datetime,
) -> tuple[RosterLine, SessionState] | Reason | None:
    """Enrol somebody for whom an organiser asks, who is kept as the author (rule 22).

    ``agent`` has a new identifier, and keeps it unless they are known already: the same address and the same
    names, as they are now. ``above_capacity``: why they get a seat where none is free. Returns the line of
    the roster, or why it is refused, or None when there is no such session. The transaction of what is
    refused is not to be committed: nobody asked for themselves, who would be written to.
    """
    # Locked first, or two at once would make two agents of one person.
    locked = (await sessions.lock(tx, [session_id])).get(session_id)
    if locked is None or not organiser.finds(locked.state.organiser):
        return None
    session = locked.state
    known = await enrolments.known_by_hand(tx, agent)
    agent = agent if known is None else agent.model_copy(update={"agent_id": known})
    by_hand = ByHand(organiser.name, above_capacity)
    request = SeatRequest(uuid4(), now, session_id, agent, approved, by_hand, answers)
    answer = (await requests.answer(tx, [request], policy, now))[request.key]
    if answer is None:
        raise LookupError("a session that was there is not")
    if answer.reason is not None:
        return answer.reason
    [enrolment] = await roster_enrolments.latest(tx, [(session_id, agent.key)])
    return await roster_lines.line_of(tx, session_id, enrolment.enrolment_id), session
