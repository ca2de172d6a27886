"""Writes the requests of the day, one method per step. The same seed gives the same day.

Later steps depend on earlier answers: agents withdraw from their seats, or answer their offers.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from local.demo.sessions import DemoSessions
from local.model.day import ReferenceModel
from local.model.session import CatalogueSession, SessionModel
from local.people import Agent, Population
from local.portal import requests
from local.portal.requests import Request

# Small sessions that each show one case, which random withdrawals would spoil.
_OF_THEIR_OWN = (
    "reserved", "offers", "by_link", "selection", "two_steps", "groups", "together", "moving", "by_hand",
    "full", "too_few",
)  # fmt: skip
_CROWD_OF = {
    "recorded": 60, "to_cancel": 25, "offers": 8, "by_link": 4, "approval": 6, "by_hand": 2, "full": 5,
    "too_few": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Crowd:
    """How many agents ask for a MOOC and for the most popular session, and the most sessions of each kind.

    ``most_sessions`` None means all.
    """

    mooc: int = 520
    popular: int = 420
    most_sessions: int | None = None


class RequestScript:
    def __init__(
        self,
        model: ReferenceModel,
        sessions: DemoSessions,
        people: Population,
        random: Random,
        crowd: Crowd,
    ) -> None:
        self._model = model
        self._sessions = sessions
        self._people = people
        self._random = random
        self._crowd = crowd

    # ---------------------------------------------------------------------- first act: many want a seat

    def trainees(self) -> list[Agent]:
        return [self._people.agent("occitanie") for _ in range(6)]

    def crowd(self) -> list[Request]:
        """Some agents request twice, and some requests are sent again."""
        sessions, small = self._sessions, self._sessions.small
        wanted = [
            *((session, self._crowd.mooc) for session in sessions.mooc),
            # Only agents of the session's delegation, for whom its reserved seats make no difference.
            *((session, _number_for(session)) for session in sessions.local_events),
            *((session, 40) for session in sessions.webinars),
            *(
                (session, (_capacity(session) or 0) + 25)
                for part in ("events", "webinars")
                for session in small[part][: self._crowd.most_sessions]
            ),
            *zip(small["moving"], (5, 1), strict=True),
            *((session, 12) for session in (*sessions.selective, *sessions.closed)),
            *((session, 5) for session in sessions.not_yet_open),
            *((sessions.of_part(part), number) for part, number in _CROWD_OF.items()),
        ]
        asked = [self._seat(session) for session, number in wanted for _ in range(number)]
        asked += [requests.seat(str(uuid.uuid4()), self._people.agent()) for _ in range(15)]
        asked += [
            self._seat(session, self._people.agent(function=function))
            for session in (sessions.of_part("selection"), sessions.of_part("two_steps"), *sessions.selective)
            for function in ("encadrant", "chef_de_service", "dirigeant")
            for _ in range(4)
        ]
        again = [replace(request, id=str(uuid.uuid4())) for request in self._random.sample(asked, 70)]
        redelivered = self._random.sample(asked, 60)
        asked += again + redelivered
        self._random.shuffle(asked)
        burst = [self._seat(sessions.of_part("popular")) for _ in range(self._crowd.popular)]
        middle = len(asked) // 2
        return asked[:middle] + burst + asked[middle:]

    def groups(self) -> list[Request]:
        """Five agents fit into eight seats.

        Five more do not fit. Of five agents with single requests, three fit.
        """
        session = self._sessions.of_part("groups")
        return [
            requests.group(
                session.session_id,
                [self._people.agent(session.organiser) for _ in range(5)],
                all_or_nothing=together,
            )
            for together in (True, True, False)
        ]

    def waiting_together(self) -> list[Request]:
        """All three seats are taken. A group of two waits, and one agent behind it.

        Two agents leave, and the group gets seats. The first free seat is kept until the second is free.
        """
        session = self._sessions.of_part("together")
        first, second, third, *pair, behind = (self._people.agent(session.organiser) for _ in range(6))
        return [
            *(requests.seat(session.session_id, agent) for agent in (first, second, third)),
            requests.group(session.session_id, pair, all_or_nothing=True, may_wait=True),
            requests.seat(session.session_id, behind),
            *(requests.withdrawal(session.session_id, agent) for agent in (first, second)),
        ]

    def reserved_seats(self) -> list[Request]:
        """Three of six seats are reserved: of five agents of other delegations, two must wait."""
        session = self._sessions.of_part("reserved")
        elsewhere = [self._people.agent("normandie") for _ in range(5)]
        return [self._seat(session), *(self._seat(session, agent) for agent in elsewhere)]

    def nominations(self, session: CatalogueSession, trainees: Sequence[Agent]) -> list[Request]:
        authority = trainees[0].employer
        stranger, newcomer = self._people.agent("corse"), self._people.agent(authority.delegation)
        return [
            requests.nomination(session.session_id, agents, authority)
            for agents in ((*trainees, stranger), (*trainees[:-1], newcomer))
        ]

    def malformed(self) -> Request:
        return self._seat(self._sessions.of_part("popular"))

    # ------------------------------------------------------------------ second act: seats change hands

    def ranking(self, part: str) -> tuple[list[str], list[str]]:
        """More candidates are ranked than there are seats. The other third is not selected."""
        candidates = sorted(self.modelled(part).candidates)
        self._random.shuffle(candidates)
        ranked = len(candidates) * 2 // 3
        return candidates[:ranked], candidates[ranked:]

    def withdrawals(self) -> list[Request]:
        own = {session.session_id for part in _OF_THEIR_OWN for session in self._sessions.small[part]}
        asked: list[Request] = []
        for session_id, session in self._model.sessions.items():
            if session.waiting and session_id not in own:
                leaving = self._some(session.enrolled, most=6) + self._some(session.waiting, most=2)
                asked += [requests.withdrawal(session_id, agent) for agent in leaving]
                asked += [self._seat(session.terms, agent) for agent in leaving[:1]]
        return [*asked, *self._withdrawals_from("offers", 3), *self._withdrawals_from("selection", 1)]

    def approvals(self) -> list[Request]:
        """Employers decide about some pending agents, and refuse the last of them.

        Two of six are approved to come. Nine of twelve are approved for the ranking, and have no seat yet.
        """
        return [
            requests.approval(self.modelled(part).terms.session_id, agent, granted=number < granted)
            for part, granted in (("approval", 2), ("two_steps", 9))
            for number, agent in enumerate(self._some(self.modelled(part).pending, most=granted + 1))
        ]

    def moves(self) -> list[Request]:
        """All three agents of a session request another with two seats. Waiting agents get the free seats."""
        here, there = self._sessions.small["moving"]
        return [
            requests.swap(here.session_id, agent, there.session_id)
            for agent in self._model.sessions[here.session_id].enrolled.values()
        ]

    def by_hand(self) -> list[tuple[Agent, str | None]]:
        """The three agents get the last seat, a seat above the capacity, and a place on the waiting list."""
        organiser = self._sessions.of_part("by_hand").organiser
        reasons = (None, "Une chaise de plus a été installée", None)
        return [(self._people.agent(organiser), reason) for reason in reasons]

    def after_hand(self) -> list[Request]:
        """The first agent leaves a seat above the capacity, so no other agent gets it."""
        session = self.modelled("by_hand")
        return [requests.withdrawal(session.terms.session_id, next(iter(session.enrolled.values())))]

    # ------------------------------------------------------------------------- third act: offers and after

    def answers_to_offers(self, *, declining: bool) -> list[Request]:
        """Every third agent declines. In the session of offers, the first does not answer."""
        silent = self._sessions.of_part("offers").session_id
        return [
            requests.offer_answer(session_id, agent, accepted=not declining or number % 3 > 0)
            for session_id, session in self._model.sessions.items()
            for number, agent in enumerate(list(session.offered.values())[session_id == silent :])
        ]

    def acceptance_after_lapse(self) -> list[Request]:
        session = self.modelled("offers")
        return [
            requests.offer_answer(session.terms.session_id, agent, accepted=True)
            for agent in session.offered.values()
        ]

    def with_new_addresses(self) -> list[Agent]:
        """Return the next agent to get an offer, and an agent who will get the letter about a replay."""
        waiting = self.modelled("by_link").waiting
        return [next(iter(waiting.values())), *self._some(self.modelled("recorded").enrolled, most=1)]

    def freeing_a_seat(self) -> list[Request]:
        return self._withdrawals_from("by_link", 1)

    def after_cancellation(self) -> list[Request]:
        return [self._seat(self._sessions.of_part("to_cancel")) for _ in range(15)]

    def after_close(self) -> list[Request]:
        return [self._seat(self._sessions.of_part("full"))]

    # ------------------------------------------------------------------------------------------ one request

    def modelled(self, part: str) -> SessionModel:
        return self._model.sessions[self._sessions.of_part(part).session_id]

    def _seat(self, session: CatalogueSession, agent: Agent | None = None) -> Request:
        return requests.seat(session.session_id, agent or self._people.agent(session.organiser))

    def _withdrawals_from(self, part: str, most: int) -> list[Request]:
        session = self.modelled(part)
        leaving = self._some(session.enrolled, most=most)
        return [requests.withdrawal(session.terms.session_id, agent) for agent in leaving]

    def _some(self, agents: dict[str, Agent], *, most: int) -> list[Agent]:
        return [agents[chosen] for chosen in self._random.sample(sorted(agents), min(most, len(agents)))]


def _number_for(session: CatalogueSession) -> int:
    capacity = _capacity(session)
    return 28 if capacity is None or capacity > 58 else capacity + 12


def _capacity(session: CatalogueSession) -> int | None:
    return session.seats.capacity
