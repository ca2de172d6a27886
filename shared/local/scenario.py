"""A day at the portals: who asks for what, in three acts. Seeded, so that a day can be played again.

The acts are separate because what follows depends on answers: agents withdraw from seats they hold, and
ask for a session that is known to be cancelled.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from shared.local.books import Books, SessionFacts
from shared.local.people import TOWNS, Agent, Population
from shared.local.portal import Ask, Kind, Mode

# How far a session's dates must be from now, so that no clock decides what the books cannot know.
_CLEAR = timedelta(minutes=10)

LOCAL_EVENT_OFFER = "ia-et-territoires"
WEBINAR_OFFER = "webinaires-acculturation-ia"


@dataclass(frozen=True)
class Stage:
    """The sessions of the day, by the part they play."""

    mooc: Sequence[SessionFacts]
    local_events: Sequence[SessionFacts]
    webinars: Sequence[SessionFacts]
    small_events: Sequence[SessionFacts]
    small_webinars: Sequence[SessionFacts]
    selective: Sequence[SessionFacts]
    not_yet_open: Sequence[SessionFacts]
    closed: Sequence[SessionFacts]
    popular: SessionFacts
    to_cancel: SessionFacts
    recorded: SessionFacts

    def all(self) -> list[SessionFacts]:
        """Return every session somebody asks for, once."""
        groups = (
            self.mooc, self.local_events, self.webinars, self.small_events, self.small_webinars,
            self.selective, self.not_yet_open, self.closed, (self.popular, self.to_cancel, self.recorded),
        )  # fmt: skip
        return list({facts.session_id: facts for group in groups for facts in group}.values())


def drafts(now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the small sessions to create beside the real offer, which fill and queue within seconds."""

    def draft(offer: str, number: int, title: str, capacity: int, waiting_list: str) -> dict[str, Any]:
        starts_at = now + timedelta(days=30 + number)
        place = (
            {"venue": f"Salle {number}, délégation régionale"}
            if offer == LOCAL_EVENT_OFFER
            else {"join_url": f"https://webinaires.example.org/demonstration-{number}"}
        )
        return {
            "offer_id": offer,
            "title": title,
            "organiser": list(TOWNS)[number % len(TOWNS)],
            "enrolment_opens_at": _iso(now - timedelta(days=1)),
            "enrolment_closes_at": _iso(starts_at - timedelta(days=5)),
            "starts_at": _iso(starts_at),
            "ends_at": _iso(starts_at + timedelta(hours=2)),
            "timezone": "Europe/Paris",
            "capacity": capacity,
            "waiting_list": waiting_list,
            "approval": "none",
            **place,
        }

    def event(number: int, title: str, capacity: int) -> dict[str, Any]:
        return draft(LOCAL_EVENT_OFFER, number, title, capacity, "automatic")

    def webinar(number: int, title: str, capacity: int) -> dict[str, Any]:
        return draft(WEBINAR_OFFER, number, title, capacity, "none")

    return {
        "small_events": [
            event(n, f"Atelier local « IA et accueil des usagers » n° {n}", 10 + n) for n in range(1, 7)
        ],
        "small_webinars": [webinar(n, f"Webinaire « L’IA pas à pas » n° {n}", 15 + n) for n in range(7, 11)],
        "popular": [event(11, "Rencontre très demandée : l’IA à l’état civil", 30)],
        "to_cancel": [webinar(12, "Webinaire qui sera annulé", 100)],
        "recorded": [webinar(13, "Webinaire enregistré : l’IA et le droit", 80)],
    }


