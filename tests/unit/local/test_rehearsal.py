"""The parts of the rehearsal. `make rehearsal` plays it, and test_comparison.py tests its books."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local import credentials
from local.rehearsal import page
from local.rehearsal.measuring import Minute, by_minute
from local.rehearsal.simulation import FULL, Costs, SimulatedSize, arrived, recommended, simulate
from shared.messaging.portals import registry

COSTS = Costs(
    enrolment=0.001,
    notifier=0.002,
    store_requests=0.001,
    store_letters=0.001,
    others=0.001,
    letters=1.0,
    stored=7_000,
    logged=14_000,
)
ENOUGH = SimulatedSize(enrolment=6, notifier=8, store_cores=8)
OPENED = datetime(2026, 12, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("installation", "breaks_first"),
    [
        (SimulatedSize(enrolment=1, notifier=8, store_cores=8), "enrolment"),
        (SimulatedSize(enrolment=6, notifier=1, store_cores=8), "notifier"),
        (SimulatedSize(enrolment=6, notifier=8, store_cores=1), "postgres"),
        (SimulatedSize(enrolment=6, notifier=8, store_cores=8, relay=100), "relay"),
        (SimulatedSize(enrolment=6, notifier=8, store_cores=8, cores=2), "machine"),
        (SimulatedSize(enrolment=9, notifier=99, store_cores=99, partitions=2), "enrolment"),
    ],
)
def test_the_part_that_is_too_small_breaks_first(installation: SimulatedSize, breaks_first: str) -> None:
    outcome = simulate(installation, COSTS, agents=2_000_000, seconds=1_200)
    assert outcome.breaks_first == breaks_first
    assert outcome.use[breaks_first] > 1
    assert outcome.longest_letter > 60


def test_nobody_waits_where_every_part_has_room() -> None:
    outcome = simulate(ENOUGH, COSTS, agents=100_000, seconds=600)
    assert (outcome.longest_wait, outcome.last_letter) == (0, 601)


def test_a_relay_that_is_too_slow_lets_letters_wait_and_no_answer() -> None:
    outcome = simulate(SimulatedSize(6, 8, 8, relay=100), COSTS, agents=100_000, seconds=500)
    assert outcome.longest_wait == 0
    assert outcome.last_letter == pytest.approx(100_000 / 100, abs=2)


def test_the_recommended_size_is_never_fuller_than_meant() -> None:
    outcome = simulate(recommended(COSTS), COSTS)
    assert max(outcome.use.values()) <= FULL
    assert outcome.longest_letter <= 1


def test_postgres_works_for_all_by_the_share_of_each_database() -> None:
    used = {
        "enrolment": 1.0,
        "notifier": 3.0,
        "postgres": 4.0,
        "postgres, enrolment": 1.0,
        "postgres, notifier": 2.0,
        "kafka": 0.5,
        "rehearsal": 0.5,
    }
    costs = Costs.of(used, requests=10, letters=5, stored=100, logged=200)
    assert (costs.enrolment, costs.notifier, costs.letters) == (0.1, 0.3, 0.5)
    assert costs.store_requests * 2 == costs.store_letters == pytest.approx(4 / 10 * 2 / 3)
    assert (costs.others, costs.stored, costs.logged) == (0.1, 10, 20)


def test_agents_come_first_fast_then_slowly() -> None:
    assert [arrived(part) for part in (0, 0.5, 1)] == [0, 0.625, 1]


def test_a_minute_has_the_waits_of_its_arrivals_and_the_queue_at_its_end() -> None:
    def at(seconds: float) -> datetime:
        return OPENED + timedelta(seconds=seconds)

    times = [(at(1), at(2)), (at(10), at(70)), (at(59), at(61)), (at(62), at(63))]
    assert by_minute(times, OPENED, timedelta(minutes=1)) == [
        Minute(came=3, median=2, slowest=60, waiting=2),
        Minute(came=1, median=1, slowest=1, waiting=0),
    ]


def test_a_portal_signs_by_two_keys_until_the_first_ends(tmp_path: Path) -> None:
    path = credentials.portals_file(tmp_path, ["portail"], issuer="essai")
    key_id, secret = credentials.add_key(path, "portail")

    def valid() -> list[str]:
        (portal,) = registry.read(path, trial=False)
        return [key.id for key in portal.keys if portal.key_of_id(key.id, OPENED) is not None]

    assert valid() == ["demo", key_id]
    credentials.end_first_key(path, "portail", OPENED - timedelta(seconds=1))
    assert valid() == [key_id]
    (portal,) = registry.read(path, trial=False)
    assert portal.keys[1].secret.get_secret_value() == secret


@pytest.mark.parametrize("agreed", [True, False])
def test_the_page_is_one_file_without_scripts_and_says_whether_the_books_agree(*, agreed: bool) -> None:
    shown = page.render(a_report(agreed=agreed))
    assert len(shown.encode()) < 200_000
    assert not re.search(r"<script|(?:src|href)=\"(?!#|data:)|url\((?!\"data:)", shown)
    assert ("Les comptes sont justes" in shown) == agreed
    assert shown.count('<svg class="chart"') == 3
    assert shown.count('<svg class="meter"') == 1


def a_report(*, agreed: bool) -> dict[str, object]:
    minute = {"came": 40, "median": 0.04, "slowest": 2.5, "waiting": 3}
    books = dict.fromkeys(
        (
            *("requests", "answers", "enrolled", "waitlisted", "mails_received", "mails_expected"),
            *("lost", "duplicated", "overbooked"),
        ),
        7,
    )
    cpu = ("enrolment", "notifier", "catalogue", "postgres", "kafka", "mailbox", "rehearsal")
    return {
        "books": books,
        "agreed": agreed,
        "agents": 600,
        "seconds": 2.7,
        "minute": 0.18,
        "sessions": 54,
        "broker": "embedded",
        "answers": [minute] * 15,
        "letters": [minute] * 17,
        "events": [["cancelled", 1.0, 0.2], ["rotated", 2.0, 6.0], ["replaced", 2.5, 4.0]],
        "pages": {"number": 54, "median": 31.0, "slow": 90.0},
        "cpu": dict.fromkeys(cpu, 1.5),
        "seats": {"bretagne": {"capacity": 100, "taken": 80, "waiting": 4}},
        "costs": asdict(COSTS),
    }
