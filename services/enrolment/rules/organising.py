from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.enrolment.rules.attendance import has_begun, publish_attendance, voids_certificate
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.named_agents import AgentsByName, NamedAgent
from services.enrolment.rules.promotion import promote
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.catalogue import SessionState
from shared.events.enrolment import Attendance, EndedBecause
from shared.events.reasons import Reason
from shared.events.vocabulary import Agent, AgentKey, Status


class OrganisingFault(StrEnum):
    SESSION_IS_CANCELLED = "session_is_cancelled"
    SESSION_IS_OVER = "session_is_over"
    NOT_IN_LINE = "not_in_line"
    PRIORITY_BELOW_0 = "priority_below_0"
    NOT_ENROLLED = "not_enrolled"
    NO_SUCH_MODULE = "no_such_module"
    CONTRADICTION = "contradiction"
    AMBIGUOUS = "ambiguous"
    NOT_STARTED = "not_started"
    ALSO_ELSEWHERE = "also_elsewhere"
    NO_SUCH_SESSION = "no_such_session"
    NO_PAIR = "no_pair"
    HAS_ENDED = "has_ended"
    HAS_ATTENDANCE = "has_attendance"
    SEAT_IS_LOST = "seat_is_lost"


@dataclass(frozen=True, slots=True)
class RankingFault:
    """``ambiguous``: identifiers that two candidates of two issuers share."""

    unknown: tuple[AgentKey, ...] = ()
    missing: tuple[AgentKey, ...] = ()
    twice: tuple[AgentKey, ...] = ()
    ambiguous: tuple[str, ...] = ()


def candidates(roster: SessionRoster) -> Mapping[AgentKey, Enrolment]:
    return {
        agent: enrolment
        for agent, enrolment in roster.latest.items()
        if enrolment.state is State.PENDING_SELECTION
    }


def rank(
    roster: SessionRoster, ranked: Sequence[AgentKey], not_selected: Sequence[AgentKey], author: str
) -> RankingFault | OrganisingFault | None:
    """``ranked`` agents fill the seats in this order, then the waiting list (rule 5).

    The agents of ``not_selected`` are refused. Together they must be all candidates, each once; otherwise
    nothing changes. All candidates and all places in line must be loaded.
    """
    if roster.session.status is Status.CANCELLED:
        return OrganisingFault.SESSION_IS_CANCELLED
    if roster.now >= roster.session.ends_at:
        return OrganisingFault.SESSION_IS_OVER
    applied = candidates(roster)
    named = Counter([*ranked, *not_selected])
    fault = RankingFault(
        unknown=tuple(agent for agent in named if agent not in applied),
        missing=tuple(agent for agent in applied if agent not in named),
        twice=tuple(agent for agent, number in named.items() if number > 1),
    )
    if fault != RankingFault():
        return fault
    promote(roster)
    for agent in ranked:
        # From now on the rank is the place in line, so new tickets are drawn.
        roster.settle_pending(applied[agent], Cause.SELECTION, None, ticket=roster.draw_ticket(roster.now))
        roster.add_numbers(author=author)
    for agent in not_selected:
        roster.refuse_pending(
            applied[agent], Cause.SELECTION, Reason.NOT_SELECTED, because=EndedBecause.ANSWER
        )
        roster.add_numbers(author=author)
    return None


def rank_named(
    roster: SessionRoster, ranked: Sequence[NamedAgent], not_selected: Sequence[NamedAgent], author: str
) -> RankingFault | OrganisingFault | None:
    agents = AgentsByName(candidates(roster))
    if ambiguous := agents.ambiguous([*ranked, *not_selected]):
        return RankingFault(ambiguous=ambiguous)
    return rank(roster, agents.found(ranked), agents.found(not_selected), author)


def prioritise(
    roster: SessionRoster, agent: AgentKey, priority: int | None, author: str, reason: str
) -> OrganisingFault | None:
    """Change the priority of a waiting agent (rule 2). 0 is the default; None puts the agent first.

    All places in line must be loaded, and the agent's group, which moves together. No event is published. A
    seat that time has freed goes by the new order.
    """
    if (
        priority is not None and priority < 0
    ):  # a new request must be last: the places behind it are not loaded
        return OrganisingFault.PRIORITY_BELOW_0
    waiting = roster.latest.get(agent)
    if waiting is None or waiting.state is not State.WAITLISTED:
        return OrganisingFault.NOT_IN_LINE
    if priority is None:
        priority = roster.waiting_list.priority_before_all(waiting)
    together = roster.waiting_list.group_of(waiting) if waiting.waits_together else [waiting]
    for enrolment in together:
        roster.move(enrolment, State.WAITLISTED, Cause.PRIORITY, priority=priority)
        roster.add_numbers(author=author, reason=reason)
    roster.add_numbers(place_in_line=roster.waiting_list.position(roster.latest[agent]))
    promote(roster)
    return None


