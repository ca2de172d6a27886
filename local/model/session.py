from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.model.seats import Reservation, Seats
from local.people import Agent

_BEFORE_RELEASE = datetime.min.replace(tzinfo=UTC)
_AFTER_RELEASE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class CatalogueSession:
    session_id: str
    format: str
    title: str
    organiser: str
    seats: Seats
    waiting_list: str
    opens_at: datetime
    closes_at: datetime
    starts_at: datetime
    functions: tuple[str, ...] = ()
    approval: str = "none"
    sirets: tuple[str, ...] = ()
    minimum: int = 0

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "CatalogueSession":
        reserved = tuple(
            Reservation(row["delegation"], row["seats"], datetime.fromisoformat(row["release_at"]))
            for row in document["reserved_seats"]
        )
        return cls(
            session_id=document["session_id"],
            format=document["format"],
            title=document["title"],
            organiser=document["organiser"],
            seats=Seats(document["capacity"], document["quota_per_authority"], reserved),
            waiting_list=document["waiting_list"],
            opens_at=datetime.fromisoformat(document["enrolment_opens_at"]),
            closes_at=datetime.fromisoformat(document["enrolment_closes_at"]),
            starts_at=datetime.fromisoformat(document["starts_at"]),
            functions=tuple(document["audience"]["functions"]),
            approval=document["approval"],
            sirets=tuple(document["audience"]["sirets"]),
            minimum=document["minimum"] or 0,
        )


@dataclass(frozen=True)
class Verdict:
    state: str
    reason: str | None = None


@dataclass
class SessionModel:
    """The agents of a session by state, each group in order and by agent_id.

    `pending` agents wait for their employer, `candidates` for the organiser's ranking. `together` has the
    request of each agent who waits with a group.
    """

    terms: CatalogueSession
    enrolled: dict[str, Agent] = field(default_factory=dict)
    offered: dict[str, Agent] = field(default_factory=dict)
    waiting: dict[str, Agent] = field(default_factory=dict)
    pending: dict[str, Agent] = field(default_factory=dict)
    candidates: dict[str, Agent] = field(default_factory=dict)
    together: dict[str, str] = field(default_factory=dict)
    above_capacity: set[str] = field(default_factory=set)
    cancelled: bool = False
    released: bool = False

    def has_room_for(self, *agents: Agent) -> bool:
        return len(self.terms.seats.are_free_for(agents, self._taken(), self._now())) == len(agents)

    def next_in_line(self) -> Sequence[Agent]:
        return self._through_the_line()[0]

    def has_live_enrolment(self, agent: Agent) -> bool:
        return any(agent.agent_id in group for group in self._live())

    def admit(self, agent: Agent, *, approved: bool) -> Verdict:
        """The agent waits for the employer, then for the ranking, if the session requires it."""
        approval = self.terms.approval
        if approval.startswith("employer") and not approved:
            self.pending[agent.agent_id] = agent
            return Verdict("pending")
        if approval.endswith("selection"):
            self.candidates[agent.agent_id] = agent
            return Verdict("pending")
        return self.place(agent)

    def place(self, agent: Agent) -> Verdict:
        kept = self._through_the_line()[1]
        if self.terms.seats.is_free_for(agent, [*self._taken(), *kept], self._now()):
            self.enrolled[agent.agent_id] = agent
            return Verdict("enrolled")
        if self.terms.waiting_list == "none":
            return Verdict("refused", "session_full")
        self.waiting[agent.agent_id] = agent
        return Verdict("waitlisted")

    def place_above_capacity(self, agent: Agent) -> Verdict:
        if not self.has_room_for(agent):
            self.above_capacity.add(agent.agent_id)
        self.enrolled[agent.agent_id] = agent
        return Verdict("enrolled")

    def correct(self, agent: Agent) -> str | None:
        for group in self._live():
            if (former := group.get(agent.agent_id)) is not None:
                group[agent.agent_id] = agent
                return former.email
        return None

    def misses_minimum(self) -> bool:
        return len(self.enrolled) + len(self.offered) + len(self.candidates) < self.terms.minimum

    def end_all(self) -> list[Agent]:
        agents = [agent for group in self._live() for agent in group.values()]
        for group in self._live():
            group.clear()
        return agents

    def reason_to_refuse(self, agent: Agent, received_at: datetime) -> str | None:
        """Return None if the request is accepted."""
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
        if terms.sirets and agent.employer.siret not in terms.sirets:
            return "not_eligible"
        return None

    def _taken(self) -> list[Agent]:
        return [*self.enrolled.values(), *self.offered.values()]

    def _through_the_line(self) -> tuple[Sequence[Agent], list[Agent]]:
        places: dict[str, list[Agent]] = {}
        for agent in self.waiting.values():
            places.setdefault(self.together.get(agent.agent_id, agent.agent_id), []).append(agent)
        return self.terms.seats.next_in(
            list(places.values()), self._taken(), self._now(), ends_at=_AFTER_RELEASE
        )

    def _now(self) -> datetime:
        """Return a time before or after the release of reserved seats. No other rule here needs a time."""
        return _AFTER_RELEASE if self.released else _BEFORE_RELEASE

    def _live(self) -> tuple[dict[str, Agent], ...]:
        return self.enrolled, self.offered, self.waiting, self.pending, self.candidates
