"""The demonstration's own books: what should have become of every request, by an independent, simple model.

Written from the rules of the domain, not from the enrolment service's code, and as plainly as they read:
one list of who sits and one of who waits per session. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.local.people import Agent
from shared.local.portal import Kind, Sent

UNKNOWN_FORMAT = "unknown"


@dataclass(frozen=True)
class SessionFacts:
    """A session as the catalogue's API showed it."""

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

    @classmethod
    def of(cls, session: Mapping[str, Any]) -> "SessionFacts":
        """Read a session of `GET /api/v1/sessions`."""
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
        )


@dataclass(frozen=True)
class Answer:
    """What a request is answered: an outcome, and a reason where it is refused."""

    outcome: str
    reason: str | None = None


@dataclass
class SessionBook:
    """Who sits and who waits, in order."""

    facts: SessionFacts
    seated: dict[str, Agent] = field(default_factory=dict)
    line: dict[str, Agent] = field(default_factory=dict)
    cancelled: bool = False

    def has_room(self) -> bool:
        """Say whether a seat is free."""
        return self.facts.capacity is None or len(self.seated) < self.facts.capacity


class Books:
    """Every session of the demonstration, every answer and every mail that is due."""

    def __init__(self, sessions: Iterable[SessionFacts]) -> None:
        self.sessions = {facts.session_id: SessionBook(facts) for facts in sessions}
        self.answers: dict[str, Answer] = {}
        self.asked: dict[str, Sent] = {}
        self.promoted: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.mails: Counter[str] = Counter()
        self.mails_by_format: Counter[str] = Counter()

    def add(self, facts: SessionFacts) -> None:
        """Open the book of a session that was just published."""
        self.sessions[facts.session_id] = SessionBook(facts)

    def record(self, sent: Iterable[Sent]) -> None:
        """Answer requests in the order of their receipt, which is that of their offsets; each id once."""
        for one in sorted(sent, key=lambda one: (one.partition, one.offset)):
            if one.ask.ce_id in self.answers:
                continue
            self.asked[one.ask.ce_id] = one
            withdraws = one.ask.kind is Kind.WITHDRAWAL
            answer = self._withdraw(one) if withdraws else self._enrol(one)
            self.answers[one.ask.ce_id] = answer
            self._mail(one.ask.session_id, one.ask.agent)

    def cancel(self, session_id: str) -> None:
        """Cancel a session: every live enrolment ends, and each is told."""
        book = self.sessions[session_id]
        book.cancelled = True
        for agent in [*book.seated.values(), *book.line.values()]:
            self.ended[session_id, agent.agent_id] += 1
            self._mail(session_id, agent)
        book.seated.clear()
        book.line.clear()

    def announce_replay(self, session_id: str) -> None:
        """A replay is published: everyone who is enrolled in its session is told."""
        for agent in self.sessions[session_id].seated.values():
            self._mail(session_id, agent)

    def refused(self) -> Counter[str]:
        """Return the refusals, counted by reason."""
        return Counter(answer.reason for answer in self.answers.values() if answer.reason is not None)

    def format_of(self, session_id: str) -> str:
        """Return a session's format, or that it is unknown."""
        book = self.sessions.get(session_id)
        return book.facts.format if book else UNKNOWN_FORMAT

    def _enrol(self, sent: Sent) -> Answer:
        book = self.sessions.get(sent.ask.session_id)
        if book is None:
            return Answer("refused", "unknown_session")
        reason = _refusal(book, sent.ask.agent, sent.sent_at)
        if reason is not None:
            return Answer("refused", reason)
        if book.has_room():
            book.seated[sent.ask.agent.agent_id] = sent.ask.agent
            return Answer("enrolled")
        if book.facts.waiting_list == "none":
            return Answer("refused", "session_full")
        book.line[sent.ask.agent.agent_id] = sent.ask.agent
        return Answer("waitlisted")

    def _withdraw(self, sent: Sent) -> Answer:
        book = self.sessions[sent.ask.session_id]
        agent_id = sent.ask.agent.agent_id
        if book.line.pop(agent_id, None) is not None:
            return Answer("withdrawn")
        if book.seated.pop(agent_id, None) is None:
            raise ValueError("the demonstration withdraws only agents who sit or wait")
        if book.line and book.has_room():
            first = book.line.pop(next(iter(book.line)))
            book.seated[first.agent_id] = first
            self.promoted[sent.ask.session_id, first.agent_id] += 1
            self._mail(sent.ask.session_id, first)
        return Answer("withdrawn")

    def _mail(self, session_id: str, agent: Agent) -> None:
        self.mails[agent.email] += 1
        self.mails_by_format[self.format_of(session_id)] += 1


def _refusal(book: SessionBook, agent: Agent, received_at: datetime) -> str | None:
    facts = book.facts
    if book.cancelled:
        return "session_cancelled"
    if agent.agent_id in book.seated or agent.agent_id in book.line:
        return "already_enrolled"
    if received_at < facts.opens_at:
        return "not_open_yet"
    if received_at >= facts.closes_at:
        return "deadline_passed"
    if facts.functions and agent.function not in facts.functions:
        return "not_eligible"
    return None
