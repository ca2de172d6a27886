"""The rules played at random, against the naive model of ``tests.support.enrolment_model``."""

import os
import uuid
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from services.enrolment.rules.answering import decide
from services.enrolment.rules.expiry import expire
from services.enrolment.rules.organising import OrganisingFault, RankingFault, prioritise
from services.enrolment.rules.requests import Request
from services.enrolment.rules.session_changes import apply_state
from services.enrolment.rules.session_roster import SessionRoster
from shared.events.catalogue import SessionState
from shared.events.enrolment import OrganiserNotice
from shared.events.vocabulary import AgentKey
from tests.support.builders import DURING
from tests.support.enrolment_machine import EnrolmentMachine, GroupsMachine, World
from tests.support.enrolment_model import POLICY, EnrolmentEvent
from tests.support.moving_machine import MovingMachine, SeveralSessions
from tests.support.rosters import decide_in, ranks, reopened


class RulesAlone:
    """One session in memory. Every roster has everybody at hand, and each call is a transaction."""

    def __init__(self, session: SessionState) -> None:
        self.roster = SessionRoster(session, DURING, POLICY)
        self.seen: set[uuid.UUID] = set()

    def apply_state(self, session: SessionState, now: datetime) -> list[EnrolmentEvent]:
        apply_state(self.opened(now), session)
        decide_in(self.roster, [])
        return self.published()

    def ask(self, requests: Sequence[Request], now: datetime) -> list[EnrolmentEvent]:
        fresh = [request for request in requests if request.request_id not in self.seen]
        self.seen |= {request.request_id for request in fresh}
        decide_in(self.opened(now), fresh)
        assert [answer.request for answer in self.roster.results] == fresh
        return self.published()

    def expire(self, now: datetime) -> list[EnrolmentEvent]:
        expire(self.opened(now), now)
        return self.published()

    def rank(
        self, ranked: Sequence[AgentKey], not_selected: Sequence[AgentKey], now: datetime
    ) -> tuple[RankingFault | OrganisingFault | None, list[EnrolmentEvent]]:
        return ranks(self.opened(now), ranked, not_selected), self.published()

    def prioritise(
        self, agent: AgentKey, priority: int, now: datetime
    ) -> tuple[OrganisingFault | None, list[EnrolmentEvent]]:
        fault = prioritise(self.opened(now), agent, priority, "Anne Conseil", "Reporté")
        return fault, self.published()

    def opened(self, now: datetime) -> SessionRoster:
        self.roster = reopened(self.roster)
        self.roster.now = now
        self.roster.notices.clear()
        return self.roster

    def published(self) -> list[EnrolmentEvent]:
        notices = [notice for notice in self.roster.notices if isinstance(notice, OrganiserNotice)]
        occupancy = self.roster.occupancy()
        decisions = [decision for decision, _ in self.roster.decisions]
        return [*decisions, *notices, *([occupancy] if occupancy else [])]


class RulesMachine(EnrolmentMachine):
    """The rules alone."""

    def new_world(self) -> World:
        return RulesAlone(self.model.session)


class GroupsByRules(GroupsMachine):
    """Groups that wait together, by the rules alone."""

    def new_world(self) -> World:
        return RulesAlone(self.model.session)


class SeveralByRulesAlone:
    """A store of several sessions, as dictionaries."""

    def __init__(self) -> None:
        self.stores: dict[uuid.UUID, RulesAlone] = {}
        self.seen: set[uuid.UUID] = set()

    def apply_state(self, session: SessionState, now: datetime) -> list[EnrolmentEvent]:
        store = self.stores.setdefault(session.session_id, RulesAlone(session))
        return store.apply_state(session, now)

    def ask(self, requests: Sequence[Request], now: datetime) -> list[EnrolmentEvent]:
        fresh = [request for request in requests if request.request_id not in self.seen]
        self.seen |= {request.request_id for request in fresh}
        rosters = {session_id: store.opened(now) for session_id, store in self.stores.items()}
        decide(rosters, fresh)
        assert sum(len(roster.results) for roster in rosters.values()) == len(fresh)
        return [event for store in self.stores.values() for event in store.published()]

    def expire(self, now: datetime) -> list[EnrolmentEvent]:
        return [event for store in self.stores.values() for event in store.expire(now)]


class MovesByRules(MovingMachine):
    """Three sessions, by the rules alone."""

    def new_world(self, _session_ids: Sequence[uuid.UUID]) -> SeveralSessions:
        return SeveralByRulesAlone()


SETTINGS = settings(
    max_examples=int(os.environ.get("SEQUENCES", "20")),
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("machine", [RulesMachine, GroupsByRules, MovesByRules])
def test_the_rules_do_what_the_naive_model_says(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)
