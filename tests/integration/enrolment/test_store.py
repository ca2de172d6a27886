"""What the store brings to the rules: heads of lines, offers that are over, seats by employer."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from stdnum import luhn

from services.enrolment.rules.enrolments import Enrolment
from services.enrolment.rules.organising import AttendanceMark, record_attendance
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import (
    ApprovalDecision,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Request,
    SeatRequest,
    Withdrawal,
)
from services.enrolment.service import requests, sessions
from services.enrolment.store import enrolments, waiting_lists
from services.enrolment.store.load_plans import LoadPlan
from services.enrolment.store.rosters import loading
from shared.database import Database
from shared.events.enrolment import Attendance, Decision, MinimumMissed, SessionOccupancyChanged
from shared.events.vocabulary import Agent, Status
from tests.support.builders import CLOSES, DURING, STARTS, a_session, an_agent
from tests.support.enrolment_on_postgres import New, PostgresSession
from tests.support.rosters import NANTES, RENNES, an_agent_of

PARIS = "21750001600019"


def test_an_offer_that_is_over_passes_to_the_next_in_line_in_the_same_transaction(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="offer")
    seated, first, second = an_agent(), an_agent(), an_agent()
    session.enrol(seated, first, second)
    assert session.withdraw(seated) == [
        ("EnrolmentWithdrawn", seated.agent_id),
        ("SeatOffered", first.agent_id),
    ]
    assert session.wait_until(DURING + timedelta(hours=47)) == []
    assert session.wait_until(DURING + timedelta(days=5)) == [
        ("SeatOfferLapsed", first.agent_id),
        ("SeatOffered", second.agent_id),
    ]


def test_an_offer_that_is_over_stands_until_the_answers_that_had_come_are_read(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="offer")
    seated, first, second, newcomer = (an_agent() for _ in range(4))
    session.enrol(seated, first, second)
    session.withdraw(seated)
    in_time = OfferAnswer(*session.members(), first.key, True)
    session.now += timedelta(days=5)
    assert session.enrol(newcomer) == [("AgentWaitlisted", newcomer.agent_id)]
    assert session.ask(in_time) == [("AgentEnrolled", first.agent_id)]


def test_an_offer_that_is_declined_passes_to_the_next_and_one_that_is_accepted_is_a_seat(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="offer")
    seated, first, second = an_agent(), an_agent(), an_agent()
    session.enrol(seated, first, second)
    session.withdraw(seated)
    assert session.ask(OfferAnswer(*session.members(), first.key, False)) == [
        ("SeatOfferLapsed", first.agent_id),
        ("SeatOffered", second.agent_id),
    ]
    assert session.ask(OfferAnswer(*session.members(), second.key, True)) == [
        ("AgentEnrolled", second.agent_id)
    ]


def test_an_offer_does_not_outlive_the_last_moment_when_the_session_is_brought_forward(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, waiting_list="offer")
    seated, first = an_agent(), an_agent()
    session.enrol(seated, first)
    session.withdraw(seated)
    sooner = DURING + timedelta(hours=50)
    assert session.change(starts_at=sooner, enrolment_closes_at=sooner) == [("SeatOffered", first.agent_id)]
    assert session.wait_until(DURING + timedelta(hours=2, minutes=2)) == [("SeatOfferLapsed", first.agent_id)]


@pytest.mark.parametrize("quota", [None, 3])
def test_a_line_ends_slice_by_slice_and_in_order(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch, quota: int | None
) -> None:
    monkeypatch.setattr(loading, "_LINE_SLICE", 2)
    session = a_session_on_postgres(capacity=1, quota_per_authority=quota)
    _, *line = (agents := [*(an_agent_of(siret=RENNES) for _ in range(5)), an_agent_of(siret=NANTES)])
    session.enrol(*agents)
    assert session.wait_until(STARTS + Policy().grace - timedelta(seconds=1)) == []
    assert session.wait_until(STARTS + Policy().grace) == [
        ("SeatNotObtained", agent.agent_id) for agent in line
    ]
    assert session.wait_until(STARTS + timedelta(days=1)) == []


def test_under_the_minimum_at_the_close_the_organiser_is_told_once(a_session_on_postgres: New) -> None:
    """Rule 15: of those who have no seat, candidates alone count."""
    session = a_session_on_postgres(minimum=3, approval="employer_then_selection")
    agreed, silent = an_agent(), an_agent()
    session.enrol(agreed, silent)
    session.ask(ApprovalDecision(*session.members(), agreed.key, True))

    def notices(moment: datetime) -> list[tuple[int, int]]:
        published = session.world.expire(moment)
        return [(each.enrolled, each.candidates) for each in published if isinstance(each, MinimumMissed)]

    assert notices(CLOSES + Policy().grace - timedelta(seconds=1)) == []
    assert notices(CLOSES + Policy().grace) == [(0, 1)]
    assert notices(CLOSES + timedelta(days=1)) == []
    session.now = CLOSES + timedelta(days=1)
    session.change(enrolment_closes_at=CLOSES + timedelta(days=2))
    assert notices(CLOSES + timedelta(days=3)) == [(0, 1)]


def test_reserved_seats_are_released_by_the_clock_to_whoever_waits(a_session_on_postgres: New) -> None:
    release = DURING + timedelta(days=3)
    session = a_session_on_postgres(
        capacity=2, reserved_seats=[{"delegation": "bretagne", "seats": 2, "release_at": release}]
    )
    breton, parisian, other = an_agent_of(), an_agent_of("ile-de-france", PARIS), an_agent_of("corse", PARIS)
    assert session.enrol(parisian, other, breton) == [
        ("AgentWaitlisted", parisian.agent_id),
        ("AgentWaitlisted", other.agent_id),
        ("AgentEnrolled", breton.agent_id),
    ]
    assert session.wait_until(release - timedelta(seconds=1)) == []
    assert session.wait_until(release) == [("AgentEnrolled", parisian.agent_id)]


def test_a_freed_seat_passes_over_those_whose_authority_has_all_it_may_have(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=3, quota_per_authority=None)
    rennes = [an_agent_of(siret=RENNES) for _ in range(4)]
    nantes = [an_agent_of(siret=NANTES) for _ in range(3)]
    session.enrol(rennes[0], nantes[0], nantes[1], *rennes[1:], nantes[2])
    session.change(quota_per_authority=1)
    assert session.withdraw(nantes[0]) == [("EnrolmentWithdrawn", nantes[0].agent_id)]
    assert session.withdraw(nantes[1]) == [
        ("EnrolmentWithdrawn", nantes[1].agent_id),
        ("AgentEnrolled", nantes[2].agent_id),
    ]


def test_an_approval_that_is_granted_takes_its_place_by_its_original_time_of_receipt(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=1, approval="employer")
    seated, pending, later = an_agent(), an_agent(), an_agent()
    for agent, approved in ((seated, True), (pending, False), (later, True)):
        session.ask(SeatRequest(*session.members(), agent, approved))
    [published] = session.world.ask([ApprovalDecision(*session.members(), pending.key, True)], session.now)[
        :1
    ]
    assert published.model_dump()["position"] == 1
    assert session.withdraw(seated)[1:] == [("AgentEnrolled", pending.agent_id)]


def test_who_joins_a_waiting_list_before_others_hears_the_place_and_none_of_the_others_is_loaded(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=1, approval="employer")
    seated, first, pending, late = (an_agent() for _ in range(4))
    for agent, approved in ((seated, True), (first, True), (pending, False)):
        session.ask(SeatRequest(*session.members(), agent, approved))
    session.now += timedelta(hours=1)
    session.ask(*(SeatRequest(*session.members(), an_agent(), True) for _ in range(20)))
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
    line = [an_agent() for _ in range(20)]
    session.enrol(*line)
    session.change(approval="selection")
    candidate = an_agent()
    session.enrol(candidate)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.world.prioritise(line[7].key, 1, session.now) == (None, [])
    fault, published = session.world.rank([candidate.key], [], session.now)
    assert fault is None
    assert published[0].model_dump()["position"] == 21
    assert loaded == [line[7].agent_id, candidate.agent_id]


def test_a_list_of_trainees_for_a_session_that_takes_none_loads_only_those_it_names(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=1)
    seated, waiting, newcomer = an_agent(), an_agent(), an_agent()
    session.enrol(seated, waiting)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.ask(Nomination(*session.members(), (seated, newcomer), RENNES)) == [
        ("EnrolmentRefused", seated.agent_id),
        ("EnrolmentRefused", newcomer.agent_id),
    ]
    assert loaded == [seated.agent_id]


def test_who_leaves_without_having_had_a_seat_makes_nobody_else_load(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=1, quota_per_authority=1)
    seated, *line = agents_of_different_authorities(20)
    session.enrol(seated, *line)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.withdraw(an_agent()) == []
    assert session.withdraw(line[3]) == [("EnrolmentWithdrawn", line[3].agent_id)]
    assert loaded == [line[3].agent_id]


@pytest.mark.parametrize(
    "counted",
    [
        {"quota_per_authority": 1},
        {"reserved_seats": [{"delegation": "bretagne", "seats": 1, "release_at": CLOSES}]},
    ],
)
def test_a_freed_seat_loads_a_few_of_the_line_however_many_authorities_wait(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch, counted: dict[str, Any]
) -> None:
    session = a_session_on_postgres(capacity=2, **counted)
    breton, *others = agents_of_different_authorities(42)
    seated, *line = (
        agent.model_copy(update={"employer": agent.employer.model_copy(update={"delegation": "corse"})})
        for agent in others
    )
    session.enrol(breton, seated, *line)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.withdraw(seated) == [
        ("EnrolmentWithdrawn", seated.agent_id),
        ("AgentEnrolled", line[0].agent_id),
    ]
    assert sorted(loaded) == sorted(agent.agent_id for agent in (seated, *line[:3]))


def test_a_freed_seat_passes_over_however_many_there_are_of_an_authority_that_may_have_one_more(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=2, quota_per_authority=1)
    *seated, behind, last = agents_of_different_authorities(4)
    rennes = [an_agent_of(siret=RENNES) for _ in range(40)]
    session.enrol(*seated, *rennes, behind, last)
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.ask(*(Withdrawal(*session.members(), agent.key, None) for agent in seated)) == [
        ("EnrolmentWithdrawn", seated[0].agent_id),
        ("AgentEnrolled", rennes[0].agent_id),
        ("EnrolmentWithdrawn", seated[1].agent_id),
        ("AgentEnrolled", behind.agent_id),
    ]
    assert set(loaded) == {agent.agent_id for agent in (*seated, rennes[0], behind, last)}


def test_who_is_seated_and_leaves_in_one_batch_is_followed_by_the_next(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(capacity=1, quota_per_authority=1)
    seated, *line = agents_of_different_authorities(6)
    session.enrol(seated, *line)
    leaving = (seated, line[3], line[0], line[1])
    session.ask(*(Withdrawal(*session.members(), agent.key, None) for agent in leaving))
    assert session.withdraw(line[2])[1:] == [("AgentEnrolled", line[4].agent_id)]


def agents_of_different_authorities(number: int) -> list[Agent]:
    """New agents, each of an authority of its own."""
    digits = [f"2{index:012}" for index in range(number)]
    return [an_agent_of(siret=siret + luhn.calc_check_digit(siret)) for siret in digits]


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


def test_an_approval_that_has_not_come_when_enrolment_closes_is_missing(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(approval="employer")
    agent = an_agent()
    session.enrol(agent)
    assert session.wait_until(CLOSES) == []
    assert session.wait_until(CLOSES + timedelta(minutes=1)) == [("EnrolmentRefused", agent.agent_id)]


def test_a_group_is_one_request_with_an_answer_for_each_and_an_outcome_for_all(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=2)
    group = tuple(an_agent() for _ in range(3))
    request = GroupRequest(*session.members(), group, True)
    assert session.ask(request) == [("EnrolmentRefused", agent.agent_id) for agent in group]
    assert outcome_of(session, request) == ("refused", "group_does_not_fit")
    request = GroupRequest(*session.members(), group, False)
    assert [name for name, _ in session.ask(request)] == ["AgentEnrolled", "AgentEnrolled", "AgentWaitlisted"]
    assert outcome_of(session, request) == ("mixed", None)


def a_group_that_waits(session: PostgresSession, *group: Agent) -> list[tuple[str, str]]:
    return session.ask(GroupRequest(*session.members(), group, True, True))


FAR = {"starts_at": STARTS + timedelta(days=60), "ends_at": STARTS + timedelta(days=61)}


def test_a_group_waits_behind_others_and_is_seated_in_the_transaction_that_frees_the_last_seat(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(capacity=3, waiting_list="automatic", **FAR)
    seated, first, behind = [an_agent() for _ in range(3)], an_agent(), an_agent()
    group = [an_agent() for _ in range(2)]
    session.enrol(*seated, first)
    assert a_group_that_waits(session, *group) == [("AgentWaitlisted", a.agent_id) for a in group]
    session.enrol(behind)
    assert session.withdraw(seated[0]) == [
        ("EnrolmentWithdrawn", seated[0].agent_id),
        ("AgentEnrolled", first.agent_id),
    ]
    assert session.withdraw(seated[1]) == [("EnrolmentWithdrawn", seated[1].agent_id)]
    [_, *enrolled] = session.withdraw(seated[2])
    assert sorted(enrolled) == sorted(("AgentEnrolled", member.agent_id) for member in group)
    assert session.withdraw(first)[1:] == [("AgentEnrolled", behind.agent_id)]


def test_the_clock_ends_what_a_group_keeps_after_seven_days_once(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(capacity=2, waiting_list="automatic", **FAR)
    seated, group, behind = [an_agent(), an_agent()], [an_agent(), an_agent()], [an_agent(), an_agent()]
    session.enrol(*seated)
    a_group_that_waits(session, *group)
    session.enrol(*behind)
    session.withdraw(seated[0])
    assert session.wait_until(DURING + timedelta(days=7)) == [], "answers may still be on their way"
    assert session.wait_until(DURING + timedelta(days=7, minutes=1)) == [
        ("AgentEnrolled", behind[0].agent_id)
    ]
    assert session.withdraw(seated[1])[1:] == [("AgentEnrolled", behind[1].agent_id)]
    [*enrolled] = session.change(capacity=4)
    assert sorted(enrolled) == sorted(("AgentEnrolled", member.agent_id) for member in group)


def test_a_group_that_was_passed_and_is_too_large_is_not_loaded_for_one_seat(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=3, waiting_list="automatic", **FAR)
    seated, group, behind = [an_agent() for _ in range(3)], [an_agent() for _ in range(3)], an_agent()
    session.enrol(*seated)
    a_group_that_waits(session, *group)
    session.enrol(an_agent(), behind)
    session.withdraw(seated[0])
    session.wait_until(DURING + timedelta(days=8))
    loaded = count_enrolments_loaded(monkeypatch)
    assert session.withdraw(seated[1])[1:] == [("AgentEnrolled", behind.agent_id)]
    assert loaded == [seated[1].agent_id, behind.agent_id]


def test_a_group_in_a_full_session_is_not_loaded_for_who_asks(
    a_session_on_postgres: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = a_session_on_postgres(capacity=3, waiting_list="automatic", **FAR)
    session.enrol(*(an_agent() for _ in range(3)))
    a_group_that_waits(session, *(an_agent() for _ in range(3)))
    loaded = count_enrolments_loaded(monkeypatch)
    published, *_ = session.world.ask([SeatRequest(*session.members(), an_agent(), True)], session.now)
    assert published.model_dump()["position"] == 2
    assert loaded == []


def test_in_a_session_whose_row_was_lost_groups_still_wait_as_one(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(capacity=2, waiting_list="automatic", **FAR)
    seated, group = [an_agent(), an_agent()], [an_agent(), an_agent()]
    session.enrol(*seated)
    a_group_that_waits(session, *group)

    async def lose() -> None:
        async with session.world.database.transaction() as tx:
            await tx.execute(
                text("DELETE FROM session WHERE session_id = :id"), {"id": session.world.session_id}
            )

    session.world.runner.run(lose())
    session.change(title="Encore une fois")
    assert session.withdraw(seated[0])[1:] == []
    enrolled = session.withdraw(seated[1])[1:]
    assert sorted(enrolled) == sorted(("AgentEnrolled", member.agent_id) for member in group)


def test_a_list_of_trainees_sent_anew_replaces_one_by_another(a_session_on_postgres: New) -> None:
    session = a_session_on_postgres(format="bespoke", capacity=2, audience={"sirets": [RENNES]})
    first, second, third = an_agent(), an_agent(), an_agent()
    session.ask(Nomination(*session.members(), (first, second), RENNES))
    session.now = CLOSES
    assert session.ask(Nomination(*session.members(), (first, third), RENNES)) == [
        ("EnrolmentWithdrawn", second.agent_id),
        ("AgentEnrolled", third.agent_id),
    ]


def test_a_list_that_is_redriven_after_a_newer_one_changes_nothing(a_session_on_postgres: New) -> None:
    """Lists are whole: else those whom the newer one names would lose their seats to the older."""
    session = a_session_on_postgres(format="bespoke", capacity=12, audience={"sirets": [RENNES]})
    first, second, third = an_agent(), an_agent(), an_agent()
    older = Nomination(*session.members(), (first, second), RENNES)
    of_another = Nomination(*session.members(), (an_agent(issuer="ouest"),), RENNES)
    session.now += timedelta(minutes=1)
    session.ask(Nomination(*session.members(), (second, third), RENNES))

    assert session.ask(older) == []
    assert session.ask(of_another) == [("AgentEnrolled", of_another.agents[0].agent_id)]
    session.now += timedelta(minutes=1)
    assert session.ask(Nomination(*session.members(), (first, third), RENNES)) == [
        ("EnrolmentWithdrawn", second.agent_id),
        ("AgentEnrolled", first.agent_id),
    ]


def test_who_withdrew_after_the_close_is_replaced_once_by_who_is_named_later(
    a_session_on_postgres: New,
) -> None:
    session = a_session_on_postgres(format="bespoke", capacity=12, audience={"sirets": [RENNES]})
    first, early, late, third, fourth, fifth = (an_agent() for _ in range(6))

    def name(*named: Agent) -> list[tuple[str, str]]:
        return session.ask(Nomination(*session.members(), named, RENNES))

    name(first, early, late)
    session.withdraw(early)
    session.now = CLOSES
    session.withdraw(late)
    assert name(first, third, fourth) == [
        ("AgentEnrolled", third.agent_id),
        ("EnrolmentRefused", fourth.agent_id),
    ]
    session.withdraw(third)
    assert name(first, fifth) == [("AgentEnrolled", fifth.agent_id)], "a replacement is replaced too"
    assert name(first, fifth, fourth) == [("EnrolmentRefused", fourth.agent_id)]


def test_who_is_enrolled_in_a_session_is_refused_another_at_the_time_where_that_is_checked(
    a_session_on_postgres: New,
) -> None:
    checked = Policy(overlap_check=True)
    morning = a_session_on_postgres(checked)
    at_the_same_time = a_session_on_postgres(checked)
    the_day_after = a_session_on_postgres(
        checked, starts_at=STARTS + timedelta(days=1), ends_at=STARTS + timedelta(days=1, hours=7)
    )
    agent = an_agent()
    assert morning.enrol(agent) == [("AgentEnrolled", agent.agent_id)]
    request = SeatRequest(*at_the_same_time.members(), agent, False)
    assert at_the_same_time.ask(request) == [("EnrolmentRefused", agent.agent_id)]
    assert outcome_of(at_the_same_time, request) == ("refused", "overlapping_session")
    assert the_day_after.enrol(agent) == [("AgentEnrolled", agent.agent_id)]


async def test_a_session_cancelled_in_a_batch_keeps_nobody_from_another_of_the_same_batch(
    database: Database,
) -> None:
    """Whichever of the two is locked first: the request waited for its session's own event."""
    checked, agent = Policy(overlap_check=True), an_agent()
    another, cancelled = sorted((a_session(), a_session()), key=lambda session: session.session_id)
    request = SeatRequest(uuid4(), DURING, another.session_id, agent, False)
    async with database.transaction() as tx:
        await sessions.apply_states(tx, {cancelled.session_id: cancelled}, checked, DURING)
        enrolled = SeatRequest(uuid4(), DURING, cancelled.session_id, agent, False)
        await requests.process(tx, [enrolled, request], checked, DURING)
    newer = cancelled.model_copy(update={"version": cancelled.version + 1, "status": Status.CANCELLED})
    async with database.transaction() as tx:
        newest = {session.session_id: session for session in (another, newer)}
        await sessions.apply_states(tx, newest, checked, DURING)
    async with database.quiet_transaction() as tx:
        answer = (await requests.status(tx, request.request_id, None)).request
    assert answer is not None
    assert (answer.outcome, answer.reason) == ("enrolled", None)


