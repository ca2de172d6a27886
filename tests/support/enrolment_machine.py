"""One session in which things happen at random, compared with the model of ``enrolment_model``.

A world is what is tested: the rules alone, or the store on a real Postgres
(``tests/integration/enrolment/test_machine.py``).
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.enrolment.rules.organising import OrganisingFault, RankingFault
from services.enrolment.rules.requests import (
    ApprovalDecision,
    ByHand,
    GroupRequest,
    OfferAnswer,
    Request,
    SeatRequest,
    Withdrawal,
)
from shared.events.catalogue import SessionState
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    Decision,
    EnrolmentPending,
    MinimumMissed,
    OrganiserNotice,
    SelectionDue,
)
from shared.events.vocabulary import Agent, AgentKey
from tests.support.builders import a_session
from tests.support.enrolment_model import (
    AGENTS,
    CLOSES,
    ISSUERS,
    OPENS,
    POLICY,
    STARTS,
    EnrolmentEvent,
    Model,
)

agents = st.sampled_from(AGENTS)


def _groups_of(issuer: str, least: int = 1) -> st.SearchStrategy[tuple[Agent, ...]]:
    """Groups that a portal of this issuer may name."""
    theirs = st.sampled_from([agent for agent in AGENTS if agent.issuer == issuer])
    return st.lists(theirs, min_size=least, max_size=4, unique_by=lambda agent: agent.key).map(tuple)


class World(Protocol):
    """What is tested. Each call is one transaction at the machine's moment and returns its events."""

    def apply_state(self, session: SessionState, now: datetime) -> list[EnrolmentEvent]: ...
    def ask(self, requests: Sequence[Request], now: datetime) -> list[EnrolmentEvent]: ...
    def expire(self, now: datetime) -> list[EnrolmentEvent]:
        """Do what is due, when all requests that had come are read."""
        ...

    def rank(
        self, ranked: Sequence[AgentKey], not_selected: Sequence[AgentKey], now: datetime
    ) -> tuple[RankingFault | OrganisingFault | None, list[EnrolmentEvent]]: ...
    def prioritise(
        self, agent: AgentKey, priority: int, now: datetime
    ) -> tuple[OrganisingFault | None, list[EnrolmentEvent]]: ...


