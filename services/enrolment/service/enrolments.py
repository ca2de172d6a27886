"""What organisers do with one enrolment, and portals read of their agents'."""

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
from services.enrolment.service.by_organiser import ByOrganiser
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
from shared.events.portal import QuestionAnswers
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, AgentKey
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


async def own_as_seen(
    tx: Transaction, by: ByOrganiser, enrolment_id: UUID, version: int | None
) -> EnrolmentInSession:
    """Return an enrolment of the organiser, which nobody else changes until the transaction ends.

    ``version``: the one that was seen; None: any. Raises ``NotFound``, ``ChangedMeanwhile``.
    """
    found = await find_own(tx, enrolment_id, by.organiser, lock=True)
    if found is None:
        raise NotFound(f"enrolment {enrolment_id}")
    if version is not None and found.enrolment.version != version:
        raise ChangedMeanwhile(enrolment_id)
    return found


# What organisers do. Each returns the line of the roster then, and its session; or raises why nothing was
# done: ``NotFound``, ``ChangedMeanwhile`` where the enrolment is not in the ``version`` that is given,
# ``HasEnded``, ``HasStarted``, ``NotPossible``, ``RefusedByRules``.


async def change_priority(
    tx: Transaction,
    by: ByOrganiser,
    enrolment_id: UUID,
    *,
    priority: int | None,
    reason: str,
    version: int | None = None,
) -> tuple[RosterLine, SessionState]:
    """Give an agent who waits another priority; None: that before all. Author and reason are kept."""
    found = await own_as_seen(tx, by, enrolment_id, version)
    session_id, agent = found.session.session_id, found.enrolment.agent.key
    plan = LoadPlan(places_from=FIRST_PLACE)
    roster = await rosters.load_for_organiser(tx, session_id, by.policy, by.now, plan=plan, agents=[agent])
    latest = roster.latest.get(agent)
    if latest is None or latest.enrolment_id != enrolment_id:
        raise NotPossible(OrganisingFault.NOT_IN_LINE)
    fault = prioritise(roster, agent, priority, by.organiser.name, reason)
    if fault is not None:
        raise NotPossible(fault)
    await rosters.save(tx, [roster])
    return await roster_lines.line_of(tx, session_id, enrolment_id), found.session


async def withdraw(
    tx: Transaction,
    by: ByOrganiser,
    enrolment_id: UUID,
    *,
    reason: str | None,
    by_employer: bool,
    version: int | None = None,
) -> tuple[RosterLine, SessionState]:
    """Withdraw somebody for the organiser, whom the agent or employer asked; author and reason are kept."""
    found = await own_as_seen(tx, by, enrolment_id, version)
    enrolment, session = found.enrolment, found.session
    if not enrolment.state.is_live:
        raise HasEnded(enrolment.state)
    if judge_withdrawal(session, enrolment, by.now) is not None:
        raise HasStarted
    # As anybody's withdrawal: it needs the first of the waiting list, not everybody.
    request = Withdrawal(uuid4(), by.now, session.session_id, enrolment.agent.key, reason, by_employer)
    return await _answered(tx, by, request, found, reason=reason)


async def reply_to_offer(
    tx: Transaction,
    by: ByOrganiser,
    enrolment_id: UUID,
    *,
    accepted: bool,
    reason: str,
    version: int | None = None,
) -> tuple[RosterLine, SessionState]:
    """Take the seat that is held for an agent, or leave it, as they have told the organiser.

    The organiser is kept as the author, with the reason.
    """
    found = await own_as_seen(tx, by, enrolment_id, version)
    enrolment, session = found.enrolment, found.session
    request = OfferAnswer(
        uuid4(), by.now, session.session_id, enrolment.agent.key, accepted, enrolment.version
    )
    refused = judge_reply(session, enrolment, request)
    if refused is not None:
        raise RefusedByRules(refused.reason)
    return await _answered(tx, by, request, found, reason=reason)


async def decide_approval(
    tx: Transaction,
    by: ByOrganiser,
    enrolment_id: UUID,
    *,
    granted: bool,
    reason: str,
    version: int | None = None,
) -> tuple[RosterLine, SessionState]:
    """Note that the employer agrees to an enrolment, or does not, as the organiser was told (rule 5).

    The organiser is kept as the author, with the reason.
    """
    found = await own_as_seen(tx, by, enrolment_id, version)
    enrolment, session = found.enrolment, found.session
    refused = judge_approval(session, enrolment, by.now, granted=granted)
    if refused is not None:
        raise RefusedByRules(refused.reason)
    request = ApprovalDecision(uuid4(), by.now, session.session_id, enrolment.agent.key, granted)
    return await _answered(tx, by, request, found, reason=reason)


