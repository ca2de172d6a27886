from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from local.model.session import CatalogueSession, SessionModel, Verdict
from local.people import Agent
from local.portal.requests import Request

UNKNOWN_FORMAT = "unknown"

AnswerKey = tuple[str, str]
Decision = tuple[Verdict, str, str]
Correction = tuple[str, str]


@dataclass(frozen=True)
class SentRequest:
    request: Request
    partition: int
    offset: int
    sent_at: datetime


class ReferenceModel:
    """Computes the right results of the demonstration.

    `answers` has the results of portals' requests. `consequences` has the decisions without a request: the
    clock, an organiser or another agent's request led to them. `other_answers` has the results of requests by
    a letter's link or by an organiser (`by_hand`); only the services know the ids of these requests. `mails`
    counts the due letters by address.
    """

    def __init__(self, sessions: Iterable[CatalogueSession] = ()) -> None:
        self.sessions = {session.session_id: SessionModel(session) for session in sessions}
        self.requests: dict[str, Request] = {}
        self.answers: dict[AnswerKey, Verdict] = {}
        self.consequences: Counter[Decision] = Counter()
        self.other_answers: Counter[Decision] = Counter()
        self.by_hand: Counter[str] = Counter()
        self.corrections: Counter[Correction] = Counter()
        self.offers: Counter[str] = Counter()
        self.selection: Counter[str] = Counter()
        self.released = 0
        self.minimums_missed = 0
        self.mails: Counter[str] = Counter()
        self.format_of_address: dict[str, str] = {}

    # ---------------------------------------------------------------------------------- what happens

    def add_session(self, session: CatalogueSession) -> None:
        self.sessions[session.session_id] = SessionModel(session)

    def receive(self, sent: Iterable[SentRequest]) -> None:
        """Take requests in the order of their offsets; each id counts once."""
        for record in sorted(sent, key=lambda sent: (sent.request.topic, sent.partition, sent.offset)):
            request = record.request
            if request.id not in self.requests:
                self.requests[request.id] = request
                self._process(request, record.sent_at)

    def answer_by_link(self, session_id: str, agent: Agent) -> None:
        session = self.sessions[session_id]
        verdict = self._answer_offer(session, agent, accepted=True)
        self.other_answers[verdict, session_id, agent.agent_id] += 1
        self._mail(session_id, agent)
        self._promote(session)

    def enrol_by_hand(self, session_id: str, agent: Agent, *, above_capacity: bool) -> None:
        session = self.sessions[session_id]
        verdict = session.place_above_capacity(agent) if above_capacity else session.place(agent)
        self.other_answers[verdict, session_id, agent.agent_id] += 1
        self.by_hand[session_id] += 1
        self._mail(session_id, agent)

    def let_offers_lapse(self, session_id: str) -> None:
        session = self.sessions[session_id]
        for agent in list(session.offered.values()):
            del session.offered[agent.agent_id]
            self.offers["lapsed"] += 1
            self._follow(session, Verdict("lapsed"), agent)
        self._promote(session)

    def release_reserved_seats(self, session_id: str) -> None:
        session = self.sessions[session_id]
        session.released = True
        before = len(session.enrolled)
        self._promote(session)
        self.released += len(session.enrolled) - before

    def close_enrolment(self, session_id: str, closes_at: datetime, organiser: str) -> None:
        """Notify the organiser at this address if too few agents take part. Waiting agents get no seat."""
        session = self.sessions[session_id]
        session.terms = replace(session.terms, closes_at=closes_at)
        for agent in list(session.waiting.values()):
            del session.waiting[agent.agent_id]
            self._follow(session, Verdict("not_obtained"), agent)
        if session.misses_minimum():
            self.minimums_missed += 1
            self._mail_to(organiser, session.terms.format)

    def select(self, session_id: str, ranked: Sequence[str], not_selected: Sequence[str]) -> None:
        """Ranked agents get seats in this order, then places in line; the others are refused."""
        session = self.sessions[session_id]
        for agent_id in ranked:
            agent = session.candidates.pop(agent_id)
            verdict = session.place(agent)
            self.selection[verdict.state] += 1
            self._follow(session, verdict, agent)
        for agent_id in not_selected:
            self.selection["refused"] += 1
            self._follow(session, Verdict("refused", "not_selected"), session.candidates.pop(agent_id))

    def cancel(self, session_id: str) -> None:
        session = self.sessions[session_id]
        session.cancelled = True
        for agent in session.end_all():
            self._follow(session, Verdict("cancelled"), agent)

    def publish_replay(self, session_id: str) -> None:
        for agent in self.sessions[session_id].enrolled.values():
            self._mail(session_id, agent)

    def answer_officer(self, address: str) -> None:
        self._mail_to(address, "bespoke")

    # ----------------------------------------------------------------------------------- what is due

    def answers_due(self) -> int:
        return len(self.answers) + self.other_answers.total()

    def consequences_of(self, state: str) -> Counter[Decision]:
        return Counter({found: n for found, n in self.consequences.items() if found[0].state == state})

    def format_of(self, session_id: str) -> str:
        session = self.sessions.get(session_id)
        return session.terms.format if session else UNKNOWN_FORMAT

    def demands(self) -> Counter[str]:
        """A group requests a seat for each agent, an organiser one, and a granted move one."""
        demands = Counter(self.by_hand)
        for (request_id, _), verdict in self.answers.items():
            request = self.requests[request_id]
            if request.name in ("EnrolmentRequested", "GroupEnrolmentRequested", "TraineesNominated"):
                demands[request.session_id] += 1
            elif request.name == "SessionSwapRequested" and verdict.state == "enrolled":
                demands[request.data["to_session_id"]] += 1
        return demands

    # ------------------------------------------------------------------------------------- requests

    def _process(self, request: Request, received_at: datetime) -> None:
        if request.name == "BespokeTrainingRequested":
            self.answer_officer(request.data["requested_by"]["email"])  # the delegation answers it later
            return
        agent = request.agents[0]
        if request.name == "AgentCorrected":
            self._correct(replace(agent, email=request.data["email"]))
            return
        session = self.sessions.get(request.session_id)
        if session is None:
            self._answer(request, agent, Verdict("refused", "unknown_session"))
            return
        match request.name:
            case "EnrolmentRequested":
                self._answer(request, agent, self._enrol(session, agent, received_at, approved=False))
            case "GroupEnrolmentRequested":
                self._enrol_group(session, request, received_at)
            case "TraineesNominated":
                self._nominate(session, request, received_at)
            case "WithdrawalRequested":
                self._answer(request, agent, self._withdraw(session, agent))
            case "SeatOfferAnswered":
                accepted = request.data["accepted"]
                self._answer(request, agent, self._answer_offer(session, agent, accepted=accepted))
            case "SessionSwapRequested":
                there = self.sessions[request.data["to_session_id"]]
                self._answer(request, agent, self._move(session, there, agent, received_at))
            case "ApprovalDecided":
                granted = request.data["granted"]
                self._answer(request, agent, self._approve(session, agent, granted=granted))
        self._promote(session)

    def _answer(self, request: Request, agent: Agent, verdict: Verdict) -> None:
        self.answers[request.id, agent.agent_id] = verdict
        self._mail(request.session_id, agent)

    def _follow(self, session: SessionModel, verdict: Verdict, agent: Agent) -> None:
        session_id = session.terms.session_id
        self.consequences[verdict, session_id, agent.agent_id] += 1
        self._mail(session_id, agent)

    def _mail(self, session_id: str, agent: Agent) -> None:
        self._mail_to(agent.email, self.format_of(session_id))

    def _mail_to(self, address: str, of_format: str) -> None:
        self.mails[address] += 1
        self.format_of_address[address] = of_format

    def _correct(self, agent: Agent) -> None:
        self.corrections[agent.agent_id, agent.email] += 1
        known = (session.correct(agent) for session in self.sessions.values())
        self.mails.update({former for former in known if former is not None} - {agent.email})

    def _enrol(
        self, session: SessionModel, agent: Agent, received_at: datetime, *, approved: bool
    ) -> Verdict:
        reason = session.reason_to_refuse(agent, received_at)
        return session.admit(agent, approved=approved) if reason is None else Verdict("refused", reason)

    def _enrol_group(self, session: SessionModel, request: Request, received_at: datetime) -> None:
        has_room = session.has_room_for(*request.agents)
        for agent in request.agents:
            if has_room or not request.data["all_or_nothing"]:
                verdict = self._enrol(session, agent, received_at, approved=True)
            elif request.data["may_wait"]:
                session.waiting[agent.agent_id] = agent
                session.together[agent.agent_id] = request.id
                verdict = Verdict("waitlisted")
            else:
                verdict = Verdict("refused", "group_does_not_fit")
            self._answer(request, agent, verdict)

    def _nominate(self, session: SessionModel, request: Request, received_at: datetime) -> None:
        nominated = {agent.agent_id for agent in request.agents}
        for agent in list(session.enrolled.values()):
            if agent.agent_id not in nominated:
                del session.enrolled[agent.agent_id]
                self._follow(session, Verdict("withdrawn"), agent)
        for agent in request.agents:
            if agent.employer.siret != request.data["siret"]:
                self._answer(request, agent, Verdict("refused", "not_eligible"))
            elif not session.has_live_enrolment(agent):
                self._answer(request, agent, self._enrol(session, agent, received_at, approved=True))
        self.answer_officer(request.data["nominated_by"]["email"])

    def _withdraw(self, session: SessionModel, agent: Agent) -> Verdict:
        if session.offered.pop(agent.agent_id, None) is not None:
            self.offers["withdrawn"] += 1
        elif not (session.waiting.pop(agent.agent_id, None) or session.enrolled.pop(agent.agent_id, None)):
            raise ValueError("the demonstration withdraws only agents who have a seat, wait or have an offer")
        return Verdict("withdrawn")

    def _move(self, here: SessionModel, there: SessionModel, agent: Agent, received_at: datetime) -> Verdict:
        if agent.agent_id not in here.enrolled:
            return Verdict("refused", "not_enrolled")
        reason = there.reason_to_refuse(agent, received_at)
        if reason is None and there.terms.approval != "none":
            raise ValueError("the demonstration moves nobody to a session with an approval")
        if reason is None and not there.has_room_for(agent):
            reason = "session_full"
        if reason is not None:
            return Verdict("refused", reason)
        there.enrolled[agent.agent_id] = here.enrolled.pop(agent.agent_id)
        self.consequences[Verdict("withdrawn"), here.terms.session_id, agent.agent_id] += 1
        return Verdict("enrolled")

    def _approve(self, session: SessionModel, agent: Agent, *, granted: bool) -> Verdict:
        del session.pending[agent.agent_id]
        return session.admit(agent, approved=True) if granted else Verdict("refused", "approval_denied")

    def _answer_offer(self, session: SessionModel, agent: Agent, *, accepted: bool) -> Verdict:
        del session.offered[agent.agent_id]
        if accepted:
            session.enrolled[agent.agent_id] = agent
        self.offers["accepted" if accepted else "declined"] += 1
        return Verdict("enrolled" if accepted else "lapsed")

    def _promote(self, session: SessionModel) -> None:
        while agents := session.next_in_line():
            for agent in agents:
                del session.waiting[agent.agent_id]
                if session.terms.waiting_list == "offer":
                    session.offered[agent.agent_id] = agent
                    self.offers["made"] += 1
                    self._follow(session, Verdict("offered"), agent)
                else:
                    session.enrolled[agent.agent_id] = agent
                    self._follow(session, Verdict("enrolled"), agent)
