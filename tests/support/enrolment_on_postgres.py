"""Enrolment on a real Postgres, without its broker: records in, through handlers and store, outbox out."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from services.enrolment import handlers, jobs
from services.enrolment.rules.organising import OrganisingFault, RankingFault, prioritise, rank
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    SeatRequest,
    Swap,
    Withdrawal,
)
from services.enrolment.rules.session_roster import SessionRoster
from services.enrolment.rules.waiting_list import FIRST_PLACE
from services.enrolment.store import rosters
from services.enrolment.store.load_plans import LoadPlan
from shared import clock
from shared.database import Database
from shared.events import portal
from shared.events.catalogue import SessionChanged, SessionState
from shared.events.cloudevents import Received
from shared.events.enrolment import (
    Decision,
    NominationAnswered,
    OrganiserNotice,
    SessionOccupancyChanged,
)
from shared.events.index import BY_TYPE
from shared.events.outcomes import RequestAccepted, RequestRejected
from shared.events.vocabulary import Agent, AgentKey, Contact, Event
from tests.support.builders import DURING, a_session
from tests.support.consuming import received, take
from tests.support.enrolment_model import EnrolmentEvent


def event_of(request: Request) -> Event:
    """What a portal sends to make this request."""
    session_id = request.session_id
    match request:
        case SeatRequest():
            approval = (
                {"approved_by": "N+1", "approved_at": request.received_at} if request.approved else None
            )
            return portal.EnrolmentRequested.model_validate(
                {"session_id": session_id, "agent": request.agent, "approval": approval}
            )
        case GroupRequest():
            return portal.GroupEnrolmentRequested(
                session_id=session_id,
                agents=request.agents,
                all_or_nothing=request.all_or_nothing,
                may_wait=request.may_wait,
                requested_by=Contact(name="Service formation", email="formation@ville-exemple.fr"),
            )
        case Withdrawal():
            return portal.WithdrawalRequested(session_id=session_id, agent_id=request.agent_key.agent_id)
        case ApprovalDecision():
            return portal.ApprovalDecided(
                session_id=session_id,
                agent_id=request.agent_key.agent_id,
                granted=request.granted,
                decided_by="N+1",
            )
        case OfferAnswer():
            return portal.SeatOfferAnswered(
                session_id=session_id, agent_id=request.agent_key.agent_id, accepted=request.accepted
            )
        case Swap():
            return portal.SessionSwapRequested(
                session_id=session_id,
                to_session_id=request.to_session_id,
                agent_id=request.agent_key.agent_id,
            )
        case Nomination():
            return portal.TraineesNominated(
                siret=request.siret,
                session_id=session_id,
                agents=request.agents,
                nominated_by=Contact(name="Service formation", email="formation@ville-exemple.fr"),
            )


def _received(request: Request) -> Received[Any]:
    """The event of this request, from a portal of the agent's issuer."""
    issuer = request.agent_key.issuer if request.agent_key else None
    return received(event_of(request), request.request_id, request.received_at, issuer=issuer)


