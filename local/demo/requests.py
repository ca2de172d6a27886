"""The requests of the day: who wants what, in acts. Seeded, so that a day can be played again.

The acts are separate because what follows depends on answers: agents withdraw from seats they hold, answer
offers that they have, and ask for a session that is known to be cancelled.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from local.demo.model import ReferenceModel
from local.demo.people import Agent, Population
from local.demo.portal import ContentMode, PortalRequest, RequestKind
from local.demo.session_model import CatalogueSession, SessionModel
from local.demo.sessions import DemoSessions

# Small sessions whose seats and lines are for one purpose, which withdrawals at random would spoil.
_OF_THEIR_OWN = (
    "reserved", "offers", "by_link", "selection", "two_steps", "groups", "together", "moving", "by_hand",
    "full", "too_few",
)  # fmt: skip


class RequestScript:
    """Writes the requests of each act."""

    def __init__(self, sessions: DemoSessions, people: Population, random: Random) -> None:
        self._sessions = sessions
        self._people = people
        self._random = random

    # ---------------------------------------------------------------------- first act: many want a seat

    def bespoke_training(self) -> PortalRequest:
        """An authority wants training of its own, for six agents."""
        trainees = tuple(self._people.agent("occitanie") for _ in range(6))
        return PortalRequest(str(uuid.uuid4()), trainees[0], RequestKind.BESPOKE, agents=trainees)

    def crowd(self) -> list[PortalRequest]:
        """Everybody wants a seat: fills, queues, refusals, a burst; some ask twice, some are sent again."""
        sessions, small = self._sessions, self._sessions.small
        wanted = [
            *((session, 520) for session in sessions.mooc),
            # Only its own delegation, to whom it makes no difference that seats there are reserved for it.
            *((session, _number_for(session)) for session in sessions.local_events),
            *((session, 40) for session in sessions.webinars),
            *((session, (session.capacity or 0) + 25) for session in (*small["events"], *small["webinars"])),
            *zip(small["moving"], (5, 1), strict=True),
            *((session, 12) for session in (*sessions.selective, *sessions.closed)),
            *((session, 5) for session in sessions.not_yet_open),
            *(
                (sessions.of_part(part), number)
                for part, number in (
                    ("recorded", 60), ("to_cancel", 25), ("offers", 8), ("by_link", 4), ("approval", 6),
                    ("by_hand", 2), ("full", 5), ("too_few", 2),
                )
            ),
        ]  # fmt: skip
        requests = [self._request(session) for session, number in wanted for _ in range(number)]
        requests += [PortalRequest(str(uuid.uuid4()), self._people.agent()) for _ in range(15)]
        requests += [
            self._request(session, self._people.agent(function=function))
            for session in (sessions.of_part("selection"), sessions.of_part("two_steps"), *sessions.selective)
            for function in ("encadrant", "chef_de_service", "dirigeant")
            for _ in range(4)
        ]
        again = [replace(request, ce_id=str(uuid.uuid4())) for request in self._random.sample(requests, 70)]
        redelivered = self._random.sample(requests, 60)
        requests += again + redelivered
        self._random.shuffle(requests)
        burst = [self._request(sessions.of_part("popular")) for _ in range(420)]
        middle = len(requests) // 2
        return requests[:middle] + burst + requests[middle:]

    def groups(self) -> list[PortalRequest]:
        """Five fit into eight seats; five more do not; of five who come each for themselves, three do."""
        session = self._sessions.of_part("groups")
        groups = [tuple(self._people.agent(session.organiser) for _ in range(5)) for _ in range(3)]
        return [
            PortalRequest(
                session.session_id, agents[0], RequestKind.GROUP, agents=agents, says_yes=all_or_nothing
            )
            for agents, all_or_nothing in zip(groups, (True, True, False), strict=True)
        ]

    def waiting_together(self) -> list[PortalRequest]:
        """Of three seats all are taken; two wait together, one behind them; two leave, and the group sits.

        What is left of the first seat is kept until the second is free.
        """
        session = self._sessions.of_part("together")
        first, second, third, *pair, behind = (self._people.agent(session.organiser) for _ in range(6))
        group = PortalRequest(
            session.session_id, pair[0], RequestKind.GROUP, agents=tuple(pair), may_wait=True
        )
        seats = [PortalRequest(session.session_id, agent) for agent in (first, second, third)]
        leaving = [
            PortalRequest(session.session_id, agent, RequestKind.WITHDRAWAL) for agent in (first, second)
        ]
        return [*seats, group, PortalRequest(session.session_id, behind), *leaving]

    def reserved_seats(self) -> list[PortalRequest]:
        """Of six seats three are reserved: of five agents of other delegations, two must wait."""
        session = self._sessions.of_part("reserved")
        elsewhere = [self._people.agent("normandie") for _ in range(5)]
        return [self._request(session), *(self._request(session, agent) for agent in elsewhere)]

    def nominations(self, session: CatalogueSession, trainees: Sequence[Agent]) -> list[PortalRequest]:
        """The authority's list, with a stranger on it; then anew, one agent in another's place."""
        stranger, newcomer = self._people.agent("corse"), self._people.agent(trainees[0].delegation)
        return [
            PortalRequest(session.session_id, trainees[0], RequestKind.NOMINATION, agents=agents)
            for agents in ((*trainees, stranger), (*trainees[:-1], newcomer))
        ]

    # ------------------------------------------------------------------ second act: seats change hands

    def ranking(self, model: ReferenceModel, part: str) -> tuple[list[str], list[str]]:
        """Two thirds of the candidates are ranked, more than there are seats; the others are not selected."""
        candidates = sorted(self._modelled(model, part).candidates)
        self._random.shuffle(candidates)
        ranked = len(candidates) * 2 // 3
        return candidates[:ranked], candidates[ranked:]

    def withdrawals(self, model: ReferenceModel) -> list[PortalRequest]:
        """Some give up a seat or a place in line; some of them change their mind and queue anew."""
        own = {session.session_id for part in _OF_THEIR_OWN for session in self._sessions.small[part]}
        requests: list[PortalRequest] = []
        for session_id, session in model.sessions.items():
            if session.waiting and session_id not in own:
                leaving = self._some(session.enrolled, most=6) + self._some(session.waiting, most=2)
                requests += [self._withdrawal(session, agent) for agent in leaving]
                requests += [self._request(session.terms, agent) for agent in leaving[:1]]
        offers = self._modelled(model, "offers")
        return requests + [self._withdrawal(offers, agent) for agent in self._some(offers.enrolled, most=3)]

    def approvals(self, model: ReferenceModel) -> list[PortalRequest]:
        """Employers decide: of some agents who are pending all but the last may come; others still wait.

        Two of six may come. Nine of twelve may be ranked, who then have no seat yet.
        """
        requests: list[PortalRequest] = []
        for part, granted in (("approval", 2), ("two_steps", 9)):
            session = self._modelled(model, part)
            requests += [
                PortalRequest(session.terms.session_id, agent, RequestKind.APPROVAL, says_yes=n < granted)
                for n, agent in enumerate(self._some(session.pending, most=granted + 1))
            ]
        return requests

    def moves(self, model: ReferenceModel) -> list[PortalRequest]:
        """All three who have a seat in one session want another, which has two: who waits gets theirs."""
        here, there = self._sessions.small["moving"]
        return [
            PortalRequest(here.session_id, agent, RequestKind.SWAP, to_session_id=there.session_id)
            for agent in model.sessions[here.session_id].enrolled.values()
        ]

    def by_hand(self) -> list[tuple[Agent, str | None]]:
        """Three telephone the organiser: for the last seat, for one above the capacity, and to wait."""
        organiser = self._sessions.of_part("by_hand").organiser
        reasons = (None, "Une chaise de plus a été installée", None)
        return [(self._people.agent(organiser), reason) for reason in reasons]

    def after_hand(self, model: ReferenceModel) -> PortalRequest:
        """The first leaves their seat, which was one too many: nobody follows."""
        session = self._modelled(model, "by_hand")
        return self._withdrawal(session, next(iter(session.enrolled.values())))

    def withdrawal_from(self, model: ReferenceModel, part: str) -> PortalRequest:
        """One who has a seat withdraws."""
        session = self._modelled(model, part)
        (leaving,) = self._some(session.enrolled, most=1)
        return self._withdrawal(session, leaving)

    # ------------------------------------------------------------------------- third act: offers and after

    def answers_to_offers(self, model: ReferenceModel, *, declining: bool) -> list[PortalRequest]:
        """Who has an offer answers, every third declines; in the session of offers the first stays silent."""
        silent = self._sessions.of_part("offers").session_id
        return [
            self._answer(session, agent, accepts=not declining or number % 3 > 0)
            for session_id, session in model.sessions.items()
            for number, agent in enumerate(list(session.offered.values())[session_id == silent :])
        ]

    def acceptance_after_lapse(self, model: ReferenceModel) -> list[PortalRequest]:
        """Who was next when an offer lapsed takes the seat."""
        session = self._modelled(model, "offers")
        return [self._answer(session, agent, accepts=True) for agent in session.offered.values()]

    def with_new_addresses(self, model: ReferenceModel) -> list[Agent]:
        """Return who gets a new address: who is next for an offer, and one who will hear of a replay."""
        waiting = self._modelled(model, "by_link").waiting
        return [next(iter(waiting.values())), *self._some(self._modelled(model, "recorded").enrolled, most=1)]

    def corrections(self, agents: Sequence[Agent]) -> list[PortalRequest]:
        """A portal corrects their addresses."""
        return [
            PortalRequest("", replace(agent, email=f"nouvelle.{agent.email}"), RequestKind.CORRECTION)
            for agent in agents
        ]

    def after_cancellation(self) -> list[PortalRequest]:
        """Some want a seat in the cancelled session all the same."""
        return [self._request(self._sessions.of_part("to_cancel")) for _ in range(15)]

    def after_close(self) -> list[PortalRequest]:
        """One comes too late."""
        return [self._request(self._sessions.of_part("full"))]

    # ------------------------------------------------------------------------------------------ one request

    def _request(self, session: CatalogueSession, agent: Agent | None = None) -> PortalRequest:
        return self._varied(session, agent or self._people.agent(session.organiser), RequestKind.ENROLMENT)

    def _withdrawal(self, session: SessionModel, agent: Agent) -> PortalRequest:
        return self._varied(session.terms, agent, RequestKind.WITHDRAWAL)

    def _answer(self, session: SessionModel, agent: Agent, *, accepts: bool) -> PortalRequest:
        return PortalRequest(session.terms.session_id, agent, RequestKind.OFFER_ANSWER, says_yes=accepts)

    def _varied(self, session: CatalogueSession, agent: Agent, kind: RequestKind) -> PortalRequest:
        """A request in one of the two modes; now and then with headers of others, which spoil nothing."""
        mode = ContentMode.STRUCTURED if self._random.random() < 0.1 else ContentMode.BINARY
        extra = (("x-trace", None), ("x-note", b"\xff\xfe")) if self._random.random() < 0.02 else ()
        return PortalRequest(session.session_id, agent, kind, mode, extra_headers=extra)

    def _modelled(self, model: ReferenceModel, part: str) -> SessionModel:
        return model.sessions[self._sessions.of_part(part).session_id]

    def _some(self, agents: dict[str, Agent], *, most: int) -> list[Agent]:
        return [agents[chosen] for chosen in self._random.sample(sorted(agents), min(most, len(agents)))]


def _number_for(session: CatalogueSession) -> int:
    """Enough to fill a small session and queue, a part of a large one."""
    return 28 if session.capacity is None or session.capacity > 58 else session.capacity + 12
