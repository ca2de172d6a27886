"""The reference model: what should become of every request, by the rules of the domain.

Written from the rules, not from the enrolment service's code, and as plainly as they read: for each session
who has a seat, who has an offer, who waits and who is pending, each in order. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from local.demo.people import Agent
from local.demo.portal import PortalRequest, RequestKind, SentRequest, officer_of
from local.demo.session_model import Answer, CatalogueSession, SessionModel

UNKNOWN_FORMAT = "unknown"

AnswerKey = tuple[str, str]
"""A request's id and an agent: a request about several agents is answered to each."""
Decision = tuple[Answer, str, str]
"""What was decided about an agent in a session: answer, session_id, agent_id."""
Correction = tuple[str, str]
"""An agent_id and the address that is theirs from now on."""


class ReferenceModel:
    """Every session of the demonstration, and what should happen in it.

    `answers` are to requests. `consequences` have no request: the clock, an organiser or somebody else's
    request led to them. `link_answers` answer the link in a mail, and `answers_by_hand` an organiser at the
    API: these requests have ids that only the services know. `mails` counts the letters that are due, by
    address.
    """

    def __init__(self, sessions: Iterable[CatalogueSession]) -> None:
        self.sessions = {session.session_id: SessionModel(session) for session in sessions}
        self.requests: dict[str, PortalRequest] = {}
        self.answers: dict[AnswerKey, Answer] = {}
        self.consequences: Counter[Decision] = Counter()
        self.link_answers: Counter[Decision] = Counter()
        self.answers_by_hand: Counter[Decision] = Counter()
        self.corrections: Counter[Correction] = Counter()
        self.offers: Counter[str] = Counter()
        self.selection: Counter[str] = Counter()
        self.released = 0
        self.minimums_missed = 0
        self.mails: Counter[str] = Counter()
        self.format_of_address: dict[str, str] = {}

    # ---------------------------------------------------------------------------------- what happens

    def add_session(self, session: CatalogueSession) -> None:
        """Add a session that was published."""
        self.sessions[session.session_id] = SessionModel(session)

    def receive(self, sent: Iterable[SentRequest]) -> None:
        """Take in requests in the order of their offsets; each id counts once."""
        for record in sorted(
            sent, key=lambda record: (record.request.topic, record.partition, record.offset)
        ):
            request = record.request
            if request.ce_id not in self.requests:
                self.requests[request.ce_id] = request
                self._answer_request(request, record.sent_at)

    def answer_by_link(self, session_id: str, agent: Agent, *, accepted: bool) -> None:
        """Take in the answer to an offer that an agent gave by the link in the mail."""
        session = self.sessions[session_id]
        answer = self._answer_offer(session, agent, accepted=accepted)
        self.link_answers[answer, session_id, agent.agent_id] += 1
        self._mail(session_id, agent)
        self._promote(session)

    def enrol_by_hand(self, session_id: str, agent: Agent, *, above_capacity: bool) -> None:
        """Enrol an agent for the organiser: by the rules, or with a seat where none is free."""
        session = self.sessions[session_id]
        answer = session.place_above_capacity(agent) if above_capacity else session.place(agent)
        self.answers_by_hand[answer, session_id, agent.agent_id] += 1
        self._mail(session_id, agent)

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

    def close_enrolment(self, session_id: str, closes_at: datetime, organiser: str) -> None:
        """Close enrolment in a session that has started: who waits has no seat, and nobody follows them.

        The organiser, at this address, is notified where fewer take part than are needed.
        """
        session = self.sessions[session_id]
        session.terms = replace(session.terms, closes_at=closes_at)
        for agent in list(session.waiting.values()):
            del session.waiting[agent.agent_id]
            self._follow(session, Answer("not_obtained"), agent)
        if session.misses_minimum():
            self.minimums_missed += 1
            self.mails[organiser] += 1
            self.format_of_address[organiser] = session.terms.format

    def select(self, session_id: str, ranked: Sequence[str], not_selected: Sequence[str]) -> None:
        """Rank the candidates: they get seats in this order, then places in line; the others are refused."""
        session = self.sessions[session_id]
        for agent_id in ranked:
            agent = session.candidates.pop(agent_id)
            answer = session.place(agent)
            self.selection[answer.outcome] += 1
            self._follow(session, answer, agent)
        for agent_id in not_selected:
            self.selection["refused"] += 1
            self._follow(session, Answer("refused", "not_selected"), session.candidates.pop(agent_id))

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
        return len(self.answers) + self.other_answers().total()

    def other_answers(self) -> Counter[Decision]:
        """Return the answers to requests that no portal sent."""
        return self.link_answers + self.answers_by_hand

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

        A move requests one where it got one, and so does an organiser.
        """
        kinds = (RequestKind.ENROLMENT, RequestKind.GROUP, RequestKind.NOMINATION)
        requests = [(self.requests[ce_id], answer) for (ce_id, _), answer in self.answers.items()]
        moves = (
            request.to_session_id
            for request, answer in requests
            if request.kind is RequestKind.SWAP and answer.outcome == "enrolled"
        )
        by_hand = (session_id for _, session_id, _ in self.answers_by_hand.elements())
        asked = (request.session_id for request, _ in requests if request.kind in kinds)
        return Counter([*asked, *moves, *by_hand])

    # ------------------------------------------------------------------------------------- requests

    def _answer_request(self, request: PortalRequest, received_at: datetime) -> None:
        if request.kind is RequestKind.BESPOKE:
            self.answer_officer(officer_of(request.agent)["email"])  # no enrolment: the delegation answers it
            return
        if request.kind is RequestKind.CORRECTION:
            self._correct(request.agent)
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

    def _correct(self, agent: Agent) -> None:
        """Expect one letter at the agent's former address, and what follows at the new one."""
        self.corrections[agent.agent_id, agent.email] += 1
        known = (session.correct(agent) for session in self.sessions.values())
        self.mails.update({former for former in known if former is not None} - {agent.email})

    def _enrol(self, session: SessionModel, agent: Agent, received_at: datetime, *, approved: bool) -> Answer:
        reason = session.reason_to_refuse(agent, received_at)
        return session.admit(agent, approved=approved) if reason is None else Answer("refused", reason)

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
        return session.admit(agent, approved=True) if granted else Answer("refused", "approval_denied")

    def _answer_offer(self, session: SessionModel, agent: Agent, *, accepted: bool) -> Answer:
        del session.offered[agent.agent_id]
        if accepted:
            session.enrolled[agent.agent_id] = agent
        self.offers["accepted" if accepted else "declined"] += 1
        return Answer("enrolled" if accepted else "lapsed")

    def _promote(self, session: SessionModel) -> None:
        """Give, or offer, each free seat to the first in line who may take it."""
        while agents := session.next_in_line():
            for agent in agents:
                self._seat_from_line(session, agent)

    def _seat_from_line(self, session: SessionModel, agent: Agent) -> None:
        del session.waiting[agent.agent_id]
        if session.terms.waiting_list == "offer":
            session.offered[agent.agent_id] = agent
            self.offers["made"] += 1
            self._follow(session, Answer("offered"), agent)
        else:
            session.enrolled[agent.agent_id] = agent
            self._follow(session, Answer("enrolled"), agent)
