"""The rules played at random, against the naive model of ``tests.support.enrolment_model``."""

import os
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from services.enrolment.rules.answering import decide
from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.expiry import expire
from services.enrolment.rules.organising import (
    AttendanceMark,
    OrganisingFault,
    RankingFault,
    prioritise,
    record_attendance,
)
from services.enrolment.rules.requests import Request
from services.enrolment.rules.seats import Seats
from services.enrolment.rules.session_changes import apply_state
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.states import State
from services.enrolment.rules.waiting_list import WaitingGroup
from shared.events.catalogue import SessionState
from shared.events.enrolment import OrganiserNotice
from shared.events.vocabulary import AgentKey
from tests.support.attendance_machine import AttendanceMachine, RecordingWorld
from tests.support.enrolment_machine import EnrolmentMachine, GroupsMachine, World
from tests.support.enrolment_model import POLICY, EnrolmentEvent
from tests.support.moving_machine import MovingMachine, SeveralSessions
from tests.support.nominations_machine import NominationsMachine
from tests.support.rosters import a_waiting_list, decide_in, ranks


class RulesAlone:
    """A store that is a dictionary: every roster has everybody at hand."""

    def __init__(self, session: SessionState) -> None:
        self.session = session
        self.enrolments: dict[uuid.UUID, Enrolment] = {}
        self.next_ticket = 1
        self.occupancy_version = 0
        self.close_judged_for: datetime | None = None
        self.seen: set[uuid.UUID] = set()
        self.groups: dict[int, WaitingGroup] = {}
        self.changed_at: dict[uuid.UUID, datetime] = {}
        self.attendance: dict[uuid.UUID, dict[int, str]] = {}
        self.cancelled_at: datetime | None = None

    def apply_state(self, session: SessionState, now: datetime) -> list[EnrolmentEvent]:
        roster = self._open(now)
        apply_state(roster, session)
        decide_in(roster, [])
        return self._close(roster)

    def ask(self, requests: Sequence[Request], now: datetime) -> list[EnrolmentEvent]:
        fresh = [request for request in requests if request.request_id not in self.seen]
        self.seen |= {request.request_id for request in fresh}
        roster = self._open(now)
        decide_in(roster, fresh)
        assert [answer.request for answer in roster.results] == fresh
        return self._close(roster)

    def expire(self, now: datetime) -> list[EnrolmentEvent]:
        roster = self._open(now)
        expire(roster, now)
        return self._close(roster)

    def rank(
        self, ranked: Sequence[AgentKey], not_selected: Sequence[AgentKey], now: datetime
    ) -> tuple[RankingFault | OrganisingFault | None, list[EnrolmentEvent]]:
        roster = self._open(now)
        fault = ranks(roster, ranked, not_selected)
        return fault, self._close(roster)

    def prioritise(
        self, agent: AgentKey, priority: int, now: datetime
    ) -> tuple[OrganisingFault | None, list[EnrolmentEvent]]:
        roster = self._open(now)
        fault = prioritise(roster, agent, priority, "Anne Conseil", "Reporté de la session précédente")
        return fault, self._close(roster)

    def record(
        self, marks: Sequence[AttendanceMark], now: datetime
    ) -> tuple[Mapping[int, OrganisingFault], list[EnrolmentEvent]]:
        roster = self._open(now)
        faults = record_attendance(roster, marks, "Anne Conseil")
        return faults, self._close(roster)

    def _open(self, now: datetime) -> SessionRoster:
        everybody = list(self.enrolments.values())
        seats = Seats(
            sum(enrolment.state.has_seat for enrolment in everybody),
            sum(enrolment.state is State.OFFERED for enrolment in everybody),
        )
        for enrolment in everybody:
            if enrolment.state.holds_seat:
                seats.take(enrolment.agent.employer)
        waiting = [enrolment for enrolment in everybody if enrolment.state is State.WAITLISTED]
        ended = {enrolment.agent.key: enrolment for enrolment in everybody if not enrolment.state.is_live}
        return SessionRoster(
            session=self.session,
            now=now,
            policy=POLICY,
            seats=seats,
            waiting_list=a_waiting_list(waiting, self.groups),
            next_ticket=self.next_ticket,
            occupancy_version=self.occupancy_version,
            close_judged_for=self.close_judged_for,
            vacancies=self._vacancies(),
            attendance=self.attendance,
            cancelled_at=self.cancelled_at,
            latest=ended
            | {enrolment.agent.key: enrolment for enrolment in everybody if enrolment.state.is_live},
        )

    def _vacancies(self) -> Counter[str]:
        """Of each authority, how many have left since the close, but for who has come since."""
        closes_at, vacancies = self.session.enrolment_closes_at, Counter[str]()
        for enrolment_id, enrolment in self.enrolments.items():
            came_before = enrolment.received_at < closes_at
            if enrolment.state.is_live and not came_before:
                vacancies[enrolment.agent.employer.siret] -= 1
            if (
                enrolment.state is State.WITHDRAWN
                and came_before
                and self.changed_at[enrolment_id] >= closes_at
            ):
                vacancies[enrolment.agent.employer.siret] += 1
        return vacancies

    def _close(self, roster: SessionRoster) -> list[EnrolmentEvent]:
        self.session = roster.session
        self.next_ticket = roster.next_ticket
        for enrolment_id, enrolment in roster.changed.items():
            self.enrolments.pop(enrolment_id, None)
            self.enrolments[enrolment_id] = enrolment
            self.changed_at[enrolment_id] = roster.now
        self.close_judged_for = roster.close_judged_for
        self.attendance, self.cancelled_at = roster.attendance, roster.cancelled_at
        self.groups = roster.waiting_list.groups
        decisions = [decision for decision, _ in roster.decisions]
        notices = [notice for notice in roster.notices if isinstance(notice, OrganiserNotice)]
        published: list[EnrolmentEvent] = [*decisions, *notices]
        occupancy = roster.occupancy()
        self.occupancy_version = roster.occupancy_version
        return [*published, occupancy] if occupancy is not None else published


class RulesMachine(EnrolmentMachine):
    """The rules alone."""

    def new_world(self) -> World:
        return RulesAlone(self.model.session)


class GroupsByRules(GroupsMachine):
    """Groups that wait together, by the rules alone."""

    def new_world(self) -> World:
        return RulesAlone(self.model.session)


class NominationsByRules(NominationsMachine):
    """Lists of trainees, by the rules alone."""

    def new_world(self) -> World:
        return RulesAlone(self.session)


class AttendanceByRules(AttendanceMachine):
    """Attendance, by the rules alone."""

    def new_world(self) -> RecordingWorld:
        return RulesAlone(self.session)


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
        rosters = {session_id: store._open(now) for session_id, store in self.stores.items()}
        decide(rosters, fresh)
        answered = [answer.request for roster in rosters.values() for answer in roster.results]
        assert len(answered) == len(fresh)
        return [event for key, store in self.stores.items() for event in store._close(rosters[key])]

    def expire(self, now: datetime) -> list[EnrolmentEvent]:
        return [event for store in self.stores.values() for event in store.expire(now)]


class MovesByRules(MovingMachine):
    """Three sessions, by the rules alone."""

    def new_world(self, _session_ids: Sequence[uuid.UUID]) -> SeveralSessions:
        return SeveralByRulesAlone()


SETTINGS = settings(
    max_examples=int(os.environ.get("SEQUENCES", "60")),
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize(
    "machine", [RulesMachine, GroupsByRules, NominationsByRules, AttendanceByRules, MovesByRules]
)
def test_the_rules_do_what_the_naive_model_says(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)
