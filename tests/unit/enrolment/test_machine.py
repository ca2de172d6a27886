"""The rules played at random, against the naive model of ``tests.support.enrolment_model``."""

import os
import uuid
from collections.abc import Sequence
from datetime import datetime

from hypothesis import HealthCheck, settings

from services.enrolment.rules import (
    Book,
    Enrolment,
    Fault,
    Line,
    RankingFault,
    Request,
    Seats,
    State,
    decide,
    prioritise,
    rank,
)
from shared.events.catalogue import SessionState
from tests.support.enrolment_machine import EnrolmentMachine, World
from tests.support.enrolment_model import POLICY, Told


class RulesAlone:
    """A store that is a dictionary: every book has everybody at hand."""

    def __init__(self, session: SessionState) -> None:
        self.session = session
        self.enrolments: dict[uuid.UUID, Enrolment] = {}
        self.next_ticket = 1
        self.occupancy_version = 0
        self.seen: set[uuid.UUID] = set()

    def hear(self, session: SessionState, now: datetime) -> list[Told]:
        book = self._open(now)
        book.change(session)
        decide(book, [])
        return self._close(book)

    def ask(self, requests: Sequence[Request], now: datetime) -> list[Told]:
        fresh = [one for one in requests if one.request_id not in self.seen]
        self.seen |= {one.request_id for one in fresh}
        book = self._open(now)
        decide(book, fresh)
        assert [one.request for one in book.answers] == fresh
        return self._close(book)

    def catch_up(self, now: datetime) -> list[Told]:
        book = self._open(now)
        book.expire(now)
        return self._close(book)

    def rank(
        self, ranked: Sequence[str], not_selected: Sequence[str], now: datetime
    ) -> tuple[RankingFault | Fault | None, list[Told]]:
        book = self._open(now)
        fault = rank(book, ranked, not_selected)
        return fault, self._close(book)

    def prioritise(self, agent_id: str, priority: int, now: datetime) -> tuple[Fault | None, list[Told]]:
        book = self._open(now)
        fault = prioritise(book, agent_id, priority, "Anne Conseil", "Reporté de la session précédente")
        return fault, self._close(book)

    def _open(self, now: datetime) -> Book:
        everybody = list(self.enrolments.values())
        seats = Seats(
            sum(one.state.has_seat for one in everybody), sum(one.state is State.OFFERED for one in everybody)
        )
        for one in everybody:
            if one.state.holds_seat:
                seats.take(one.agent.employer)
        waiting = [one for one in everybody if one.state is State.WAITLISTED]
        ended = {one.agent.agent_id: one for one in everybody if not one.state.is_live}
        return Book(
            session=self.session,
            now=now,
            policy=POLICY,
            seats=seats,
            line=Line(len(waiting), waiting, whole=True),
            next_ticket=self.next_ticket,
            occupancy_version=self.occupancy_version,
            latest=ended | {one.agent.agent_id: one for one in everybody if one.state.is_live},
        )

    def _close(self, book: Book) -> list[Told]:
        self.session = book.session
        self.next_ticket = book.next_ticket
        for enrolment_id, one in book.changed.items():
            self.enrolments.pop(enrolment_id, None)
            self.enrolments[enrolment_id] = one
        told: list[Told] = [decision for decision, _ in book.decisions]
        occupancy = book.occupancy()
        self.occupancy_version = book.occupancy_version
        return [*told, occupancy] if occupancy is not None else told


class RulesMachine(EnrolmentMachine):
    """The rules alone."""

    def new_world(self) -> World:
        return RulesAlone(self.model.session)


TestRules = RulesMachine.TestCase
TestRules.settings = settings(
    max_examples=int(os.environ.get("SEQUENCES", "60")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
