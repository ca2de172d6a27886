"""Until when an offered seat is held (rule 2): long enough, never into the night, never too late."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.enrolment.rules.holds import hold_until, last_moment_to_offer
from services.enrolment.rules.policy import Policy
from shared.events.vocabulary import Delegation
from tests.support.builders import STARTS, a_session

PARIS = "Europe/Paris"
MORNING, EVENING = 8, 20

OVERSEAS = {
    "guadeloupe": "America/Guadeloupe",
    "martinique": "America/Martinique",
    "guyane": "America/Cayenne",
    "la-reunion": "Indian/Reunion",
    "mayotte": "Indian/Mayotte",
}


def local(text: str, zone: str = PARIS) -> datetime:
    """A moment as a clock on the wall there says it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def held(
    now: datetime, *, hours: int = 48, zone: str = PARIS, policy: Policy | None = None, **session: Any
) -> str | None:
    """Until when a seat offered now is held, as a clock on the wall there says it."""
    far = {"starts_at": now + timedelta(days=200), "ends_at": now + timedelta(days=201)}
    state = a_session(**({"timezone": zone, "offer_hold_hours": hours} | far | session))
    until = hold_until(state, now.astimezone(UTC), policy or Policy())
    return None if until is None else until.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


# ------------------------------------------------------------ in working hours


@pytest.mark.parametrize(
    ("venue", "until"),
    [
        ("Maison de la région, 67000 Strasbourg", "2025-04-22 12:00:00"),
        ("Hôtel de ville, 57000 Metz", "2025-04-22 12:00:00"),
        ("Hôtel de ville, 54000 Nancy", "2025-04-18 10:00:00"),
        (None, "2025-04-18 10:00:00"),
    ],
)
def test_good_friday_is_a_day_off_where_the_session_takes_place_in_alsace_or_moselle(
    venue: str | None, until: str
) -> None:
    assert held(local("2025-04-16T10:00"), organiser="grand-est", venue=venue) == until


@pytest.mark.parametrize(
    ("offered", "until"),
    [
        ("2025-03-17T10:07", "2025-03-19 10:07:00"),  # on a working day: to the minute
        ("2025-03-17T07:59:59", "2025-03-19 12:00:00"),  # in the night: the next noon
        ("2025-03-17T08:00", "2025-03-19 08:00:00"),
        ("2025-03-17T19:59:59", "2025-03-19 19:59:59"),
        ("2025-03-17T20:00", "2025-03-20 12:00:00"),
        ("2025-03-18T00:00", "2025-03-20 12:00:00"),
        ("2025-03-19T21:00", "2025-03-24 12:00:00"),  # at a weekend: Monday noon
        ("2025-03-20T09:00", "2025-03-24 12:00:00"),
        ("2025-03-21T09:00", "2025-03-24 12:00:00"),
        ("2025-04-19T10:00", "2025-04-22 12:00:00"),  # Easter Monday, after the weekend
        ("2025-05-06T10:00", "2025-05-09 12:00:00"),  # 8 May, a Thursday
        ("2025-05-27T10:00", "2025-05-30 12:00:00"),  # Ascension, a Thursday
        ("2025-12-30T20:30", "2026-01-02 12:00:00"),  # New Year, after the evening before
    ],
)
def test_a_hold_that_would_end_in_the_night_or_on_a_day_off_ends_at_the_next_noon(
    offered: str, until: str
) -> None:
    assert held(local(offered)) == until


@pytest.mark.parametrize(
    ("offered", "hours", "until"),
    [
        ("2025-03-28T15:00", 67, "2025-03-31 11:00:00"),  # clocks go forward
        ("2025-03-28T01:30", 49, "2025-03-31 12:00:00"),  # an hour that there is not, at night
        ("2025-10-24T15:00", 67, "2025-10-27 09:00:00"),  # clocks go back
        ("2025-10-24T15:00", 65, "2025-10-27 12:00:00"),  # at 7: the night
        ("2025-10-24T15:00", 66, "2025-10-27 08:00:00"),
    ],
)
def test_hours_are_real_hours_when_clocks_change(offered: str, hours: int, until: str) -> None:
    assert held(local(offered), hours=hours) == until