@dataclass(frozen=True, slots=True)
class AttendanceMark:
    """The module counts from 0. A session without modules has one."""

    agent: AgentKey
    module: int
    attendance: Attendance


def attendance_marks(
    records: Sequence[tuple[NamedAgent, int, Attendance]], agents: AgentsByName
) -> tuple[list[AttendanceMark], Mapping[int, OrganisingFault]]:
    """Return the attendance marks, and the faults of ambiguous records by index."""
    found = [(agents.find(named), module, attendance) for named, module, attendance in records]
    marks = [AttendanceMark(agent, module, mark) for agent, module, mark in found if agent is not None]
    return marks, {
        index: OrganisingFault.AMBIGUOUS for index, (agent, *_) in enumerate(found) if agent is None
    }


def record_attendance(
    roster: SessionRoster, marks: Sequence[AttendanceMark], author: str
) -> Mapping[int, OrganisingFault]:
    """Record all marks, or none if there is a fault (rule 9).

    Returns the faults by the index of their mark. A recorded attendance may be corrected.
    """
    faults: dict[int, OrganisingFault] = {}
    first: dict[tuple[AgentKey, int], Attendance] = {}
    for index, mark in enumerate(marks):
        fault = _attendance_fault(roster, mark)
        if first.setdefault((mark.agent, mark.module), mark.attendance) != mark.attendance:
            fault = OrganisingFault.CONTRADICTION
        if fault is not None:
            faults[index] = fault
    if faults:
        return faults
    for mark in marks:
        before = roster.latest[mark.agent]
        recorded = roster.attendance.get(before.enrolment_id, {}).get(mark.module)
        if recorded == mark.attendance:
            continue
        is_void = voids_certificate(before, recorded, mark.attendance)
        if is_void:
            roster.void_certificates.add(before.enrolment_id)
        roster.record(before, mark.module, mark.attendance)
        publish_attendance(roster, before, mark.module, mark.attendance, is_void=is_void, author=author)
    return {}


def _attendance_fault(roster: SessionRoster, mark: AttendanceMark) -> OrganisingFault | None:
    session = roster.session
    if not 0 <= mark.module < max(1, len(session.modules)):
        return OrganisingFault.NO_SUCH_MODULE
    latest = roster.latest.get(mark.agent)
    if latest is None or not latest.state.has_seat:
        return OrganisingFault.NOT_ENROLLED
    return None if has_begun(roster, mark.module) else OrganisingFault.NOT_STARTED


def judge_correction(organisers: Iterable[str], delegation: str | None) -> OrganisingFault | None:
    """Return why an organiser may not correct an agent, or None if it is allowed (rule 19).

    ``organisers`` are those of all the agent's sessions, because all letters go to one address.
    ``delegation`` None is an organiser of all delegations.
    """
    if delegation is None or set(organisers) <= {delegation}:
        return None
    return OrganisingFault.ALSO_ELSEWHERE


def are_one_person(agent: Agent, other: Agent) -> bool:
    """Agents of two issuers may be one person if address or names are equal."""
    if agent.issuer == other.issuer:
        return False
    names, others = ((known.given_name.lower(), known.family_name.lower()) for known in (agent, other))
    return names == others or agent.email.lower() == other.email.lower()


def judge_join(
    session: SessionState, stays: Enrolment, ends: Enrolment, now: datetime
) -> OrganisingFault | None:
    """Return None if the two can be joined (rule 22)."""
    if session.status is Status.CANCELLED:
        return OrganisingFault.SESSION_IS_CANCELLED
    if now >= session.ends_at:
        return OrganisingFault.SESSION_IS_OVER
    if stays.session_id != ends.session_id or not are_one_person(stays.agent, ends.agent):
        return OrganisingFault.NO_PAIR
    if not (stays.state.is_live and ends.state.is_live):
        return OrganisingFault.HAS_ENDED
    if ends.state.has_seat and ends.state is not State.ENROLLED:
        return OrganisingFault.HAS_ATTENDANCE
    if ends.state.holds_seat and not stays.state.has_seat:
        return OrganisingFault.SEAT_IS_LOST
    return None


def judge_destination(
    session: SessionState, there: SessionState | None, delegation: str | None
) -> OrganisingFault | None:
    """Return None if the move is allowed (rule 18). ``delegation`` None means all delegations."""
    if there is None or there.session_id == session.session_id or there.offer_id != session.offer_id:
        return OrganisingFault.NO_SUCH_SESSION
    if delegation is not None and there.organiser != delegation:
        return OrganisingFault.NO_SUCH_SESSION
    return None