class SessionMachine(RuleBasedStateMachine):
    """Requests, answers, organisers and the clock in one session, in any order."""

    world: World

    def new_world(self) -> World:
        raise NotImplementedError

    def open_session(
        self,
        *,
        capacity: int | None,
        waiting_list: str,
        approval: str,
        reserved: list[tuple[str, int]],
        quota: int | None,
        minimum: int | None,
        session_format: str = "local_event",
    ) -> None:
        self.now = self.received_at = OPENS + timedelta(hours=2)
        self.requests_made: list[Request] = []
        session = a_session(
            format=session_format,
            capacity=capacity,
            waiting_list=waiting_list,
            approval=approval,
            quota_per_authority=quota,
            minimum=minimum,
            reserved_seats=[
                {"delegation": delegation, "seats": seats, "release_at": OPENS + timedelta(days=3 * number)}
                for number, (delegation, seats) in enumerate(reserved, start=1)
            ],
            enrolment_opens_at=OPENS,
            enrolment_closes_at=CLOSES,
            starts_at=STARTS,
            ends_at=STARTS + timedelta(hours=7),
        )
        self.model = Model(session)
        self.world = self.new_world()
        self.change()

    # ------------------------------------------------------------------------------------ what portals ask

    @rule(data=st.data(), number=st.integers(1, 6))
    def ask(self, data: st.DataObject, number: int) -> None:
        """Some requests in one batch, of any kind, about anybody."""
        requests = [data.draw(self.a_request(), label="request") for _ in range(number)]
        self.answer(requests)

    @rule(
        several=st.lists(agents, min_size=2, max_size=6, unique_by=lambda agent: agent.key),
        approved=st.booleans(),
    )
    def ask_for_seats(self, several: list[Agent], approved: bool) -> None:
        self.answer(
            [SeatRequest(uuid.uuid4(), self.now, self.session_id, agent, approved) for agent in several]
        )

    @precondition(lambda self: self.model.having("enrolled"))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        agent = data.draw(st.sampled_from(sorted(self.model.having("enrolled"))))
        self.answer([Withdrawal(uuid.uuid4(), self.now, self.session_id, agent, None)])

    @precondition(lambda self: self.model.having("offered"))
    @rule(data=st.data(), accepted=st.booleans())
    def answer_an_offer(self, data: st.DataObject, accepted: bool) -> None:
        agent = data.draw(st.sampled_from(sorted(self.model.having("offered"))))
        received_at = data.draw(st.sampled_from([self.now, self.received_at]))
        in_time = received_at < self.model.hold_until[agent]
        self.answer([OfferAnswer(uuid.uuid4(), received_at, self.session_id, agent, accepted)])
        after = ("enrolled" if accepted else "lapsed") if in_time else "offered"
        assert self.model.state[agent] == after, "the time of receipt decides, not that of reading"

    @precondition(lambda self: self.model.having("pending_approval"))
    @rule(data=st.data(), granted=st.booleans())
    def decide_an_approval(self, data: st.DataObject, granted: bool) -> None:
        agent = data.draw(st.sampled_from(sorted(self.model.having("pending_approval"))))
        self.answer([ApprovalDecision(uuid.uuid4(), self.received_at, self.session_id, agent, granted)])
        if granted and self.model.session.approval == "employer_then_selection":
            late = self.received_at >= self.model.session.enrolment_closes_at
            cancelled = self.model.session.status == "cancelled"
            step = "pending_approval" if late else "pending_selection"
            assert cancelled or self.model.state[agent] == step, "the employer's word is the first of two"

    # ------------------------------------------------------------------------------------ what organisers do

    @precondition(lambda self: "selection" in self.model.session.approval)
    @rule(data=st.data())
    def rank(self, data: st.DataObject) -> None:
        candidates = data.draw(st.permutations(sorted(self.model.having("pending_selection"))))
        cut = data.draw(st.integers(0, len(candidates)))
        ranked, not_selected = candidates[:cut], candidates[cut:]
        for agent in ranked:
            self.model.order[agent] = self.now, self.next_number()
        fault, published = self.world.rank(ranked, not_selected, self.now)
        over = self.model.session.status == "cancelled" or self.now >= self.model.session.ends_at
        assert (fault is not None) == over
        self.take_in(published)
        if not over:
            assert not self.model.having("pending_selection"), "a candidate was left without an answer"

    @precondition(lambda self: "selection" in self.model.session.approval)
    @rule(data=st.data())
    def rank_wrongly(self, data: st.DataObject) -> None:
        """A ranking that forgets somebody, or names somebody twice or a stranger, changes nothing."""
        candidates = sorted(self.model.having("pending_selection"))
        wrong = data.draw(
            st.sampled_from(
                [candidates[1:], [*candidates, *candidates[:1]], [*candidates, AgentKey("iel", "X")]]
            )
        )
        if sorted(wrong) == candidates:
            return
        fault, published = self.world.rank(wrong, [], self.now)
        assert fault is not None
        assert published == []

    @rule(agent=agents, approved=st.booleans(), above_capacity=st.sampled_from([None, "One chair more"]))
    def enrol_by_hand(self, agent: Agent, approved: bool, above_capacity: str | None) -> None:
        """Also after the close, and above capacity with a reason (rule 22)."""
        by_hand = ByHand("organiser", above_capacity)
        self.model.above_capacity = agent.key if above_capacity else None
        self.answer([SeatRequest(uuid.uuid4(), self.now, self.session_id, agent, approved, by_hand)])
        self.model.above_capacity = None

    @precondition(lambda self: self.model.having("waitlisted"))
    @rule(data=st.data(), priority=st.integers(0, 2))
    def prioritise(self, data: st.DataObject, priority: int) -> None:
        agent = data.draw(st.sampled_from(self.model.waiting_list))
        fault, published = self.world.prioritise(agent, priority, self.now)
        assert fault is None
        [together] = [party for party in self.model.parties if agent in party]
        for each in together:
            self.model.priority[each] = priority
            self.model.versions[self.model.enrolment[each]] += 1
        self.take_in(published)

    # ------------------------------------------------------------------------------------ what time does

    @rule(capacity=st.sampled_from([0, 1, 2, 3, 5, None]))
    def change_capacity(self, capacity: int | None) -> None:
        self.change(capacity=capacity)

    @precondition(lambda self: self.model.having("pending_approval", "pending_selection"))
    @rule()
    def need_nobodys_agreement_any_more(self) -> None:
        self.change(approval="none")
        if self.model.session.status != "cancelled":
            assert not self.model.having("pending_approval", "pending_selection")

    @precondition(lambda self: self.model.having("offered"))
    @rule(hours=st.integers(1, 60))
    def bring_the_session_forward(self, hours: int) -> None:
        """So far that offers would outlive the last moment to offer."""
        end = max(self.model.hold_until[agent] for agent in self.model.having("offered"))
        starts_at = max(end - timedelta(hours=hours), self.now) + POLICY.last_offer
        self.change(
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=7),
            enrolment_closes_at=min(CLOSES, starts_at),
        )

    @precondition(lambda self: len(self.requests_made) > 15)
    @rule()
    def cancel(self) -> None:
        self.change(status="cancelled")

    @rule(hours=st.sampled_from([1, 6, 30, 50]))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.expire_what_is_due()

    @rule(hours=st.sampled_from([1, 6, 30]))
    def fall_behind(self, hours: int) -> None:
        """Requests come, but nobody reads them for a while."""
        self.now += timedelta(hours=hours)

    @precondition(lambda self: self.model.having("enrolled") and len(self.requests_made) > 5)
    @rule(data=st.data(), seconds=st.sampled_from([-1, 0]), to_the_end=st.booleans())
    def withdraw_about_the_start(self, data: st.DataObject, seconds: int, to_the_end: bool) -> None:
        """Just before the session begins, or when it has; or about its end, which counts for a MOOC."""
        session = self.model.session
        moment = session.ends_at if to_the_end else session.starts_at
        self.now = max(self.now, moment + timedelta(seconds=seconds))
        self.withdraw(data)

    @precondition(lambda self: self.model.having("offered"))
    @rule(seconds=st.sampled_from([-1, 0, 59, 60]))
    def let_an_offer_end(self, seconds: int) -> None:
        end = min(self.model.hold_until[agent] for agent in self.model.having("offered"))
        self.now = max(self.now, end + timedelta(seconds=seconds))
        self.expire_what_is_due()

    @precondition(lambda self: self.model.session.waiting_list == "automatic")
    @rule(several=st.sampled_from(ISSUERS).flatmap(lambda issuer: _groups_of(issuer, least=2)))
    def ask_to_wait_together(self, several: tuple[Agent, ...]) -> None:
        """One that may wait, and is refused only if it never could sit (rule 17)."""
        self.answer([GroupRequest(uuid.uuid4(), self.now, self.session_id, several, True, True)])

    @precondition(lambda self: self.model.being_kept(self.now))
    @rule(seconds=st.sampled_from([-1, 0, 59, 60]))
    def let_a_group_be_passed(self, seconds: int) -> None:
        end = min(self.model.being_kept(self.now))
        self.now = max(self.now, end + timedelta(seconds=seconds))
        self.expire_what_is_due()

    # ------------------------------------------------------------------------------------ how it is played

    @property
    def session_id(self) -> uuid.UUID:
        return self.model.session.session_id

    def expire_what_is_due(self) -> None:
        self.received_at = self.now
        self.model.pass_groups(self.now)
        published = self.world.expire(self.now)
        self.take_in(published)
        self.judge_close(published)
        for agent in self.model.having("offered"):
            assert self.now < self.model.hold_until[agent] + POLICY.grace, "an offer outlived its end"
        if self.now >= self.model.line_ends_at + POLICY.grace:
            assert not self.model.having("waitlisted"), "somebody waits for what is not given any more"

    def judge_close(self, published: list[EnrolmentEvent]) -> None:
        """The organiser is notified once after a close, and again only after a later close (rule 15)."""
        session = self.model.session
        closes_at = session.enrolment_closes_at
        notices = {type(event) for event in published if isinstance(event, OrganiserNotice)}
        is_due = session.status != "cancelled" and self.now >= closes_at + POLICY.grace
        is_new = is_due and (self.judged_for is None or closes_at > self.judged_for)
        misses = session.minimum is not None and self.model.taking_part() < session.minimum
        ranks = bool(self.model.having("pending_selection"))
        decides = session.minimum is not None or "selection" in session.approval
        assert (MinimumMissed in notices) == (is_new and misses)
        assert (SelectionDue in notices) == (is_new and ranks)
        if is_new and decides:
            self.judged_for = closes_at

    judged_for: datetime | None = None
    numbers = 0

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def a_request(self) -> st.SearchStrategy[Request]:
        ids = st.builds(uuid.uuid4)  # new each time a sequence is played, also when it is played again
        # Received since the last was read, in the order of the partition: at the latest now.
        members = [ids, st.just(self.received_at), st.just(self.session_id)]
        agent_keys = agents.map(lambda agent: agent.key)
        asking: st.SearchStrategy[Request] = st.builds(SeatRequest, *members, agents, st.booleans())
        # Parked, and read again after others that were received later.
        long_ago = st.sampled_from([1, 6, 30]).map(
            lambda hours: max(OPENS, self.received_at - timedelta(hours=hours))
        )
        late: st.SearchStrategy[Request] = st.builds(
            SeatRequest, ids, long_ago, st.just(self.session_id), agents, st.booleans()
        )
        group: st.SearchStrategy[Request] = st.builds(
            GroupRequest,
            *members,
            st.sampled_from(ISSUERS).flatmap(_groups_of),
            st.booleans(),
            st.booleans(),
        )
        withdrawal: st.SearchStrategy[Request] = st.builds(Withdrawal, *members, agent_keys, st.none())
        offer: st.SearchStrategy[Request] = st.builds(OfferAnswer, *members, agent_keys, st.booleans())
        approval: st.SearchStrategy[Request] = st.builds(
            ApprovalDecision, *members, agent_keys, st.booleans()
        )
        return st.one_of(asking, asking, late, group, withdrawal, offer, approval)

    def answer(self, requests: list[Request], *, again: bool = False) -> None:
        known = set(self.model.state)
        published = self.world.ask(requests, self.now)
        if again:
            answered = [
                event for event in published if isinstance(event, Decision) and event.request_id is not None
            ]
            assert answered == [], "answered a second time"
        else:
            self.requests_made += requests
            answers = Counter(
                (event.request_id, event.agent.key)
                for event in published
                if isinstance(event, Decision) and event.request_id is not None
            )
            for request in requests:
                if isinstance(request, SeatRequest | GroupRequest):
                    known |= set(request.agent_keys)
                for agent in request.agent_keys:
                    number = answers.pop((request.request_id, agent), 0)
                    assert number == 1 or (number == 0 and agent not in known), "not exactly one answer"
            assert not answers, "an answer that nobody asked for"
        self.received_at = max(self.received_at, *(request.received_at for request in requests))
        self.take_in(published)

    def change(self, **changes: Any) -> None:
        before = self.model.session
        after = a_session(**(before.model_dump() | changes | {"version": before.version + 1}))
        if before.status != "cancelled":
            self.model.session = after
        else:
            after = a_session(**(after.model_dump() | {"status": "cancelled"}))
            self.model.session = a_session(**(before.model_dump() | {"version": after.version}))
        self.take_in(self.world.apply_state(after, self.now))

    def take_in(self, published: list[EnrolmentEvent]) -> None:
        """Take these events in, in order; then check what must be true between transactions."""
        taken_before = len(self.model.taken)
        received_at = {request.request_id: request.received_at for request in self.requests_made}
        self.model.received_at = received_at
        for event in published:
            note(f"{self.now:%d %H:%M:%S} {type(event).__name__} {_who(event)}")
            if isinstance(event, AgentEnrolled | AgentWaitlisted | EnrolmentPending) and event.version == 1:
                assert event.request_id is not None
                order = received_at[event.request_id], self.next_number()
                if isinstance(event, AgentWaitlisted) and event.together:
                    order = self.model.group_order.setdefault(event.request_id, order)
                self.model.order[event.agent.key] = order
                self.model.priority[event.agent.key] = 0
            self.model.take_in(event, self.now)
        self.model.check(self.now, taken_before)


