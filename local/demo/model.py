"""The reference model: what should become of every request, by the rules of the domain.

Written from the rules, not from the enrolment service's code, and as plainly as they read: for each session
who has a seat, who has an offer, who waits and who is pending, each in order. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.demo.people import Agent
from local.demo.portal import PortalRequest, RequestKind, SentRequest, officer_of

UNKNOWN_FORMAT = "unknown"


@dataclass(frozen=True)
class CatalogueSession:
    """A session as the catalogue's API showed it. `reserved`: seats by delegation, until their release."""

    session_id: str
    format: str
    title: str
    organiser: str
    capacity: int | None
    waiting_list: str
    opens_at: datetime
    closes_at: datetime
    starts_at: datetime
    functions: tuple[str, ...]
    approval: str = "none"
    sirets: tuple[str, ...] = ()
    reserved: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "CatalogueSession":
        """Read a session of the catalogue's API."""
        return cls(
            session_id=document["session_id"],
            format=document["format"],
            title=document["title"],
            organiser=document["organiser"],
            capacity=document["capacity"],
            waiting_list=document["waiting_list"],
            opens_at=datetime.fromisoformat(document["enrolment_opens_at"]),
            closes_at=datetime.fromisoformat(document["enrolment_closes_at"]),
            starts_at=datetime.fromisoformat(document["starts_at"]),
            functions=tuple(document["audience"]["functions"]),
            approval=document["approval"],
            sirets=tuple(document["audience"]["sirets"]),
            reserved=tuple((seats["delegation"], seats["seats"]) for seats in document["reserved_seats"]),
        )


@dataclass(frozen=True)
class Answer:
    """What was decided: an outcome, and a reason where it is a refusal."""

    outcome: str
    reason: str | None = None


AnswerKey = tuple[str, str]
"""A request's id and an agent: a request about several agents is answered to each."""
Decision = tuple[Answer, str, str]
"""What was decided about an agent in a session: answer, session_id, agent_id."""


@dataclass
class SessionModel:
    """Who has a seat, has an offer, waits and is pending in a session, each in order, by agent_id."""

    terms: CatalogueSession
    enrolled: dict[str, Agent] = field(default_factory=dict)
    offered: dict[str, Agent] = field(default_factory=dict)
    waiting: dict[str, Agent] = field(default_factory=dict)
    pending: dict[str, Agent] = field(default_factory=dict)
    together: dict[str, str] = field(default_factory=dict)
    """Of who waits with a group, its request."""
    cancelled: bool = False
    released: bool = False

    def has_room_for(self, agent: Agent) -> bool:
        """Say whether a seat is free that this agent may take: offers and others' reserved seats are not."""
        if self.terms.capacity is None:
            return True
        taken = Counter(holder.delegation for holder in (*self.enrolled.values(), *self.offered.values()))
        reserved = Counter({} if self.released else dict(self.terms.reserved)) - taken
        kept = 0 if reserved[agent.delegation] else reserved.total()
        return taken.total() + kept < self.terms.capacity

    def has_live_enrolment(self, agent: Agent) -> bool:
        """Say whether the agent has a seat, an offer or a place in line, or is pending."""
        return any(agent.agent_id in group for group in self._live())

    def has_room_for_all(self, agents: Sequence[Agent]) -> bool:
        """Say whether each of these agents could have a seat, one after the other."""
        trial = SessionModel(self.terms, dict(self.enrolled), self.offered, released=self.released)
        for agent in agents:
            if not trial.has_room_for(agent):
                return False
            trial.enrolled[agent.agent_id] = agent
        return True

    def places_in_line(self) -> list[list[Agent]]:
        """Return who waits, in order: a group is one place."""
        places: dict[str, list[Agent]] = {}
        for agent in self.waiting.values():
            places.setdefault(self.together.get(agent.agent_id, agent.agent_id), []).append(agent)
        return list(places.values())

    def keeps_seats(self) -> bool:
        """Say whether the first in line is a group, for which free seats are kept."""
        first = self.places_in_line()[:1]
        return any(len(place) > 1 for place in first)

    def end_all(self) -> list[Agent]:
        """End every live enrolment and return whose they were."""
        agents = [agent for group in self._live() for agent in group.values()]
        for group in self._live():
            group.clear()
        return agents

    def reason_to_refuse(self, agent: Agent, received_at: datetime) -> str | None:
        """Return why a request for a seat is refused, if it is."""
        terms = self.terms
        if self.cancelled:
            return "session_cancelled"
        if self.has_live_enrolment(agent):
            return "already_enrolled"
        if received_at < terms.opens_at:
            return "not_open_yet"
        if received_at >= terms.closes_at:
            return "deadline_passed"
        if terms.functions and agent.function not in terms.functions:
            return "not_eligible"
        if terms.sirets and agent.siret not in terms.sirets:
            return "not_eligible"
        return None

    def _live(self) -> tuple[dict[str, Agent], ...]:
        return self.enrolled, self.offered, self.waiting, self.pending


