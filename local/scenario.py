"""A day at the portals: who asks for what, in acts. Seeded, so that a day can be played again.

The acts are separate because what follows depends on answers: agents withdraw from seats they hold, answer
offers that they have, and ask for a session that is known to be cancelled.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from local.books import Books, SessionFacts
from local.people import Agent, Population
from local.portal import Ask, Kind, Mode

# How far a session's dates must be from now, so that no clock decides what the books cannot know.
_CLEAR = timedelta(minutes=10)
# How many days before a session letters go out that nobody asks for.
_LETTERS_DAYS_BEFORE = (1, 7, 15)
# Sessions whose seats and lines are for one purpose, which withdrawals at random would spoil.
_OF_THEIR_OWN = ("reserved", "offers", "by_link", "selection", "groups")


@dataclass(frozen=True)
class Stage:
    """The sessions of the day, by the part they play. `small` is those that were created for it."""

    mooc: Sequence[SessionFacts]
    local_events: Sequence[SessionFacts]
    webinars: Sequence[SessionFacts]
    selective: Sequence[SessionFacts]
    not_yet_open: Sequence[SessionFacts]
    closed: Sequence[SessionFacts]
    small: dict[str, list[SessionFacts]]

    def the(self, part: str) -> SessionFacts:
        """Return the one small session that plays this part."""
        (facts,) = self.small[part]
        return facts

    def all(self) -> list[SessionFacts]:
        """Return every session somebody asks for, once."""
        groups = (
            self.mooc, self.local_events, self.webinars, self.selective, self.not_yet_open, self.closed,
            *self.small.values(),
        )  # fmt: skip
        return list({facts.session_id: facts for group in groups for facts in group}.values())


def stage(sessions: Sequence[dict[str, Any]], created: dict[str, list[SessionFacts]], now: datetime) -> Stage:
    """Cast the sessions of the real offer, and the small ones that were created."""
    ours = {facts.session_id for group in created.values() for facts in group}
    real = [
        SessionFacts.of(session)
        for session in sessions
        if session["status"] == "published"
        and session["session_id"] not in ours
        and not _writes_today(session, now)
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
        small=created,
    )


def _writes_today(session: dict[str, Any], now: datetime) -> bool:
    """Say whether a reminder or joining instructions go out about now: nobody can count who gets them."""
    zone = ZoneInfo(session["timezone"])
    start = datetime.fromisoformat(session["starts_at"]).astimezone(zone)
    moments = [start - timedelta(days=days) for days in _LETTERS_DAYS_BEFORE]
    return any(abs(moment - now) < _CLEAR for moment in moments)


class Day:
    """Writes the requests of each act."""

    def __init__(self, stage: Stage, people: Population, random: Random) -> None:
        self._stage = stage
        self._people = people
        self._random = random

    def first_act(self) -> list[Ask]:
        """Everybody asks: fills, queues, refusals, a burst; some twice, some sent again as they were."""
        stage, small = self._stage, self._stage.small
        asks = [self._ask(facts) for facts in stage.mooc for _ in range(520)]
        # Only its own delegation asks for a local event: the seats reserved there are theirs either way.
        for facts in stage.local_events:
            asks += [self._ask(facts) for _ in range(_crowd(facts, most=70, otherwise=28))]
        asks += [self._ask(facts) for facts in stage.webinars for _ in range(40)]
        for facts in (*small["events"], *small["webinars"]):
            asks += [self._ask(facts) for _ in range((facts.capacity or 0) + 25)]
        for part, number in (("recorded", 60), ("to_cancel", 25), ("offers", 8), ("by_link", 4)):
            asks += [self._ask(stage.the(part)) for _ in range(number)]
        asks += [self._ask(facts) for facts in stage.selective for _ in range(12)]
        asks += [self._ask(facts) for facts in stage.not_yet_open for _ in range(5)]
        asks += [self._ask(facts) for facts in stage.closed for _ in range(12)]
        asks += [self._ask_unknown() for _ in range(15)]
        asks += [
            self._ask(facts, self._people.agent(function=function))
            for facts in (stage.the("selection"), *stage.selective)
            for function in ("encadrant", "chef_de_service", "dirigeant")
            for _ in range(4)
        ]
        asks += [self._ask(stage.the("approval")) for _ in range(6)]
        again = [replace(ask, ce_id=str(uuid.uuid4())) for ask in self._random.sample(asks, 70)]
        redelivered = self._random.sample(asks, 60)
        asks += again + redelivered
        self._random.shuffle(asks)
        burst = [self._ask(stage.the("popular")) for _ in range(420)]
        middle = len(asks) // 2
        return asks[:middle] + burst + asks[middle:]

    def groups(self) -> list[Ask]:
        """Five fit into eight seats; five more do not; of five who come each for themselves, three do."""
        session = self._stage.the("groups")
        return [self._group(session, all_or_nothing=wanted) for wanted in (True, True, False)]

    def reserved(self) -> list[Ask]:
        """Of six seats three are reserved: of five agents of other delegations, two must wait."""
        session = self._stage.the("reserved")
        elsewhere = [self._people.agent("normandie") for _ in range(5)]
        return [self._ask(session), *(self._ask(session, agent) for agent in elsewhere)]

    def bespoke(self, session: SessionFacts, trainees: Sequence[Agent]) -> list[Ask]:
        """The authority's list, with one who is not theirs; then anew, one agent in another's place."""
        stranger, newcomer = self._people.agent("corse"), self._people.agent(trainees[0].delegation)

        def listed(*agents: Agent) -> Ask:
            return Ask(session.session_id, trainees[0], Kind.NOMINATION, agents=agents)

        return [listed(*trainees, stranger), listed(*trainees[:-1], newcomer)]

    def asks_for_bespoke(self) -> tuple[Ask, list[Agent]]:
        """An authority asks for training of its own, for six agents."""
        trainees = [self._people.agent("occitanie") for _ in range(6)]
        return Ask(str(uuid.uuid4()), trainees[0], Kind.BESPOKE, agents=tuple(trainees)), trainees

    def second_act(self, books: Books) -> list[Ask]:
        """Some give up a seat or a place in line; some of them change their mind and queue anew."""
        own = {self._stage.the(part).session_id for part in _OF_THEIR_OWN}
        asks: list[Ask] = []
        for book in books.sessions.values():
            if not book.line or book.facts.session_id in own:
                continue
            leaving = self._some(book.seated, most=6) + self._some(book.line, most=2)
            asks += [self._ask(book.facts, agent, Kind.WITHDRAWAL) for agent in leaving]
            asks += [self._ask(book.facts, agent) for agent in leaving[:1]]
        book = books.sessions[self._stage.the("offers").session_id]
        asks += [self._ask(book.facts, agent, Kind.WITHDRAWAL) for agent in self._some(book.seated, most=3)]
        return asks

    def employers(self, books: Books) -> list[Ask]:
        """Employers decide: of six agents who are pending two may come, one may not, three still wait."""
        book = books.sessions[self._stage.the("approval").session_id]
        return [
            Ask(book.facts.session_id, agent, Kind.APPROVAL, says_yes=granted)
            for agent, granted in zip(self._some(book.pending, most=3), (True, True, False), strict=True)
        ]

    def ranking(self, books: Books) -> tuple[list[str], list[str]]:
        """Of twelve who applied eight are ranked, for five seats, and four are not selected."""
        candidates = sorted(books.sessions[self._stage.the("selection").session_id].pending)
        self._random.shuffle(candidates)
        return candidates[:8], candidates[8:]

    def one_leaves(self, books: Books, part: str) -> tuple[Ask, Agent]:
        """One who sits withdraws; also returned is who is first in line."""
        book = books.sessions[self._stage.the(part).session_id]
        (leaving,) = self._some(book.seated, most=1)
        return self._ask(book.facts, leaving, Kind.WITHDRAWAL), next(iter(book.line.values()))

    def answers_to_offers(self, books: Books, *, declining: bool) -> list[Ask]:
        """Who has an offer answers, every third declines; in the session of offers the first stays silent."""
        silent = self._stage.the("offers").session_id
        asks: list[Ask] = []
        for book in books.sessions.values():
            answering = list(book.offered.values())[1 if book.facts.session_id == silent else 0 :]
            for number, agent in enumerate(answering):
                asks.append(self._answer(book.facts, agent, accepts=not declining or number % 3 > 0))
        return asks

    def late_acceptance(self, books: Books) -> list[Ask]:
        """Who was next when an offer lapsed takes the seat."""
        book = books.sessions[self._stage.the("offers").session_id]
        return [self._answer(book.facts, agent, accepts=True) for agent in book.offered.values()]

    def third_act(self) -> list[Ask]:
        """The cancelled session is asked for all the same."""
        return [self._ask(self._stage.the("to_cancel")) for _ in range(15)]

    def _group(self, facts: SessionFacts, *, all_or_nothing: bool) -> Ask:
        agents = tuple(self._people.agent(facts.organiser) for _ in range(5))
        return Ask(facts.session_id, agents[0], Kind.GROUP, agents=agents, says_yes=all_or_nothing)

    def _answer(self, facts: SessionFacts, agent: Agent, *, accepts: bool) -> Ask:
        return Ask(facts.session_id, agent, Kind.OFFER_ANSWER, says_yes=accepts)

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