@pytest.mark.parametrize(
    ("delegation", "holiday"),
    [
        ("mayotte", "2026-04-27"),
        ("martinique", "2025-05-22"),
        ("guadeloupe", "2025-05-27"),
        ("guyane", "2025-06-10"),
        ("la-reunion", "2024-12-20"),
    ],
)
def test_the_day_of_abolition_is_a_day_off_where_it_is_kept(delegation: str, holiday: str) -> None:
    zone = OVERSEAS[delegation]
    offered = local(f"{holiday}T10:00", zone) - timedelta(days=2)
    kept_there = held(offered, zone=zone, organiser=delegation)
    assert kept_there is not None
    assert kept_there > f"{holiday} 23:59"
    assert held(offered, zone=zone, organiser="bretagne") == f"{holiday} 10:00:00"


@pytest.mark.parametrize("delegation", OVERSEAS)
def test_night_is_night_where_the_session_is(delegation: str) -> None:
    zone = OVERSEAS[delegation]
    assert held(local("2025-03-17T10:00", zone), zone=zone, organiser=delegation) == "2025-03-19 10:00:00"
    assert held(local("2025-03-17T22:00", zone), zone=zone, organiser=delegation) == "2025-03-20 12:00:00"


@pytest.mark.parametrize("organiser", ["inet", "inset-nancy", "some-new-organiser"])
def test_an_organiser_that_is_no_department_keeps_the_national_holidays(organiser: str) -> None:
    assert held(local("2025-05-06T10:00"), organiser=organiser) == "2025-05-09 12:00:00"


# ------------------------------------------------------------ never too late


@pytest.mark.parametrize(
    ("policy", "before_start", "offers"),
    [
        (Policy(), 48, False),
        (Policy(), 49, True),
        (Policy(last_offer=timedelta(hours=2)), 3, True),
        (Policy(last_offer=timedelta(hours=3)), 3, False),
    ],
)
def test_no_seat_is_offered_at_the_last_moment_which_can_be_chosen(
    policy: Policy, before_start: int, offers: bool
) -> None:
    until = hold_until(a_session(), STARTS - timedelta(hours=before_start), policy)
    assert (until is not None) is offers


def test_a_hold_ends_at_the_last_moment_even_in_the_night() -> None:
    session = a_session(starts_at="2025-05-15T01:00:00Z")
    offered = datetime(2025, 5, 12, 9, tzinfo=UTC)
    assert hold_until(session, offered, Policy()) == datetime(2025, 5, 13, 1, tzinfo=UTC)


def test_a_rehearsal_shortens_every_hold() -> None:
    rehearsal = Policy(longest_hold=timedelta(seconds=20))
    assert held(local("2025-03-20T22:00"), policy=rehearsal) == "2025-03-20 22:00:20"


MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # has one


@given(
    now=MOMENTS,
    hours=st.integers(1, 8_760),
    days=st.integers(-3, 400),
    zone=st.sampled_from([PARIS, *OVERSEAS.values(), "Pacific/Noumea", "America/Miquelon"]),
    organiser=st.sampled_from([*Delegation]),
)
def test_a_hold_is_long_enough_ends_in_working_hours_or_at_the_last_moment(
    now: datetime, hours: int, days: int, zone: str, organiser: Delegation
) -> None:
    starts_at = now + timedelta(days=days)
    session = a_session(
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=3),
        timezone=zone,
        offer_hold_hours=hours,
        organiser=organiser,
    )
    last = last_moment_to_offer(session, Policy())
    until = hold_until(session, now, Policy())
    if now >= last:
        assert until is None
        return
    assert until is not None
    assert now < until <= last
    if until < last:
        assert until >= now + timedelta(hours=hours)
        there = until.astimezone(ZoneInfo(zone))
        assert there.weekday() < 5
        assert MORNING <= there.hour < EVENING
        shortest = now + timedelta(hours=hours)
        assert until - shortest < timedelta(days=6), "no stretch of days off is longer"