class OnPostgres:
    """One process that takes batches in, and its clock. Each call returns the events that follow."""

    def __init__(
        self,
        session_id: uuid.UUID,
        runner: asyncio.Runner,
        database: Database,
        moment: list[datetime],
        policy: Policy | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_ids = [session_id]
        """Whose events are returned, and whose counts are checked."""
        self.runner = runner
        self.database = database
        self.moment = moment
        self.policy = policy or Policy()
        self.read: int = self._run(self._last_event())

    def apply_state(self, session: SessionState, now: datetime) -> list[EnrolmentEvent]:
        changed = SessionChanged.model_validate(session.model_dump())
        return self._take([received(changed, received_at=now)], now)

    def ask(self, requests: Sequence[Request], now: datetime) -> list[EnrolmentEvent]:
        return self._take([_received(request) for request in requests], now)

    def expire(self, now: datetime) -> list[EnrolmentEvent]:
        async def until_nothing_is_due() -> None:
            while await jobs.expire(self.database, self.policy, now) is not None:
                pass

        self.moment[0] = now
        self._run(until_nothing_is_due())
        return self._published()

    def rank(
        self, ranked: Sequence[AgentKey], not_selected: Sequence[AgentKey], now: datetime
    ) -> tuple[RankingFault | OrganisingFault | None, list[EnrolmentEvent]]:
        plan = LoadPlan(pending=True, places_from=FIRST_PLACE)  # as service.selection
        return self.organise(lambda roster: rank(roster, ranked, not_selected, "Anne Conseil"), now, plan)

    def prioritise(
        self, agent: AgentKey, priority: int, now: datetime
    ) -> tuple[OrganisingFault | None, list[EnrolmentEvent]]:
        plan = LoadPlan(places_from=FIRST_PLACE)  # as service.enrolments
        return self.organise(
            lambda roster: prioritise(roster, agent, priority, "Anne Conseil", "Report"), now, plan, [agent]
        )

    def organise(
        self,
        act: Callable[[SessionRoster], Any],
        now: datetime,
        plan: LoadPlan,
        agents: Sequence[AgentKey] = (),
    ) -> tuple[Any, list[EnrolmentEvent]]:
        async def organise() -> Any:
            async with self.database.transaction() as tx:
                roster = await rosters.load_for_organiser(
                    tx, self.session_id, self.policy, now, plan=plan, agents=agents
                )
                result = act(roster)
                await rosters.save(tx, [roster])
                return result

        self.moment[0] = now
        return self._run(organise()), self._published()

    def _take(self, batch: Sequence[Received[Any]], now: datetime) -> list[EnrolmentEvent]:
        self.moment[0] = now
        self._run(take(handlers.router, self.database, batch, policy=self.policy))
        return self._published()

    def _published(self) -> list[EnrolmentEvent]:
        """Return the events stored since the last call; check that the stored counts fit the rows."""

        async def look() -> list[EnrolmentEvent]:
            async with self.database.quiet_transaction() as tx:
                rows = await tx.execute(
                    text("SELECT id, type, data FROM outbox WHERE id > :read ORDER BY id"),
                    {"read": self.read},
                )
                published: list[EnrolmentEvent] = []
                for row in rows:
                    self.read = row.id
                    event = BY_TYPE[row.type].model_validate_json(row.data)
                    # Told to the portal alone, or to who named trainees.
                    if isinstance(event, RequestRejected | RequestAccepted | NominationAnswered):
                        continue
                    assert isinstance(event, Decision | SessionOccupancyChanged | OrganiserNotice)
                    if event.session_id in self.session_ids:  # the clock goes on for others
                        published.append(event)
                assert list(await tx.scalars(_FAULTS)) == []
                return published

        published: list[EnrolmentEvent] = self._run(look())
        return published

    async def _last_event(self) -> int:
        async with self.database.quiet_transaction() as tx:
            return int(await tx.scalar(text("SELECT coalesce(max(id), 0) FROM outbox")) or 0)

    def _run(self, work: Any) -> Any:
        return self.runner.run(work)


_FAULTS = text(
    """
    SELECT 'a request was parked' FROM dead_letter
    UNION ALL
    SELECT 'the counts of a session are not those of its enrolments'
    FROM session LEFT JOIN (
        SELECT session_id,
            count(*) FILTER (WHERE state IN
                ('enrolled', 'attended', 'absent', 'absent_justified', 'certified')) AS enrolled,
            count(*) FILTER (WHERE state = 'offered') AS offered,
            count(*) FILTER (WHERE state = 'waitlisted') AS waiting
        FROM enrolment GROUP BY session_id
    ) AS counted USING (session_id)
    WHERE session.enrolled <> coalesce(counted.enrolled, 0)
        OR session.offered <> coalesce(counted.offered, 0)
        OR session.waiting <> coalesce(counted.waiting, 0)
    """
)


@contextmanager
def a_clock_to_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[datetime]]:
    """What the service takes for now: the only item of the list."""
    moment = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    yield moment


class PostgresSession:
    """A session on Postgres, and requests for it, at a moment that the test sets."""

    def __init__(self, world: OnPostgres, now: datetime, **changes: Any) -> None:
        self.world = world
        self.now = now
        self.state = a_session(session_id=world.session_id, **changes)
        self.world.apply_state(self.state, now)

    def ask(self, *requests: Request) -> list[tuple[str, str]]:
        return names(self.world.ask(requests, self.now))

    def enrol(self, *agents: Agent) -> list[tuple[str, str]]:
        return self.ask(*(SeatRequest(*self.members(), agent, False) for agent in agents))

    def withdraw(self, agent: Agent) -> list[tuple[str, str]]:
        return self.ask(Withdrawal(*self.members(), agent.key, None))

    def members(self) -> tuple[uuid.UUID, datetime, uuid.UUID]:
        return uuid.uuid4(), self.now, self.world.session_id

    def change(self, **changes: Any) -> list[tuple[str, str]]:
        self.state = a_session(**(self.state.model_dump() | {"version": self.state.version + 1} | changes))
        return names(self.world.apply_state(self.state, self.now))

    def wait_until(self, moment: datetime) -> list[tuple[str, str]]:
        self.now = moment
        return names(self.world.expire(moment))


def names(published: list[EnrolmentEvent]) -> list[tuple[str, str]]:
    return [
        (type(event).__name__, event.agent.agent_id) for event in published if isinstance(event, Decision)
    ]


New = Callable[..., PostgresSession]


class KeptDatabase(NamedTuple):
    """What several tests share: an event loop, and a database with its connections."""

    runner: asyncio.Runner
    database: Database


@contextmanager
def sessions_on_postgres(process: KeptDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[New]:
    """Give a function that makes sessions on one database, at :data:`~tests.support.builders.DURING`."""
    with a_clock_to_set(monkeypatch) as moment:

        def new(policy: Policy | None = None, **changes: Any) -> PostgresSession:
            return PostgresSession(
                OnPostgres(uuid.uuid4(), process.runner, process.database, moment, policy), DURING, **changes
            )

        yield new