def test_attendance_at_every_module_makes_a_certificate_due(a_session_on_postgres: New) -> None:
    modules = [
        {"title": f"Séance {number}", "starts_at": STARTS, "ends_at": STARTS + timedelta(hours=2)}
        for number in (1, 2)
    ]
    session = a_session_on_postgres(modules=modules)
    agent = an_agent()
    session.enrol(agent)
    world = session.world
    for module, certified in ((0, False), (1, True)):
        seen = [AttendanceMark(agent.key, module, Attendance.ATTENDED)]
        faults, published = world.organise(
            partial(record_attendance, marks=seen, author="Anne Conseil"), STARTS, LoadPlan(), [agent.key]
        )
        assert faults == {}
        assert [event.model_dump()["certified"] for event in published if isinstance(event, Decision)] == [
            certified
        ]


def outcome_of(session: PostgresSession, request: Request) -> tuple[str, str | None]:
    async def look() -> Any:
        async with session.world.database.quiet_transaction() as tx:
            return (
                await tx.execute(
                    text("SELECT outcome, reason FROM request WHERE request_id = :id"),
                    {"id": request.request_id},
                )
            ).one()

    outcome, reason = session.world.runner.run(look())
    return outcome, reason


async def test_occupancies_of_sessions_that_nobody_published_restore_nothing(
    enrolment_database: Database,
) -> None:
    occupancy = SessionOccupancyChanged(
        session_id=uuid4(), version=3, capacity=2, enrolled=2, waiting=0, offered=0
    )
    async with enrolment_database.transaction() as tx:
        await sessions.restore(tx, {}, {occupancy.session_id: occupancy}, Policy(), DURING)
        assert await tx.scalar(text("SELECT count(*) FROM session")) == 0
