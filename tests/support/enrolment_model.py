"""A model of enrolment in one session, so simple that it is plainly right.

The model takes in the published events alone, and keeps the state of each agent. At each event it checks: was
there a seat, did nobody wait before, was an answer due, was the change of state allowed? `local.model`, which
shares no code with the services, counts seats and goes through the line.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from local.model.seats import Reservation, Seats
from services.enrolment.rules.policy import Policy
from shared.events.catalogue import SessionState
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EndedBecause,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    MinimumMissed,
    OrganiserNotice,
    SeatNotObtained,
    SeatOffered,
    SeatOfferLapsed,
    SelectionDue,
    SessionOccupancyChanged,
    WithdrawnBy,
)
from shared.events.vocabulary import Agent, AgentKey
from tests.support.builders import an_agent

EnrolmentEvent = Decision | SessionOccupancyChanged | OrganiserNotice

POLICY = Policy(grace=timedelta(seconds=60))
OPENS = datetime.fromisoformat("2025-03-03T08:00:00+00:00")
CLOSES, STARTS = OPENS + timedelta(days=12), OPENS + timedelta(days=17)
EMPLOYERS = [
    ("21350238800019", "bretagne"),
    ("21440109300015", "bretagne"),
    ("21750001600019", "ile-de-france"),
]
ISSUERS = "iel", "sirh"
AGENTS = [
    an_agent(
        f"A{number // 2}",
        issuer=ISSUERS[number % 2],
        employer={
            "siret": EMPLOYERS[number % 3][0],
            "name": f"Ville {number % 3}",
            "delegation": EMPLOYERS[number % 3][1],
        },
    )
    for number in range(9)
]


@dataclass
class Model:
    """Who is in which state, by the events. ``order`` is that of receipt, or of the ranking.

    Of those of one moment the first that was read is first.
    """

    session: SessionState
    state: dict[AgentKey, str] = field(default_factory=dict)
    hold_until: dict[AgentKey, datetime] = field(default_factory=dict)
    order: dict[AgentKey, tuple[datetime, int]] = field(default_factory=dict)
    priority: Counter[AgentKey] = field(default_factory=Counter)
    versions: Counter[uuid.UUID] = field(default_factory=Counter)
    enrolment: dict[AgentKey, uuid.UUID] = field(default_factory=dict)
    occupancy: SessionOccupancyChanged | None = None
    notified: set[tuple[type[OrganiserNotice], datetime]] = field(default_factory=set)
    """What the organiser was notified of, at which close of enrolment."""
    above_capacity: AgentKey | None = None
    """Whom an organiser gives a seat just now, though none is free (rule 22)."""
    agents: dict[AgentKey, Agent] = field(default_factory=lambda: {agent.key: agent for agent in AGENTS})
    group: dict[AgentKey, uuid.UUID] = field(default_factory=dict)
    """The request by which an agent waits together with others (rule 17)."""
    size: dict[uuid.UUID, int] = field(default_factory=dict)
    joined: Counter[uuid.UUID] = field(default_factory=Counter)
    """How many were to wait together, and how many began to."""
    kept_until: dict[uuid.UUID, datetime] = field(default_factory=dict)
    passed: set[uuid.UUID] = field(default_factory=set)
    group_order: dict[uuid.UUID, tuple[datetime, int]] = field(default_factory=dict)
    """That of all of a group, by its request."""
    received_at: dict[uuid.UUID, datetime] = field(default_factory=dict)
    """When each request was received."""
    being_seated: set[AgentKey] = field(default_factory=set)
    """Those of a group who must be seated before anything else happens."""

    def having(self, *states: str) -> list[AgentKey]:
        return [agent for agent, state in self.state.items() if state in states]

    @property
    def taken(self) -> list[AgentKey]:
        return self.having("enrolled", "offered")

    @property
    def waiting_list(self) -> list[AgentKey]:
        return sorted(self.having("waitlisted"), key=self._place)

    @property
    def parties(self) -> list[list[AgentKey]]:
        """The waiting list, each place at once: somebody alone, or a group."""
        parties: dict[object, list[AgentKey]] = {}
        for agent in self.waiting_list:
            parties.setdefault(self.group.get(agent, agent), []).append(agent)
        return list(parties.values())

    @property
    def seats(self) -> Seats:
        reserved = (
            Reservation(seats.delegation, seats.seats, seats.release_at)
            for seats in self.session.reserved_seats
        )
        return Seats(self.session.capacity, self.session.quota_per_authority, tuple(reserved))

    def may_take_a_seat(self, agent: AgentKey, now: datetime, kept: Sequence[AgentKey] = ()) -> bool:
        """Say whether a seat is free for the agent, if these other agents have a seat kept for them."""
        taken = [self.agents[other] for other in (*self.taken, *kept)]
        return self.seats.is_free_for(self.agents[agent], taken, now)

    def line_is_served(self, now: datetime) -> bool:
        if self.session.status == "cancelled":
            return False
        return now < self.line_ends_at

    def waiting_list_comes_first(self, now: datetime) -> bool:
        """Whether who waits keeps free seats from others, though nobody is promoted any more (ADR 0007)."""
        automatic = self.session.waiting_list == "automatic"
        return automatic and bool(self.waiting_list) and not self.line_is_served(now)

    @property
    def line_ends_at(self) -> datetime:
        if self.session.waiting_list == "offer":
            return self.session.starts_at - POLICY.last_offer
        return max(self.session.starts_at, self.session.enrolment_closes_at)

    def next_in_line(self, now: datetime) -> list[AgentKey]:
        """Who is to be seated next, all of a group at once; nobody where nobody may be."""
        return self._through_the_line(now)[0]

    def kept(self, now: datetime, behind: AgentKey | None = None) -> list[AgentKey]:
        """For whom free seats are kept: as many of each group as may sit while all of it may not.

        ``behind``: of the groups that this agent would wait behind.
        """
        kept = self._through_the_line(now)[1]
        return kept if behind is None else [a for a in kept if self._place(a) < self._place(behind)]

    def _place(self, agent: AgentKey) -> tuple[int, tuple[datetime, int]]:
        return -self.priority[agent], self.order[agent]

    def _through_the_line(self, now: datetime) -> tuple[list[AgentKey], list[AgentKey]]:
        if not self.line_is_served(now):
            return [], []
        line = [[self.agents[agent] for agent in party] for party in self.parties]
        passed = [party for party in line if self.group.get(party[0].key) in self.passed]
        taken = [self.agents[agent] for agent in self.taken]
        place, kept = self.seats.next_in(line, taken, now, self.line_ends_at, passed)
        return [agent.key for agent in place], [agent.key for agent in kept]

    def being_kept(self, now: datetime) -> list[datetime]:
        """Until when groups keep seats now, those whose time is not over."""
        return [
            self.kept_until[group]
            for group in {self.group[agent] for agent in self.kept(now)}
            if group in self.kept_until
        ]

    def pass_groups(self, now: datetime) -> None:
        """Pass the groups that have kept seats for as long as they may."""
        self.passed |= {group for group, until in self.kept_until.items() if until + POLICY.grace <= now}

    def check(self, now: datetime, taken_before: int) -> None:
        """Check what must be true between transactions; so many seats were taken before the last."""
        capacity = self.session.capacity
        added = 0 if self.above_capacity is None else 1
        assert capacity is None or len(self.taken) <= max(capacity, taken_before + added), (
            "more than there are seats"
        )
        assert not self.next_in_line(now), "somebody waits while a seat they may take is free"
        assert not self.being_seated, "a group was seated in part"
        assert self.size == {group: self.joined[group] for group in self.size}, "not all of a group wait"
        for agent in self.kept(now):
            self.kept_until.setdefault(self.group[agent], now + POLICY.group_keeps)
        for agent in self.having("offered"):
            last = self.session.starts_at - POLICY.last_offer
            assert self.hold_until[agent] <= last, "an offer outlives the last moment to offer"
        if self.session.status == "cancelled":
            assert not any(is_live(state) for state in self.state.values()), "cancelled, and yet enrolled"
        published = self.occupancy
        if published is not None or self.state:
            assert published is not None
            assert (published.enrolled, published.offered, published.waiting) == (
                len(self.having("enrolled")),
                len(self.having("offered")),
                len(self.having("waitlisted")),
            ), "the occupancy is not what is"
            assert published.capacity == capacity

    # ------------------------------------------------------------------------------------ what is published

    def take_in(self, published: EnrolmentEvent, now: datetime) -> None:
        """Take an event in, and complain if it should never have been."""
        if not isinstance(published, Decision):
            return self._of_the_session(published, now)
        agent = published.agent.key
        before = self.state.get(agent)
        assert not self.being_seated or agent in self.being_seated, "a group was seated in part"
        if isinstance(published, EnrolmentRefused) and self._changes_nothing(published, before):
            self._may_not_leave(published, before)
            return None
        self._version(published, agent)
        match published:
            case AgentEnrolled():
                self._seat_is_theirs(agent, before, published, now)
                self.state[agent] = "enrolled"
            case SeatOffered():
                assert before in ("waitlisted", "offered"), f"offered to somebody {before}"
                if before == "waitlisted":
                    assert self.next_in_line(now) == [agent], "offered out of turn, or without a seat"
                assert now < published.hold_until <= self.session.starts_at - POLICY.last_offer
                self.state[agent], self.hold_until[agent] = "offered", published.hold_until
            case SeatOfferLapsed():
                assert before == "offered"
                assert published.request_id is not None or self._is_over(agent, now), "too early"
                self.state[agent] = "lapsed"
            case SeatNotObtained():
                assert before == "waitlisted"
                is_cut = published.because is EndedBecause.SESSION_CHANGED
                assert self.line_ends_at + (timedelta() if is_cut else POLICY.grace) <= now, "too early"
                self.state[agent] = "not_obtained"
            case AgentWaitlisted():
                self._has_a_place(agent, before, published, now)
            case EnrolmentPending():
                self._is_the_next_step(before, published)
                self.state[agent] = f"pending_{published.awaiting.removeprefix('employer_')}"
            case EnrolmentRefused():
                assert before is None or not is_live(before) or before.startswith("pending_")
                self.state[agent] = "refused"
            case EnrolmentWithdrawn():
                self.state[agent] = self._ended(published, before)
            case _:
                raise AssertionError(f"nobody expected {published}")
        self._judge_minimum_again(before)
        return None

    def _judge_minimum_again(self, before: str | None) -> None:
        if before in ("enrolled", "offered") and len(self.taken) + 1 == self.session.minimum:
            self.notified.clear()

    def _has_a_place(
        self, agent: AgentKey, before: str | None, published: AgentWaitlisted, now: datetime
    ) -> None:
        assert before not in ("enrolled", "offered", "waitlisted")
        assert self.session.waiting_list != "none"
        self._every_word_is_said(before)
        self.group.pop(agent, None)
        if published.together is None:
            kept = self.kept(now, behind=agent)
            assert self.waiting_list_comes_first(now) or not self.may_take_a_seat(agent, now, kept), (
                "asked to wait beside a free seat"
            )
        else:
            assert self.session.waiting_list == "automatic"
            assert published.request_id is not None
            self.group[agent] = published.request_id
            self.size[published.request_id] = published.together
            self.joined[published.request_id] += 1
        self.state[agent] = "waitlisted"
        [place] = [number for number, party in enumerate(self.parties, 1) if agent in party]
        assert published.position == place, "published another place in line"

    def _is_the_next_step(self, before: str | None, published: EnrolmentPending) -> None:
        """The employer first, then the organiser (rule 16)."""
        if published.awaiting == "employer_approval":
            assert self.session.approval in ("employer", "employer_then_selection")
            assert not is_live(before)
        else:
            assert self.session.approval in ("selection", "employer_then_selection")
            assert not is_live(before) or before == "pending_approval"

    def _every_word_is_said(self, before: str | None) -> None:
        if self.session.approval in ("selection", "employer_then_selection"):
            assert before in ("pending_selection", "waitlisted", "offered"), "nobody selected them"

    def _changes_nothing(self, published: EnrolmentRefused, before: str | None) -> bool:
        if published.asked != "enrolment":
            return True
        return published.reason == "already_enrolled" and before is not None and is_live(before)

    def _ended(self, published: EnrolmentWithdrawn, before: str | None) -> str:
        """Return the state that an enrolment ends in."""
        assert is_live(before)
        if published.by is WithdrawnBy.SESSION_CANCELLED:
            return "session_cancelled"
        if before == "enrolled" and published.moved_to is None:
            assert not self._has_begun(published.request_id), "left a session that has begun"
        return "withdrawn"

    def _may_not_leave(self, published: EnrolmentRefused, before: str | None) -> None:
        if published.asked == "withdrawal":
            too_late = before == "enrolled" and self._has_begun(published.request_id)
            assert published.reason == ("deadline_passed" if too_late else "not_enrolled")
            assert too_late or not is_live(before), "refused to leave though there was time"

    def _has_begun(self, request_id: uuid.UUID | None) -> bool:
        """Whether a seat could not be given back when a request was received (rules 8 and 13)."""
        assert request_id is not None
        session = self.session
        end = session.ends_at if session.format == "mooc" else session.starts_at
        return self.received_at[request_id] >= end

    def _is_over(self, agent: AgentKey, now: datetime) -> bool:
        """Whether the agent's offer has ended, or no offer can stand any more."""
        last = self.session.starts_at - POLICY.last_offer
        return self.hold_until[agent] + POLICY.grace <= now or last <= now

    def _seat_is_theirs(
        self, agent: AgentKey, before: str | None, published: AgentEnrolled, now: datetime
    ) -> None:
        if before == "offered":
            assert published.from_waiting_list
            return
        self._every_word_is_said(before)
        if agent == self.above_capacity:
            assert not published.from_waiting_list
            return
        assert self.may_take_a_seat(agent, now), "a seat that there is not"
        if before == "waitlisted":
            assert published.from_waiting_list
            if not self.being_seated:
                self.being_seated = set(self.next_in_line(now))
            assert agent in self.being_seated, "promoted out of turn"
            self.being_seated.remove(agent)
        else:
            assert not published.from_waiting_list
            assert not self.next_in_line(now), "seated before somebody who waits"
            assert not self.waiting_list_comes_first(now), "seated before somebody who waited to the end"
            kept = self.kept(now, behind=agent)
            assert self.may_take_a_seat(agent, now, kept), "a seat that is kept for a group"

    def _version(self, published: Decision, agent: AgentKey) -> None:
        self.versions[published.enrolment_id] += 1
        assert published.version == self.versions[published.enrolment_id], (
            "a version was left out, or published twice"
        )
        if published.version > 1:
            assert self.enrolment[agent] == published.enrolment_id
        self.enrolment[agent] = published.enrolment_id

    def _of_the_session(self, published: SessionOccupancyChanged | OrganiserNotice, now: datetime) -> None:
        if isinstance(published, OrganiserNotice):
            self._notice(published, now)
        else:
            self._occupancy(published)

    def _occupancy(self, published: SessionOccupancyChanged) -> None:
        assert published.version == (self.occupancy.version if self.occupancy else 0) + 1
        self.occupancy = published

    def taking_part(self) -> int:
        """How many have a seat, or may get one though enrolment has closed (rule 15)."""
        return len(self.having("enrolled", "offered", "pending_selection"))

    def _notice(self, published: OrganiserNotice, now: datetime) -> None:
        closes_at = self.session.enrolment_closes_at
        assert closes_at + POLICY.grace <= now, "before the close"
        assert (type(published), closes_at) not in self.notified, "notified twice"
        self.notified.add((type(published), closes_at))
        match published:
            case MinimumMissed():
                assert published.minimum == self.session.minimum
                assert published.enrolled + published.offered + published.candidates == self.taking_part()
                assert self.taking_part() < published.minimum, "enough take part"
            case SelectionDue():
                assert published.candidates == len(self.having("pending_selection")) > 0
                assert published.capacity == self.session.capacity
            case _:
                raise AssertionError(f"nobody expected {published}")


def is_live(state: str | None) -> bool:
    return state not in (None, "refused", "lapsed", "withdrawn", "session_cancelled", "not_obtained")
