"""What the store brings to the rules: heads of lines, offers that are over, seats by employer."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from stdnum import luhn

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    SeatRequest,
    Withdrawal,
)
from services.enrolment.service import requests, sessions
from services.enrolment.store import enrolments, waiting_lists
from services.enrolment.store.rosters import loading
from shared.database import Database
from shared.events.enrolment import MinimumMissed, SessionOccupancyChanged
from shared.events.vocabulary import Agent, Status
from tests.support.builders import CLOSES, DURING, STARTS, a_session, an_agent
from tests.support.enrolment_on_postgres import New, PostgresSession
from tests.support.rosters import NANTES, RENNES, agents, an_agent_of
from tests.support.statements import statements

FAR = {"starts_at": STARTS + timedelta(days=60), "ends_at": STARTS + timedelta(days=61)}
FOR_RENNES: dict[str, Any] = {"format": "bespoke", "capacity": 12, "audience": {"sirets": [RENNES]}}


def enrolled(*several: Agent) -> list[tuple[str, str]]:
    return [("AgentEnrolled", agent.agent_id) for agent in several]


def withdrawn(agent: Agent) -> tuple[str, str]:
    return "EnrolmentWithdrawn", agent.agent_id


def agents_of_different_authorities(number: int, delegation: str = "bretagne") -> list[Agent]:
    """New agents, each of an authority of its own."""
    digits = [f"2{index:012}" for index in range(number)]
    return [an_agent_of(delegation, siret + luhn.calc_check_digit(siret)) for siret in digits]


def a_group_that_waits(session: PostgresSession, *group: Agent) -> list[tuple[str, str]]:
    return session.ask(GroupRequest(*session.members(), group, True, True))


def nominate(session: PostgresSession, *named: Agent) -> list[tuple[str, str]]:
    return session.ask(Nomination(*session.members(), named, RENNES))


def count_enrolments_loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The agents of the enrolments that are loaded from now on, in order."""
    loaded: list[str] = []
    read = enrolments.enrolment_of

    def counted(row: Any) -> Enrolment:
        loaded.append(row.agent_id)
        return read(row)

    for reading in (enrolments, waiting_lists):
        monkeypatch.setattr(reading, "enrolment_of", counted)
    return loaded


# ------------------------------------------------------------------------------ what the clock brings


def test_an_offer_that_is_over_stands_until_the_answers_that_had_come_are_read_then_passes(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="offer")
    seated, first, second, third = agents(4)
    session.enrol(seated, first, second)
    assert session.withdraw(seated) == [withdrawn(seated), ("SeatOffered", first.agent_id)]
    in_time = OfferAnswer(*session.members(), first.key, False)
    assert session.wait_until(DURING + timedelta(hours=47)) == []
    session.now += timedelta(days=3)
    assert session.enrol(third) == [("AgentWaitlisted", third.agent_id)]
    assert session.ask(in_time) == [("SeatOfferLapsed", first.agent_id), ("SeatOffered", second.agent_id)]
    assert session.wait_until(session.now + timedelta(days=5)) == [
        ("SeatOfferLapsed", second.agent_id),
        ("SeatOffered", third.agent_id),
    ]


@pytest.mark.parametrize("quota", [None, 2])
def test_a_line_ends_slice_by_slice_and_in_order(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch, quota: int | None
) -> None:
    """Also agents whose authority has no seat left for all of them."""
    monkeypatch.setattr(loading, "_LINE_SLICE", 2)
    session = a_session_on_postgres(capacity=1, quota_per_authority=quota)
    _, *line = (asking := [*(an_agent_of(siret=RENNES) for _ in range(5)), an_agent_of(siret=NANTES)])
    session.enrol(*asking)
    assert session.wait_until(STARTS + Policy().grace - timedelta(seconds=1)) == []
    assert session.wait_until(STARTS + Policy().grace) == [
        ("SeatNotObtained", agent.agent_id) for agent in line
    ]


def test_a_change_that_ends_a_line_tells_all_of_it_before_a_newcomer_has_the_seat(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="offer")
    seated, offered, *line = asking = [an_agent_of(siret=RENNES) for _ in range(6)]
    session.enrol(*asking)
    session.withdraw(seated)
    assert session.change(starts_at=session.now + timedelta(hours=47)) == [
        ("SeatOfferLapsed", offered.agent_id),
        *(("SeatNotObtained", agent.agent_id) for agent in line),
    ]
    newcomer = an_agent_of(siret=RENNES)
    assert session.enrol(newcomer) == enrolled(newcomer)


