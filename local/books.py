"""The demonstration's own books: what should have become of every request, by an independent, simple model.

Written from the rules of the domain, not from the enrolment service's code, and as plainly as they read:
one list of who sits, of whom a seat is held for, of who waits and of who is pending per session. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.people import Agent
from local.portal import Ask, Kind, Sent

UNKNOWN_FORMAT = "unknown"


@dataclass(frozen=True)
class SessionFacts:
    """A session as the catalogue's API showed it. `reserved`: seats by delegation, till they are released."""

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
    def of(cls, session: Mapping[str, Any]) -> "SessionFacts":
        """Read a session of the catalogue's API."""
        return cls(
            session_id=session["session_id"],
            format=session["format"],
            title=session["title"],
            organiser=session["organiser"],
            capacity=session["capacity"],
            waiting_list=session["waiting_list"],
            opens_at=datetime.fromisoformat(session["enrolment_opens_at"]),
            closes_at=datetime.fromisoformat(session["enrolment_closes_at"]),
            starts_at=datetime.fromisoformat(session["starts_at"]),
            functions=tuple(session["audience"]["functions"]),
            approval=session["approval"],
            sirets=tuple(session["audience"]["sirets"]),
            reserved=tuple((one["delegation"], one["seats"]) for one in session["reserved_seats"]),
        )


@dataclass(frozen=True)
class Answer:
    """What was decided: an outcome, and a reason where it is a refusal."""

    outcome: str
    reason: str | None = None


AnswerKey = tuple[str, str]
"""A request's id and an agent: a request about several is answered to each."""
Event = tuple[Answer, str, str]
"""What was decided about an agent in a session: answer, session_id, agent_id."""


@dataclass
class SessionBook:
    """Who sits, has an offer, waits and is pending, each in order."""

    facts: SessionFacts
    seated: dict[str, Agent] = field(default_factory=dict)
    offered: dict[str, Agent] = field(default_factory=dict)
    line: dict[str, Agent] = field(default_factory=dict)
    pending: dict[str, Agent] = field(default_factory=dict)
    cancelled: bool = False
    released: bool = False

    def has_room_for(self, agent: Agent) -> bool:
        """Say whether a seat is free that this agent may take: offers and others' reserved seats are not."""
        if self.facts.capacity is None:
            return True
        taken = Counter(one.delegation for one in (*self.seated.values(), *self.offered.values()))
        reserved = Counter({} if self.released else dict(self.facts.reserved)) - taken
        kept = 0 if reserved[agent.delegation] else reserved.total()
        return taken.total() + kept < self.facts.capacity

    def knows(self, agent: Agent) -> bool:
        """Say whether the agent has a live enrolment."""
        live = (self.seated, self.offered, self.line, self.pending)
        return any(agent.agent_id in group for group in live)