class EnrolmentMachine(SessionMachine):
    """Any session; requests come twice too, and its dates and quota change."""

    @initialize(
        capacity=st.sampled_from([2, 1, 3, 4, 0, None]),
        waiting_list=st.sampled_from(["offer", "automatic", "none"]),
        approval=st.sampled_from(["none", "employer", "selection", "employer_then_selection"]),
        reserved=st.lists(
            st.tuples(st.sampled_from(["bretagne", "ile-de-france"]), st.integers(1, 3)), max_size=2
        ),
        quota=st.sampled_from([None, None, 1, 2]),
        minimum=st.sampled_from([None, 1, 2, 4]),
        session_format=st.sampled_from(["mooc", "local_event"]),
    )
    def publish(self, **session: Any) -> None:
        self.open_session(**session)

    @precondition(lambda self: self.requests_made)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """Kafka delivers at least once."""
        self.answer([data.draw(st.sampled_from(self.requests_made))], again=True)

    @rule(agent=agents)
    def prioritise_somebody_who_does_not_wait(self, agent: Agent) -> None:
        if self.model.state.get(agent.key) != "waitlisted":
            assert self.world.prioritise(agent.key, 1, self.now) == (OrganisingFault.NOT_IN_LINE, [])

    @rule(quota=st.sampled_from([None, 1, 3]))
    def change_quota(self, quota: int | None) -> None:
        self.change(quota_per_authority=quota)

    @rule(days=st.integers(-8, 8))
    def move_the_session(self, days: int) -> None:
        starts_at = STARTS + timedelta(days=days)
        self.change(
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=7),
            enrolment_closes_at=min(CLOSES, starts_at),
        )