def stage(sessions: Sequence[dict[str, Any]], created: dict[str, list[SessionFacts]], now: datetime) -> Stage:
    """Cast the sessions of the real offer, and the small ones that were created."""
    ours = {facts.session_id for group in created.values() for facts in group}
    real = [
        SessionFacts.of(session)
        for session in sessions
        if session["status"] == "published" and session["session_id"] not in ours
    ]
    selective = {session["session_id"] for session in sessions if session["approval"] != "none"}
    plain = [facts for facts in real if facts.session_id not in selective]
    open_now = [facts for facts in plain if facts.opens_at < now - _CLEAR and facts.closes_at > now + _CLEAR]

    def of(kind: str) -> list[SessionFacts]:
        return [facts for facts in open_now if facts.format == kind]

    return Stage(
        mooc=of("mooc"),
        local_events=of("local_event"),
        webinars=of("webinar"),
        small_events=created["small_events"],
        small_webinars=created["small_webinars"],
        selective=[
            facts
            for facts in real
            if facts.session_id in selective
            and facts.functions
            and "agent" not in facts.functions
            and facts.opens_at < now - _CLEAR
            and facts.closes_at > now + _CLEAR
        ],
        not_yet_open=[facts for facts in plain if facts.opens_at > now + _CLEAR],
        closed=[facts for facts in plain if facts.closes_at < now - _CLEAR],
        popular=created["popular"][0],
        to_cancel=created["to_cancel"][0],
        recorded=created["recorded"][0],
    )


class Day:
    """Writes the requests of each act."""

    def __init__(self, stage: Stage, people: Population, random: Random) -> None:
        self._stage = stage
        self._people = people
        self._random = random

    def first_act(self) -> list[Ask]:
        """Everybody asks: fills, queues, refusals, a burst; some twice, some sent again as they were."""
        stage = self._stage
        asks = [self._ask(facts) for facts in stage.mooc for _ in range(520)]
        # Only its own delegation asks for a local event: the seats reserved there are theirs either way.
        for facts in stage.local_events:
            asks += [self._ask(facts) for _ in range(_crowd(facts, most=70, otherwise=28))]
        asks += [self._ask(facts) for facts in stage.webinars for _ in range(40)]
        for facts in (*stage.small_events, *stage.small_webinars):
            asks += [self._ask(facts) for _ in range((facts.capacity or 0) + 25)]
        asks += [self._ask(stage.recorded) for _ in range(60)]
        asks += [self._ask(stage.to_cancel) for _ in range(25)]
        asks += [self._ask(facts) for facts in stage.selective for _ in range(12)]
        asks += [self._ask(facts) for facts in stage.not_yet_open for _ in range(5)]
        asks += [self._ask(facts) for facts in stage.closed for _ in range(12)]
        asks += [self._ask_unknown() for _ in range(15)]
        again = [replace(ask, ce_id=str(uuid.uuid4())) for ask in self._random.sample(asks, 70)]
        redelivered = self._random.sample(asks, 60)
        asks += again + redelivered
        self._random.shuffle(asks)
        burst = [self._ask(stage.popular) for _ in range(420)]
        middle = len(asks) // 2
        return asks[:middle] + burst + asks[middle:]

    def second_act(self, books: Books) -> list[Ask]:
        """Some give up a seat or a place in line; some of them change their mind and queue anew."""
        asks: list[Ask] = []
        queues = [book for book in books.sessions.values() if book.line]
        for book in queues:
            leaving = self._some(book.seated, most=6) + self._some(book.line, most=2)
            asks += [self._ask(book.facts, agent, Kind.WITHDRAWAL) for agent in leaving]
            asks += [self._ask(book.facts, agent) for agent in leaving[:1]]
        return asks

    def third_act(self) -> list[Ask]:
        """The cancelled session is asked for all the same."""
        return [self._ask(self._stage.to_cancel) for _ in range(15)]

    def _ask(self, facts: SessionFacts, agent: Agent | None = None, kind: Kind = Kind.ENROLMENT) -> Ask:
        mode = Mode.STRUCTURED if self._random.random() < 0.1 else Mode.BINARY
        # Headers of others that are null or no text spoil nothing.
        odd = (("x-trace", None), ("x-note", b"\xff\xfe")) if self._random.random() < 0.02 else ()
        return Ask(
            facts.session_id, agent or self._people.agent(facts.organiser), kind, mode, odd_headers=odd
        )

    def _ask_unknown(self) -> Ask:
        return Ask(str(uuid.uuid4()), self._people.agent())

    def _some(self, agents: dict[str, Agent], *, most: int) -> list[Agent]:
        return [agents[chosen] for chosen in self._random.sample(sorted(agents), min(most, len(agents)))]


def _crowd(facts: SessionFacts, *, most: int, otherwise: int) -> int:
    """Enough to fill a small session and queue, a part of a large one."""
    return facts.capacity + 12 if facts.capacity is not None and facts.capacity + 12 <= most else otherwise


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()