async def _answered(
    tx: Transaction,
    by: ByOrganiser,
    request: Withdrawal | OfferAnswer | ApprovalDecision,
    found: EnrolmentInSession,
    *,
    reason: str | None = None,
) -> tuple[RosterLine, SessionState]:
    """Answer what an organiser requests for somebody else, and keep who it was, and why if they say so."""
    enrolment_id, session = found.enrolment.enrolment_id, found.session
    await requests.process(tx, [request], by.policy, by.now)
    await changes.add_author(tx, request.key, session.session_id, by.now, by.organiser.name)
    if reason is not None:
        await changes.add_facts(tx, request.key, enrolment_id, by.now, {"reason": reason})
    return await roster_lines.line_of(tx, session.session_id, enrolment_id), session


async def join(
    tx: Transaction,
    by: ByOrganiser,
    enrolment_id: UUID,
    *,
    other_id: UUID,
    version: int | None = None,
    other_version: int | None = None,
) -> tuple[RosterLine, SessionState]:
    """End the other enrolment of a person who is there under two issuers; the author is kept.

    Returns the line of the one that stays.
    """
    found = await own_as_seen(tx, by, enrolment_id, version)
    other = await find_own(tx, other_id, by.organiser)
    if other is None:
        raise NotFound(f"enrolment {enrolment_id}, or {other_id}")
    session, ends = found.session, other.enrolment
    if other_version is not None and ends.version != other_version:
        raise ChangedMeanwhile(other_id)
    fault = judge_join(session, found.enrolment, ends, by.now)
    if fault is not None:
        raise NotPossible(fault)
    request = Withdrawal(uuid4(), by.now, session.session_id, ends.agent.key, None, joined_to=enrolment_id)
    return await _answered(tx, by, request, found)


async def move(
    tx: Transaction,
    by: ByOrganiser,
    enrolment_id: UUID,
    *,
    to_session_id: UUID,
    answers: QuestionAnswers,
    version: int | None = None,
) -> tuple[RosterLine, SessionState]:
    """Move somebody who has a seat to another session, by its rules; the organiser is kept as the author.

    ``answers`` are to the questions there. Returns the line of the other session's roster.
    """
    await enrolments.lock_session_of(tx, enrolment_id, [to_session_id])  # both in order, or two would cross
    found = await own_as_seen(tx, by, enrolment_id, version)
    there = await sessions.find(tx, to_session_id)
    fault = judge_destination(found.session, there, by.organiser.delegation)
    if fault is not None or there is None:
        raise NotPossible(fault or OrganisingFault.NO_SUCH_SESSION)
    if not found.enrolment.state.has_seat:
        raise RefusedByRules(Reason.NOT_ENROLLED)
    agent, session_id = found.enrolment.agent.key, found.session.session_id
    request = Swap(uuid4(), by.now, session_id, agent, to_session_id, answers)
    await requests.grant(tx, request, by.policy, by.now)
    await changes.add_author(tx, request.key, session_id, by.now, by.organiser.name)
    return await _newest_line(tx, to_session_id, agent), there


async def enrol_by_hand(
    tx: Transaction,
    by: ByOrganiser,
    session_id: UUID,
    agent: Agent,
    *,
    approved: bool,
    above_capacity: str | None,
    answers: QuestionAnswers,
    before: Agent | None = None,
) -> tuple[RosterLine, SessionState]:
    """Enrol somebody for whom an organiser asks, who is kept as the author (rule 22).

    ``agent`` has a new identifier, and keeps it unless they are known already: the same address and the same
    names, as they are now; or as they were in the enrolment that was theirs ``before``, by whatever portal.
    ``above_capacity``: why they get a seat where none is free.
    """
    # Locked first, or two at once would make two agents of one person.
    session = await lock_own(tx, session_id, by.organiser)
    if before is not None and _is_same_person(agent, before):
        agent = agent.model_copy(update=before.key._asdict())
    elif (known := await enrolments.known_by_hand(tx, agent)) is not None:
        agent = agent.model_copy(update={"agent_id": known})
    by_hand = ByHand(by.organiser.name, above_capacity)
    request = SeatRequest(uuid4(), by.now, session_id, agent, approved, by_hand, answers)
    await requests.grant(tx, request, by.policy, by.now)
    return await _newest_line(tx, session_id, agent.key), session


def _is_same_person(agent: Agent, before: Agent) -> bool:
    known, typed = (
        [text.lower() for text in (each.email, each.given_name, each.family_name)] for each in (before, agent)
    )
    return known == typed


async def _newest_line(tx: Transaction, session_id: UUID, agent: AgentKey) -> RosterLine:
    [enrolment] = await roster_enrolments.latest(tx, [(session_id, agent)])
    return await roster_lines.line_of(tx, session_id, enrolment.enrolment_id)