class ReferenceModel:
    """Every session of the demonstration, and what should happen in it.

    `answers` are to requests. `consequences` have no request: the clock, an organiser or somebody else's
    request led to them. `link_answers` answer the link in a mail, whose requests have ids that only the page
    knows. `mails` counts the letters that are due, by address.
    """

    def __init__(self, sessions: Iterable[CatalogueSession]) -> None:
        self.sessions = {session.session_id: SessionModel(session) for session in sessions}
        self.requests: dict[str, PortalRequest] = {}
        self.answers: dict[AnswerKey, Answer] = {}
        self.consequences: Counter[Decision] = Counter()
        self.link_answers: Counter[Decision] = Counter()
        self.offers: Counter[str] = Counter()
        self.selection: Counter[str] = Counter()
        self.released = 0
        self.mails: Counter[str] = Counter()
        self.format_of_address: dict[str, str] = {}

    # ---------------------------------------------------------------------------------- what happens

    def add_session(self, session: CatalogueSession) -> None:
        """Add a session that was published."""
        self.sessions[session.session_id] = SessionModel(session)

    def receive(self, sent: Iterable[SentRequest]) -> None:
        """Take in requests in the order of their offsets; each id counts once."""
        for each in sorted(sent, key=lambda each: (each.request.topic, each.partition, each.offset)):
            request = each.request
            if request.ce_id not in self.requests:
                self.requests[request.ce_id] = request
                self._answer_request(request, each.sent_at)

    def answer_by_link(self, session_id: str, agent: Agent, *, accepted: bool) -> None:
        """Take in the answer to an offer that an agent gave by the link in the mail."""
        session = self.sessions[session_id]
        answer = self._answer_offer(session, agent, accepted=accepted)
        self.link_answers[answer, session_id, agent.agent_id] += 1
        self._mail(session_id, agent)
        self._promote(session)

    def let_offers_lapse(self, session_id: str) -> None:
        """End every offer of a session: each seat goes to the next in line."""
        session = self.sessions[session_id]
        for agent in list(session.offered.values()):
            del session.offered[agent.agent_id]
            self.offers["lapsed"] += 1
            self._follow(session, Answer("lapsed"), agent)
        self._promote(session)

    def release_reserved_seats(self, session_id: str) -> None:
        """Release the reserved seats of a session: anybody may take them, first those who wait."""
        session = self.sessions[session_id]
        session.released = True
        before = len(session.enrolled)
        self._promote(session)
        self.released += len(session.enrolled) - before

    def select(self, session_id: str, ranked: Sequence[str], not_selected: Sequence[str]) -> None:
        """Rank the candidates: they get seats in this order, then places in line; the others are refused."""
        session = self.sessions[session_id]
        for agent_id in ranked:
            agent = session.pending.pop(agent_id)
            answer = self._place(session, agent)
            self.selection[answer.outcome] += 1
            self._follow(session, answer, agent)
        for agent_id in not_selected:
            self.selection["refused"] += 1
            self._follow(session, Answer("refused", "not_selected"), session.pending.pop(agent_id))

    def cancel(self, session_id: str) -> None:
        """Cancel a session: every live enrolment ends, and each agent is notified."""
        session = self.sessions[session_id]
        session.cancelled = True
        for agent in session.end_all():
            self._follow(session, Answer("cancelled"), agent)

    def publish_replay(self, session_id: str) -> None:
        """Publish a replay: everyone who is enrolled in its session is notified."""
        for agent in self.sessions[session_id].enrolled.values():
            self._mail(session_id, agent)

    def answer_officer(self, address: str) -> None:
        """Answer an authority's request, or take it: the officer who made it is notified."""
        self.mails[address] += 1
        self.format_of_address[address] = "bespoke"

    # ----------------------------------------------------------------------------------- what is due

    def answers_due(self) -> int:
        """Return how many answers are due: one to each request, to a request about several one per agent."""
        return len(self.answers) + self.link_answers.total()

    def consequences_of(self, outcome: str) -> Counter[Decision]:
        """Return the consequences with this outcome."""
        return Counter(
            {decision: n for decision, n in self.consequences.items() if decision[0].outcome == outcome}
        )

    def format_of(self, session_id: str) -> str:
        """Return a session's format, or that it is unknown."""
        session = self.sessions.get(session_id)
        return session.terms.format if session else UNKNOWN_FORMAT

    def demands(self) -> Counter[str]:
        """Return how many seats were requested in each session: a group requests one for each agent.

        A move requests one where it got one.
        """
        kinds = (RequestKind.ENROLMENT, RequestKind.GROUP, RequestKind.NOMINATION)
        requests = [(self.requests[ce_id], answer) for (ce_id, _), answer in self.answers.items()]
        moves = (
            request.to_session_id
            for request, answer in requests
            if request.kind is RequestKind.SWAP and answer.outcome == "enrolled"
        )
        return Counter(request.session_id for request, _ in requests if request.kind in kinds) + Counter(
            moves
        )

    # ------------------------------------------------------------------------------------- requests

    def _answer_request(self, request: PortalRequest, received_at: datetime) -> None:
        if request.kind is RequestKind.BESPOKE:
            self.answer_officer(officer_of(request.agent)["email"])  # no enrolment: the delegation answers it
            return
        session = self.sessions.get(request.session_id)
        if session is None:
            self._answer(request, request.agent, Answer("refused", "unknown_session"))
            return
        agent = request.agent
        match request.kind:
            case RequestKind.ENROLMENT:
                self._answer(request, agent, self._enrol(session, agent, received_at, approved=False))
            case RequestKind.GROUP:
                self._enrol_group(session, request, received_at)
            case RequestKind.NOMINATION:
                self._nominate(session, request, received_at)
            case RequestKind.WITHDRAWAL:
                self._answer(request, agent, self._withdraw(session, agent))
            case RequestKind.OFFER_ANSWER:
                self._answer(request, agent, self._answer_offer(session, agent, accepted=request.says_yes))
            case RequestKind.SWAP:
                there = self.sessions[request.to_session_id]
                self._answer(request, agent, self._move_agent(session, there, agent, received_at))
            case RequestKind.APPROVAL:
                self._answer(request, agent, self._approve(session, agent, granted=request.says_yes))
        self._promote(session)

    def _answer(self, request: PortalRequest, agent: Agent, answer: Answer) -> None:
        self.answers[request.ce_id, agent.agent_id] = answer
        self._mail(request.session_id, agent)

    def _follow(self, session: SessionModel, answer: Answer, agent: Agent) -> None:
        session_id = session.terms.session_id
        self.consequences[answer, session_id, agent.agent_id] += 1
        self._mail(session_id, agent)

    def _mail(self, session_id: str, agent: Agent) -> None:
        """Expect one letter for a decision."""
        self.mails[agent.email] += 1
        self.format_of_address[agent.email] = self.format_of(session_id)

    def _enrol(self, session: SessionModel, agent: Agent, received_at: datetime, *, approved: bool) -> Answer:
        reason = session.reason_to_refuse(agent, received_at)
        if reason is not None:
            return Answer("refused", reason)
        approval = session.terms.approval
        if "selection" in approval or (approval == "employer" and not approved):
            session.pending[agent.agent_id] = agent
            return Answer("pending")
        return self._place(session, agent)

    def _place(self, session: SessionModel, agent: Agent) -> Answer:
        """Give a seat or a place in line."""
        if session.has_room_for(agent) and not session.keeps_seats():
            session.enrolled[agent.agent_id] = agent
            return Answer("enrolled")
        if session.terms.waiting_list == "none":
            return Answer("refused", "session_full")
        session.waiting[agent.agent_id] = agent
        return Answer("waitlisted")

    def _enrol_group(self, session: SessionModel, request: PortalRequest, received_at: datetime) -> None:
        """Enrol all agents of a group or none, or each alone in the order given."""
        if request.may_wait and not session.has_room_for_all(request.agents):
            for agent in request.agents:
                session.waiting[agent.agent_id] = agent
                session.together[agent.agent_id] = request.ce_id
                self._answer(request, agent, Answer("waitlisted"))
            return
        if request.says_yes and not session.has_room_for_all(request.agents):
            for agent in request.agents:
                self._answer(request, agent, Answer("refused", "group_does_not_fit"))
            return
        for agent in request.agents:
            self._answer(request, agent, self._enrol(session, agent, received_at, approved=True))

    def _nominate(self, session: SessionModel, request: PortalRequest, received_at: datetime) -> None:
        """Take over the whole list of a private session: who is not on it leaves, who is new takes a seat."""
        nominated = {agent.agent_id for agent in request.agents}
        for agent in list(session.enrolled.values()):
            if agent.agent_id not in nominated:
                del session.enrolled[agent.agent_id]
                self._follow(session, Answer("withdrawn"), agent)
        for agent in request.agents:
            if agent.siret != request.agent.siret:
                self._answer(request, agent, Answer("refused", "not_eligible"))
            elif not session.has_live_enrolment(agent):
                self._answer(request, agent, self._enrol(session, agent, received_at, approved=True))
        self.answer_officer(officer_of(request.agent)["email"])

    def _withdraw(self, session: SessionModel, agent: Agent) -> Answer:
        if session.offered.pop(agent.agent_id, None) is not None:
            self.offers["withdrawn"] += 1
        elif not (session.waiting.pop(agent.agent_id, None) or session.enrolled.pop(agent.agent_id, None)):
            raise ValueError("the demonstration withdraws only agents who have a seat, wait or have an offer")
        return Answer("withdrawn")

    def _move_agent(
        self, here: SessionModel, there: SessionModel, agent: Agent, received_at: datetime
    ) -> Answer:
        """Give a seat there for the one here, or change nothing. One letter says both."""
        if agent.agent_id not in here.enrolled:
            return Answer("refused", "not_enrolled")
        reason = there.reason_to_refuse(agent, received_at)
        if reason is None and there.terms.approval != "none":
            raise ValueError("the demonstration moves nobody to where somebody must agree")
        if reason is None and not there.has_room_for(agent):
            reason = "session_full"
        if reason is not None:
            return Answer("refused", reason)
        there.enrolled[agent.agent_id] = here.enrolled.pop(agent.agent_id)
        self.consequences[Answer("withdrawn"), here.terms.session_id, agent.agent_id] += 1
        return Answer("enrolled")

    def _approve(self, session: SessionModel, agent: Agent, *, granted: bool) -> Answer:
        del session.pending[agent.agent_id]
        return self._place(session, agent) if granted else Answer("refused", "approval_denied")

    def _answer_offer(self, session: SessionModel, agent: Agent, *, accepted: bool) -> Answer:
        del session.offered[agent.agent_id]
        if accepted:
            session.enrolled[agent.agent_id] = agent
        self.offers["accepted" if accepted else "declined"] += 1
        return Answer("enrolled" if accepted else "lapsed")

    def _promote(self, session: SessionModel) -> None:
        """Give, or offer, each free seat to the first in line who may take it; a group has all or waits.

        No group of the demonstration waits for seven days: nobody passes it.
        """
        while agents := self._next_in_line(session):
            for agent in agents:
                self._seat_from_line(session, agent)

    def _next_in_line(self, session: SessionModel) -> list[Agent]:
        for place in session.places_in_line():
            if session.has_room_for_all(place):
                return place
            if len(place) > 1:
                return []  # it keeps what is free
        return []

    def _seat_from_line(self, session: SessionModel, agent: Agent) -> None:
        del session.waiting[agent.agent_id]
        if session.terms.waiting_list == "offer":
            session.offered[agent.agent_id] = agent
            self.offers["made"] += 1
            self._follow(session, Answer("offered"), agent)
        else:
            session.enrolled[agent.agent_id] = agent
            self._follow(session, Answer("enrolled"), agent)