class Books:
    """Every session of the demonstration, every answer, everything that follows, every mail that is due.

    `answers` are to requests; `followed` is what the clock, an organiser or somebody else's request led to;
    `by_link` is what was answered by the link in a mail, whose requests have ids that only the page knows.
    """

    def __init__(self, sessions: Iterable[SessionFacts]) -> None:
        self.sessions = {facts.session_id: SessionBook(facts) for facts in sessions}
        self.asked: dict[str, Sent] = {}
        self.answers: dict[AnswerKey, Answer] = {}
        self.followed: Counter[Event] = Counter()
        self.by_link: Counter[Event] = Counter()
        self.offers: Counter[str] = Counter()
        self.selection: Counter[str] = Counter()
        self.released = 0
        self.mails: Counter[str] = Counter()
        self.format_of_address: dict[str, str] = {}

    def add(self, facts: SessionFacts) -> None:
        """Open the book of a session that was just published."""
        self.sessions[facts.session_id] = SessionBook(facts)

    def record(self, sent: Iterable[Sent]) -> None:
        """Answer requests in the order of their receipt, which is that of their offsets; each id once."""
        for one in sorted(sent, key=lambda one: (one.ask.topic, one.partition, one.offset)):
            if one.ask.ce_id not in self.asked:
                self.asked[one.ask.ce_id] = one
                self._record(one)

    def answer_by_link(self, session_id: str, agent: Agent, *, accepted: bool) -> None:
        """An agent answered their offer by the link in their mail."""
        answer = self._answer_offer(self.sessions[session_id], agent, accepted=accepted)
        self.by_link[answer, session_id, agent.agent_id] += 1
        self._mail(session_id, agent)
        self._give_away(self.sessions[session_id])

    def lapse(self, session_id: str) -> None:
        """Time is over for every offer of a session: each seat goes on to the next in line."""
        book = self.sessions[session_id]
        for agent in list(book.offered.values()):
            del book.offered[agent.agent_id]
            self.offers["lapsed"] += 1
            self._follow(book, "lapsed", agent)
        self._give_away(book)

    def release(self, session_id: str) -> None:
        """The reserved seats of a session are anybody's now, and so first of who waits."""
        book = self.sessions[session_id]
        book.released = True
        before = len(book.seated)
        self._give_away(book)
        self.released += len(book.seated) - before

    def select(self, session_id: str, ranked: Sequence[str], not_selected: Sequence[str]) -> None:
        """The organiser ranks who applied: seats in this order, then the line; the others are refused."""
        book = self.sessions[session_id]
        for agent_id in ranked:
            agent = book.pending.pop(agent_id)
            outcome = self._place(book, agent).outcome
            self.selection[outcome] += 1
            self._follow(book, outcome, agent)
        for agent_id in not_selected:
            self.selection["refused"] += 1
            self._follow(book, "refused", book.pending.pop(agent_id), "not_selected")

    def cancel(self, session_id: str) -> None:
        """Cancel a session: every live enrolment ends, and each is told."""
        book = self.sessions[session_id]
        book.cancelled = True
        for group in (book.seated, book.offered, book.line, book.pending):
            for agent in group.values():
                self._follow(book, "cancelled", agent)
            group.clear()

    def announce_replay(self, session_id: str) -> None:
        """A replay is published: everyone who is enrolled in its session is told."""
        for agent in self.sessions[session_id].seated.values():
            self._mail(session_id, agent)

    def answer_officer(self, address: str) -> None:
        """A delegation answers an authority: the officer who asked is told."""
        self.mails[address] += 1
        self.format_of_address[address] = "bespoke"

    def due(self) -> int:
        """Return how many answers are due: one to each request, to a request about several one per agent."""
        return len(self.answers) + self.by_link.total()

    def format_of(self, session_id: str) -> str:
        """Return a session's format, or that it is unknown."""
        book = self.sessions.get(session_id)
        return book.facts.format if book else UNKNOWN_FORMAT

    def following(self, outcome: str) -> Counter[Event]:
        """Return what followed with this outcome."""
        return Counter({event: n for event, n in self.followed.items() if event[0].outcome == outcome})

    # ------------------------------------------------------------------------------------- requests

    def _record(self, sent: Sent) -> None:
        ask = sent.ask
        if ask.kind is Kind.BESPOKE:
            return  # no enrolment: the delegation answers it
        book = self.sessions.get(ask.session_id)
        if book is None:
            self._answer(ask, ask.agent, Answer("refused", "unknown_session"))
            return
        match ask.kind:
            case Kind.ENROLMENT:
                self._answer(ask, ask.agent, self._enrol(book, ask.agent, sent.sent_at, approved=False))
            case Kind.GROUP:
                self._group(book, sent)
            case Kind.NOMINATION:
                self._nominate(book, sent)
            case Kind.WITHDRAWAL:
                self._answer(ask, ask.agent, self._leave(book, ask.agent))
            case Kind.OFFER_ANSWER:
                self._answer(ask, ask.agent, self._answer_offer(book, ask.agent, accepted=ask.says_yes))
            case Kind.APPROVAL:
                self._answer(ask, ask.agent, self._approve(book, ask))
        self._give_away(book)

    def _answer(self, ask: Ask, agent: Agent, answer: Answer) -> None:
        self.answers[ask.ce_id, agent.agent_id] = answer
        self._mail(ask.session_id, agent)

    def _follow(self, book: SessionBook, outcome: str, agent: Agent, reason: str | None = None) -> None:
        self.followed[Answer(outcome, reason), book.facts.session_id, agent.agent_id] += 1
        self._mail(book.facts.session_id, agent)

    def _mail(self, session_id: str, agent: Agent) -> None:
        """Every decision calls for one letter."""
        self.mails[agent.email] += 1
        self.format_of_address[agent.email] = self.format_of(session_id)

    def _enrol(self, book: SessionBook, agent: Agent, received_at: datetime, *, approved: bool) -> Answer:
        reason = _refusal(book, agent, received_at)
        if reason is not None:
            return Answer("refused", reason)
        approval = book.facts.approval
        if approval == "selection" or (approval == "employer" and not approved):
            book.pending[agent.agent_id] = agent
            return Answer("pending")
        return self._place(book, agent)

    def _place(self, book: SessionBook, agent: Agent) -> Answer:
        if book.has_room_for(agent):
            book.seated[agent.agent_id] = agent
            return Answer("enrolled")
        if book.facts.waiting_list == "none":
            return Answer("refused", "session_full")
        book.line[agent.agent_id] = agent
        return Answer("waitlisted")

    def _group(self, book: SessionBook, sent: Sent) -> None:
        """All or nobody, or each for itself in the order given."""
        ask = sent.ask
        if ask.says_yes and not _all_fit(book, ask.agents):
            for agent in ask.agents:
                self._answer(ask, agent, Answer("refused", "group_does_not_fit"))
            return
        for agent in ask.agents:
            self._answer(ask, agent, self._enrol(book, agent, sent.sent_at, approved=True))

    def _nominate(self, book: SessionBook, sent: Sent) -> None:
        """The whole list of a private session: who is not on it leaves, who is new takes a seat."""
        ask = sent.ask
        named = {agent.agent_id for agent in ask.agents}
        for agent in [one for one in book.seated.values() if one.agent_id not in named]:
            del book.seated[agent.agent_id]
            self._follow(book, "withdrawn", agent)
        for agent in ask.agents:
            if agent.siret != ask.agent.siret:
                self._answer(ask, agent, Answer("refused", "not_eligible"))
            elif not book.knows(agent):
                self._answer(ask, agent, self._enrol(book, agent, sent.sent_at, approved=True))

    def _leave(self, book: SessionBook, agent: Agent) -> Answer:
        if book.offered.pop(agent.agent_id, None) is not None:
            self.offers["withdrawn"] += 1
        elif book.line.pop(agent.agent_id, None) is None and book.seated.pop(agent.agent_id, None) is None:
            raise ValueError("the demonstration withdraws only agents who sit, wait or have an offer")
        return Answer("withdrawn")

    def _approve(self, book: SessionBook, ask: Ask) -> Answer:
        agent = book.pending.pop(ask.agent.agent_id)
        return self._place(book, agent) if ask.says_yes else Answer("refused", "approval_denied")

    def _answer_offer(self, book: SessionBook, agent: Agent, *, accepted: bool) -> Answer:
        del book.offered[agent.agent_id]
        if accepted:
            book.seated[agent.agent_id] = agent
        self.offers["accepted" if accepted else "declined"] += 1
        return Answer("enrolled" if accepted else "lapsed")

    def _give_away(self, book: SessionBook) -> None:
        """Whatever is free goes to the first in line who may take it: at once, or as an offer."""
        while (
            first := next((one for one in book.line.values() if book.has_room_for(one)), None)
        ) is not None:
            del book.line[first.agent_id]
            if book.facts.waiting_list == "offer":
                book.offered[first.agent_id] = first
                self.offers["made"] += 1
                self._follow(book, "offered", first)
            else:
                book.seated[first.agent_id] = first
                self._follow(book, "enrolled", first)


def _all_fit(book: SessionBook, agents: Sequence[Agent]) -> bool:
    trial = SessionBook(book.facts, dict(book.seated), book.offered, released=book.released)
    for agent in agents:
        if not trial.has_room_for(agent):
            return False
        trial.seated[agent.agent_id] = agent
    return True


def _refusal(book: SessionBook, agent: Agent, received_at: datetime) -> str | None:
    facts = book.facts
    if book.cancelled:
        return "session_cancelled"
    if book.knows(agent):
        return "already_enrolled"
    if received_at < facts.opens_at:
        return "not_open_yet"
    if received_at >= facts.closes_at:
        return "deadline_passed"
    if facts.functions and agent.function not in facts.functions:
        return "not_eligible"
    if facts.sirets and agent.siret not in facts.sirets:
        return "not_eligible"
    return None
