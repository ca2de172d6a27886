"""Gives free seats to the waiting list. Groups that do not fit keep some (rules 2 and 17)."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.holds import hold_until
from services.enrolment.rules.seats import Seats
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import Cause, State
from shared.events.enrolment import AgentEnrolled, SeatOffered
from shared.events.vocabulary import Employer, WaitingList


def promote(roster: SessionRoster) -> None:
    """Give or offer free seats to the first agents in line who may take them (rule 2).

    A group gets no offers, because several agents cannot give one reply.
    """
    while party := _next_to_promote(roster):
        for first in party:
            if roster.session.waiting_list is WaitingList.OFFER and not first.waits_together:
                until = hold_until(roster.session, roster.now, roster.policy)
                if until is None:
                    return
                held = roster.move(first, State.OFFERED, Cause.SEAT_FREED, hold_until=until)
                roster.publish(SeatOffered(**roster.members(held), hold_until=until))
            else:
                seated = roster.move(first, State.ENROLLED, Cause.SEAT_FREED)
                roster.publish(AgentEnrolled(**roster.members(seated), from_waiting_list=True))


def _next_to_promote(roster: SessionRoster) -> Sequence[Enrolment]:
    roster.kept = []
    if roster.now >= roster.line_ends_at():
        return ()
    if roster.waiting_list.groups:
        return _next_party(roster)
    may_take = roster.seats.may_take
    for waiting in roster.waiting_list:
        if may_take(roster.session, waiting.agent.employer, roster.now):
            return (waiting,)
    return ()


def _next_party(roster: SessionRoster) -> Sequence[Enrolment]:
    session, seats = roster.session, roster.seats
    for party in roster.waiting_list.parties():
        if session.capacity is not None and seats.taken >= session.capacity:
            return ()
        if not party[0].waits_together:
            if seats.may_take(session, party[0].agent.employer, roster.now):
                return party
            continue
        employers = [member.agent.employer for member in party]
        theirs = seats.for_all(session, employers, roster.now)
        if theirs.enrolled == len(party):
            return party
        if theirs.enrolled and _keeps(roster, party[0].ticket, employers):
            roster.kept.append((party[0].place, theirs))
            seats = seats.and_kept(theirs)
    return ()


def _keeps(roster: SessionRoster, ticket: int | None, employers: Sequence[Employer]) -> bool:
    """Return whether a group that does not fit keeps its seats (rule 17), and start its time.

    It keeps none if they cannot help: its authority has all its seats, or the session is too small.
    """
    group = roster.waiting_list.groups[ticket or 0]
    if group.is_passed or _quota_is_short(roster, employers) or not could_seat(roster, employers):
        return False
    if group.kept_until is None:
        group.kept_until = roster.now + roster.policy.longest(roster.policy.group_keeps)
    return True


def _quota_is_short(roster: SessionRoster, employers: Sequence[Employer]) -> bool:
    quota = roster.session.quota_per_authority
    if quota is None:
        return False
    wanted = Counter(employer.siret for employer in employers)
    return any(roster.seats.by_siret[siret] + number > quota for siret, number in wanted.items())


def could_seat(roster: SessionRoster, employers: Sequence[Employer]) -> bool:
    """Return whether these employers' agents would all fit in the empty session.

    Reserved seats count as free if they are released while the waiting list is served.
    """
    last_served = max(roster.now, roster.line_ends_at() - timedelta(microseconds=1))
    return Seats().for_all(roster.session, employers, last_served).enrolled == len(employers)
