"""One session of the reference model: its terms, who is in it, and what it has for whom. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.demo.people import Agent


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
    minimum: int = 0

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
            minimum=document["minimum"] or 0,
        )


@dataclass(frozen=True)
class Answer:
    """What was decided: an outcome, and a reason where it is a refusal."""

    outcome: str
    reason: str | None = None


@dataclass
class SessionModel:
    """Who has a seat, has an offer, waits and is pending in a session, each in order, by agent_id.

    `pending` is who waits for their employer's word, `candidates` who waits for the organiser's ranking.
    """

    terms: CatalogueSession
    enrolled: dict[str, Agent] = field(default_factory=dict)
    offered: dict[str, Agent] = field(default_factory=dict)
    waiting: dict[str, Agent] = field(default_factory=dict)
    pending: dict[str, Agent] = field(default_factory=dict)
    candidates: dict[str, Agent] = field(default_factory=dict)
    together: dict[str, str] = field(default_factory=dict)
    """Of who waits with a group, its request."""
    above_capacity: set[str] = field(default_factory=set)
    """Who was given a seat though none was free."""
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

    def admit(self, agent: Agent, *, approved: bool) -> Answer:
        """Have an agent wait for whose word is needed, the employer's before the ranking; else place them."""
        approval = self.terms.approval
        if approval.startswith("employer") and not approved:
            self.pending[agent.agent_id] = agent
            return Answer("pending")
        if approval.endswith("selection"):
            self.candidates[agent.agent_id] = agent
            return Answer("pending")
        return self.place(agent)

    def place(self, agent: Agent) -> Answer:
        """Give a seat or a place in line."""
        if self.has_room_for(agent) and not self.keeps_seats():
            self.enrolled[agent.agent_id] = agent
            return Answer("enrolled")
        if self.terms.waiting_list == "none":
            return Answer("refused", "session_full")
        self.waiting[agent.agent_id] = agent
        return Answer("waitlisted")

    def place_above_capacity(self, agent: Agent) -> Answer:
        """Give a seat, also where none is free."""
        if not self.has_room_for(agent):
            self.above_capacity.add(agent.agent_id)
        self.enrolled[agent.agent_id] = agent
        return Answer("enrolled")

    def next_in_line(self) -> list[Agent]:
        """Return the first in line who may take a seat now: a group has all its seats or waits.

        No group of the demonstration waits for seven days: nobody passes it.
        """
        for place in self.places_in_line():
            if self.has_room_for_all(place):
                return place
            if len(place) > 1:
                return []  # it keeps what is free
        return []

    def correct(self, agent: Agent) -> str | None:
        """Know the agent, if they are here, by another address. Returns the former one."""
        for group in self._live():
            if (former := group.get(agent.agent_id)) is not None:
                group[agent.agent_id] = agent
                return former.email
        return None

    def misses_minimum(self) -> bool:
        """Say whether fewer have a seat, or may still have one, than the session needs."""
        return len(self.enrolled) + len(self.offered) + len(self.candidates) < self.terms.minimum

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
        return self.enrolled, self.offered, self.waiting, self.pending, self.candidates