class GroupsMachine(SessionMachine):
    """A full session, in which groups may wait together; all else happens there too."""

    @initialize(
        capacity=st.sampled_from([3, 2, 4]),
        approval=st.sampled_from(["none", "none", "employer"]),
        reserved=st.lists(st.tuples(st.sampled_from(["bretagne", "ile-de-france"]), st.just(1)), max_size=1),
        quota=st.sampled_from([None, None, 2]),
        sitting=st.permutations(AGENTS),
    )
    def publish_full(self, *, capacity: int, sitting: list[Agent], **session: Any) -> None:
        self.open_session(capacity=capacity, waiting_list="automatic", minimum=None, **session)
        self.ask_for_seats(sitting[:capacity], True)

    @rule(several=st.sampled_from(ISSUERS).flatmap(lambda issuer: _groups_of(issuer, least=2)))
    def ask_to_wait_together_again(self, several: tuple[Agent, ...]) -> None:
        self.ask_to_wait_together(several)

    @precondition(lambda self: self.model.having("enrolled"))
    @rule(data=st.data())
    def withdraw_again(self, data: st.DataObject) -> None:
        self.withdraw(data)

    @precondition(lambda self: self.model.being_kept(self.now))
    @rule()
    def pass_a_group(self) -> None:
        self.let_a_group_be_passed(60)


def _who(published: EnrolmentEvent) -> str:
    if isinstance(published, Decision):
        return f"{published.agent.issuer} {published.agent.agent_id}"
    if isinstance(published, OrganiserNotice):
        return published.organiser
    return f"{published.enrolled}+{published.offered}, {published.waiting}"
