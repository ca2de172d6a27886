from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.portal.journal import Travel

STATES = {
    "AgentEnrolled": "enrolled",
    "AgentWaitlisted": "waiting",
    "SeatOffered": "offered",
    "SeatOfferLapsed": "lapsed",
    "EnrolmentPending": "pending",
    "EnrolmentRefused": "refused",
    "EnrolmentWithdrawn": "withdrawn",
    "SeatNotObtained": "not_obtained",
}
LIVE = ("enrolled", "waiting", "offered", "pending")


@dataclass
class Standing:
    """An agent in a session.

    `state` is one of `STATES`, or `asked` before the first answer, or `rejected`. `decision` is the answer
    that gave the state. `refusal` is the last answer that changed nothing, such as a late withdrawal.
    """

    agent: dict[str, Any]
    session_id: str
    state: str = "asked"
    decision: dict[str, Any] = field(default_factory=dict)
    refusal: Travel | None = None
    unanswered: set[str] = field(default_factory=set)
    history: list[Travel] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def awaiting(self) -> str:
        return str(self.decision.get("awaiting", ""))


@dataclass
class BespokeRequest:
    request: Travel
    answers: list[Travel] = field(default_factory=list)

    @property
    def session_id(self) -> str | None:
        found = (answer.envelope.data.get("session_id") for answer in reversed(self.answers))
        return next(filter(None, found), None)


class Standings:
    def __init__(self, travels: Iterable[Travel]) -> None:
        self._standings: dict[tuple[str, str], Standing] = {}
        self._sent: dict[str, Travel] = {}
        self._first_answers: dict[str, Travel] = {}
        self.bespoke: dict[str, BespokeRequest] = {}
        for travel in travels:
            self._sent_off(travel) if travel.way == "sent" else self._answered(travel)

    def all(self) -> Sequence[Standing]:
        return sorted(self._standings.values(), key=lambda each: each.history[-1].at, reverse=True)

    def of(self, agent_id: str, session_id: str) -> Standing | None:
        return self._standings.get((agent_id, session_id))

    def answer_to(self, request: Travel) -> Travel | None:
        return self._first_answers.get(request.envelope.id)

    def request_of(self, answer: Travel) -> Travel | None:
        return self._sent.get(answer.envelope.data.get("request_id") or "")

    def subject_of(self, travel: Travel) -> Travel:
        """Return the record that names the agents: the request, if an answer names none."""
        request = self.request_of(travel)
        return travel if request is None or travel.envelope.data.get("agent") else request

    def _sent_off(self, travel: Travel) -> None:
        self._sent[travel.envelope.id] = travel
        if travel.envelope.name == "BespokeTrainingRequested":
            self.bespoke[travel.envelope.id] = BespokeRequest(travel)
        for standing in self._concerned(travel.envelope.data):
            standing.history.append(travel)
            standing.unanswered.add(travel.envelope.id)
            standing.refusal = None

    def _answered(self, travel: Travel) -> None:
        data, name = travel.envelope.data, travel.envelope.name
        request = self.request_of(travel)
        if request is not None:
            self._first_answers.setdefault(request.envelope.id, travel)
        if request is not None and request.envelope.id in self.bespoke:
            self.bespoke[request.envelope.id].answers.append(travel)
        elif name == "RequestRejected" and request is not None:
            for standing in self._concerned(request.envelope.data):
                self._heard(standing, request, travel)
                if standing.state == "asked":
                    standing.state, standing.decision = "rejected", data
                else:
                    standing.refusal = travel
        else:
            if request is not None and request.envelope.name == "SessionSwapRequested":
                for standing in self._concerned(request.envelope.data):  # the new seat is in another session
                    standing.unanswered.discard(request.envelope.id)
            for standing in self._concerned(data):
                self._heard(standing, request, travel)
                self._decided(standing, travel)

    @staticmethod
    def _heard(standing: Standing, request: Travel | None, travel: Travel) -> None:
        standing.history.append(travel)
        if request is not None:
            standing.unanswered.discard(request.envelope.id)

    @staticmethod
    def _decided(standing: Standing, travel: Travel) -> None:
        data, name = travel.envelope.data, travel.envelope.name
        if name == "EnrolmentRefused" and (
            data.get("asked", "enrolment") != "enrolment"
            or (standing.live and data.get("reason") == "already_enrolled")
        ):
            standing.refusal = travel  # the request changes nothing
        elif name in STATES and not _is_older(data, standing.decision):
            standing.state, standing.decision, standing.agent = STATES[name], data, data["agent"]

    def _concerned(self, data: dict[str, Any]) -> list[Standing]:
        agents = data.get("agents") or [data.get("agent") or {"agent_id": data.get("agent_id")}]
        session_id = data.get("session_id")
        return [
            self._standings.setdefault((agent["agent_id"], session_id), Standing(agent, session_id))
            for agent in agents
            if agent["agent_id"] and session_id
        ]


def _is_older(data: dict[str, Any], known: dict[str, Any]) -> bool:
    """Answers may come late. Versions count within an enrolment."""
    same = data.get("enrolment_id") == known.get("enrolment_id")
    return same and int(data.get("version", 0)) < int(known.get("version", 0))