def test_under_the_minimum_at_the_close_the_organiser_is_notified_once(a_session_on_postgres: New) -> None:
    """Rule 15: of the agents without a seat, candidates alone count."""
    session = a_session_on_postgres(minimum=3, approval="employer_then_selection")
    agreed, silent = agents(2)
    session.enrol(agreed, silent)
    session.ask(ApprovalDecision(*session.members(), agreed.key, True))

    def notices(moment: datetime) -> list[tuple[int, int]]:
        published = session.world.expire(moment)
        return [(each.enrolled, each.candidates) for each in published if isinstance(each, MinimumMissed)]

    assert notices(CLOSES + Policy().grace - timedelta(seconds=1)) == []
    assert notices(CLOSES + Policy().grace) == [(0, 1)]
    session.now = CLOSES + Policy().grace
    session.withdraw(agreed)
    assert notices(STARTS) == []


def test_an_approval_that_has_not_come_when_enrolment_closes_is_missing(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(approval="employer")
    [agent] = agents(1)
    session.enrol(agent)
    assert session.wait_until(CLOSES) == []
    assert session.wait_until(CLOSES + timedelta(minutes=1)) == [("EnrolmentRefused", agent.agent_id)]


def test_reserved_seats_are_released_by_the_clock_to_the_first_in_line(a_session_on_postgres: New) -> None:
    release = DURING + timedelta(days=3)
    reserved = [{"delegation": "bretagne", "seats": 2, "release_at": release}]
    session = a_session_on_postgres(capacity=2, reserved_seats=reserved)
    corsican, other, breton = an_agent_of("corse"), an_agent_of("corse"), an_agent_of()
    assert session.enrol(corsican, other, breton)[2:] == enrolled(breton)
    assert session.wait_until(release - timedelta(seconds=1)) == []
    assert session.wait_until(release) == enrolled(corsican)


def test_the_clock_ends_what_a_group_keeps_after_seven_days_once(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(capacity=2, **FAR)
    seated, group, behind = agents(2), agents(2), agents(2)
    session.enrol(*seated)
    a_group_that_waits(session, *group)
    session.enrol(*behind)
    session.withdraw(seated[0])
    assert session.wait_until(DURING + timedelta(days=7)) == [], "answers may still be on their way"
    assert session.wait_until(DURING + timedelta(days=7, minutes=1)) == enrolled(behind[0])
    assert session.withdraw(seated[1])[1:] == enrolled(behind[1])
    assert sorted(session.change(capacity=4)) == sorted(enrolled(*group))


# ------------------------------------------------------------------------------ no more than is needed


def test_an_agent_who_joins_before_others_hears_the_place_and_none_of_the_others_is_loaded(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=1, approval="employer")
    seated, first, pending, late = agents(4)
    for agent, approved in ((seated, True), (first, True), (pending, False)):
        session.ask(SeatRequest(*session.members(), agent, approved))
    session.now += timedelta(hours=1)
    session.ask(*(SeatRequest(*session.members(), agent, True) for agent in agents(20)))
    loaded = count_enrolments_loaded(monkeypatch)
    long_ago = uuid4(), session.now - timedelta(minutes=30), session.world.session_id
    for request, place in (
        (SeatRequest(*long_ago, late, True), 2),
        (ApprovalDecision(*session.members(), pending.key, True), 2),
        (SeatRequest(*session.members(), an_agent(), True), 24),
    ):
        published, *_ = session.world.ask([request], session.now)
        assert published.model_dump()["position"] == place
    assert loaded == [pending.agent_id]


def test_an_organiser_who_changes_a_priority_or_ranks_loads_nobody_else_who_waits(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=0)
    *line, candidate = agents(21)
    session.enrol(*line)
    session.change(approval="selection")
    session.enrol(candidate)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.world.prioritise(line[7].key, 1, session.now) == (None, [])
    _, [published, *_] = session.world.rank([candidate.key], [], session.now)
    assert published.model_dump()["position"] == 21
    assert loaded == [line[7].agent_id, candidate.agent_id]


@pytest.mark.parametrize(
    "counted",
    [
        {"quota_per_authority": 1},
        {"reserved_seats": [{"delegation": "bretagne", "seats": 1, "release_at": CLOSES}]},
    ],
    ids=["quota", "reserved seats"],
)
def test_a_freed_seat_loads_a_few_of_the_line_however_many_authorities_wait(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch, counted: dict[str, Any]
) -> None:
    session = a_session_on_postgres(capacity=2, **counted)
    _, seated, *line = agents_of_different_authorities(42, "corse")
    session.enrol(an_agent_of(), seated, *line)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.withdraw(seated) == [withdrawn(seated), *enrolled(line[0])]
    assert sorted(loaded) == sorted(agent.agent_id for agent in (seated, *line[:3]))


def test_a_freed_seat_passes_over_however_many_there_are_of_an_authority_that_may_have_one_more(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=2, quota_per_authority=1)
    *seated, behind, last = agents_of_different_authorities(4)
    rennes = [an_agent_of(siret=RENNES) for _ in range(40)]
    session.enrol(*seated, *rennes, behind, last)
    loaded = count_enrolments_loaded(monkeypatch)
    leaving = [Withdrawal(*session.members(), agent.key, None) for agent in seated]
    assert session.ask(*leaving) == [
        *(withdrawn(seated[0]), *enrolled(rennes[0])),
        *(withdrawn(seated[1]), *enrolled(behind)),
    ]
    assert set(loaded) == {agent.agent_id for agent in (*seated, rennes[0], behind, last)}


def test_a_freed_seat_goes_to_the_highest_priority_however_long_the_others_have_waited(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1)
    seated, *line = agents(12)
    session.enrol(seated, *line)
    session.world.prioritise(line[-1].key, 1, session.now)
    assert session.withdraw(seated)[1:] == enrolled(line[-1])


def test_agents_who_are_seated_and_leave_in_one_batch_are_followed_by_the_next(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, quota_per_authority=1)
    seated, *line = agents_of_different_authorities(6)
    session.enrol(seated, *line)
    leaving = (seated, line[3], line[0], line[1])
    session.ask(*(Withdrawal(*session.members(), agent.key, None) for agent in leaving))
    assert session.withdraw(line[2])[1:] == enrolled(line[4])


# ------------------------------------------------------------------------------ groups


def test_a_group_waits_behind_others_and_is_seated_in_the_transaction_that_frees_the_last_seat(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=3, **FAR)
    seated, [first, behind], group = agents(3), agents(2), agents(2)
    session.enrol(*seated, first)
    assert a_group_that_waits(session, *group) == [("AgentWaitlisted", agent.agent_id) for agent in group]
    session.enrol(behind)
    assert session.withdraw(seated[0])[1:] == enrolled(first)
    assert session.withdraw(seated[1])[1:] == []
    assert sorted(session.withdraw(seated[2])[1:]) == sorted(enrolled(*group))
    assert session.withdraw(first)[1:] == enrolled(behind)


def test_a_group_that_waits_is_loaded_neither_for_a_request_nor_for_one_seat_once_it_was_passed(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=3, **FAR)
    seated, [passing, behind] = agents(3), agents(2)
    session.enrol(*seated)
    a_group_that_waits(session, *agents(3))
    loaded = count_enrolments_loaded(monkeypatch)
    published, *_ = session.world.ask([SeatRequest(*session.members(), passing, True)], session.now)
    assert (published.model_dump()["position"], loaded) == (2, [])
    session.enrol(behind)
    session.withdraw(seated[0])
    session.wait_until(DURING + timedelta(days=8))
    loaded.clear()
    assert session.withdraw(seated[1])[1:] == enrolled(behind)
    assert loaded == [seated[1].agent_id, behind.agent_id]


def test_no_group_is_loaded_behind_one_that_keeps_the_free_seats(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=3, **FAR)
    seated, first, second = agents(3), agents(3), agents(2)
    session.enrol(*seated)
    for group in (first, second):
        a_group_that_waits(session, *group)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.withdraw(seated[0])[1:] == []
    assert sorted(loaded) == sorted(agent.agent_id for agent in (seated[0], *first))
    assert session.withdraw(seated[1])[1:] == [], "two seats are free, and they are kept"
    assert sorted(session.withdraw(seated[2])[1:]) == sorted(enrolled(*first))
    assert sorted(session.change(capacity=5)) == sorted(enrolled(*second))


def test_in_a_session_whose_row_was_lost_groups_still_wait_as_one(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(capacity=2, **FAR)
    seated, group = agents(2), agents(2)
    session.enrol(*seated)
    a_group_that_waits(session, *group)

    async def lose() -> None:
        async with session.world.database.transaction() as tx:
            await tx.execute(text("DELETE FROM session"))

    session.world.runner.run(lose())
    session.change(title="Encore une fois")
    assert session.withdraw(seated[0])[1:] == []
    assert sorted(session.withdraw(seated[1])[1:]) == sorted(enrolled(*group))


# ------------------------------------------------------------------------------ lists of trainees


def test_a_list_that_is_redriven_after_a_newer_one_changes_nothing(a_session_on_postgres: New) -> None:
    """Lists are whole: otherwise agents whom the newer list names would lose their seats to the older one."""
    session = a_session_on_postgres(**FOR_RENNES)
    first, second, third = agents(3)
    older = Nomination(*session.members(), (first, second), RENNES)
    of_another = Nomination(*session.members(), (an_agent(issuer="ouest"),), RENNES)
    session.now += timedelta(minutes=1)
    nominate(session, second, third)
    session.now += timedelta(minutes=1)
    between = Nomination(*session.members(), (second,), RENNES)

    assert session.ask(older) == []
    assert session.ask(of_another) == enrolled(*of_another.agents)
    session.now += timedelta(minutes=1)
    assert nominate(session, first, third) == [withdrawn(second), *enrolled(first)]
    assert session.ask(between) == []


def test_an_agent_who_withdrew_after_the_close_is_replaced_once_by_an_agent_named_later(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(**FOR_RENNES)
    first, early, late, third, fourth, fifth = agents(6)
    nominate(session, first, early, late)
    session.withdraw(early)
    session.now = CLOSES
    session.withdraw(late)
    refused = ("EnrolmentRefused", fourth.agent_id)
    assert nominate(session, first, third, fourth) == [*enrolled(third), refused]
    session.withdraw(third)
    assert nominate(session, first, fifth) == enrolled(fifth), "a replacement is replaced too"
    assert nominate(session, first, fifth, fourth) == [refused]


# ------------------------------------------------------------------------------ several sessions


def test_an_agent_enrolled_in_a_session_is_refused_another_at_the_time_where_that_is_checked(
    a_session_on_postgres: New,
) -> None:
    checked, agent = Policy(overlap_check=True), an_agent()
    morning, at_the_same_time = a_session_on_postgres(checked), a_session_on_postgres(checked)
    later = {"starts_at": STARTS + timedelta(days=1), "ends_at": STARTS + timedelta(days=1, hours=7)}
    assert morning.enrol(agent) == enrolled(agent)
    request = SeatRequest(*at_the_same_time.members(), agent, False)
    [refused] = at_the_same_time.world.ask([request], DURING)
    assert refused.model_dump()["reason"] == "overlapping_session"
    assert a_session_on_postgres(checked, **later).enrol(agent) == enrolled(agent)


async def test_a_session_cancelled_in_a_batch_keeps_nobody_from_another_of_the_same_batch(
    database: Database,
) -> None:
    """Whichever of the two is locked first: the request waited for its session's own event."""
    checked, agent = Policy(overlap_check=True), an_agent()
    another, cancelled = sorted((a_session(), a_session()), key=lambda session: session.session_id)
    enrolled, request = [
        SeatRequest(uuid4(), DURING, session.session_id, agent, False) for session in (cancelled, another)
    ]
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {cancelled.session_id: cancelled}, checked, DURING)
        await requests.process(tx, [enrolled, request], checked, DURING)
    newer = cancelled.model_copy(update={"version": cancelled.version + 1, "status": Status.CANCELLED})
    async with database.transaction() as tx:
        newest = {session.session_id: session for session in (another, newer)}
        await sessions.apply_states(tx, newest, checked, DURING)
        answer = (await requests.status(tx, request.request_id, None)).request
    assert answer is not None
    assert (answer.outcome, answer.reason) == ("enrolled", None)


async def test_occupancies_of_sessions_that_nobody_published_restore_nothing(database: Database) -> None:
    occupancy = SessionOccupancyChanged(
        session_id=uuid4(), version=3, capacity=2, enrolled=2, waiting=0, offered=0
    )
    async with database.transaction() as tx:
        await sessions.restore(tx, {}, {occupancy.session_id: occupancy}, Policy(), DURING)
        assert await tx.scalar(text("SELECT count(*) FROM session")) == 0


async def test_the_decisions_of_a_batch_are_written_in_one_round_trip(database: Database) -> None:
    session = a_session()
    asking = [SeatRequest(uuid4(), DURING, session.session_id, an_agent(), False) for _ in range(3)]
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {session.session_id: session}, Policy(), DURING)
        with statements() as asked:
            await requests.process(tx, asking, Policy(), DURING)
    [written] = [statement.sql for statement in asked if "INSERT" in statement.sql]
    for write in ("INSERT INTO enrolment", "INSERT INTO request", "INSERT INTO outbox", "UPDATE session"):
        assert write in written
