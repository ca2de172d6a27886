"""What one domain may have: so many at once, and the longer waits after a refusal."""

from datetime import timedelta

import pytest

from services.notifier.delivery.domains import MOST_HELD, Domains, Entry, Later
from services.notifier.delivery.endings import RETRY_MOST, retry_delay


def test_whoever_leaves_takes_the_one_that_was_held() -> None:
    domains: Domains[str] = Domains(most=1)
    assert domains.enter("a.example", "first") is Entry.NOW
    assert domains.enter("a.example", "second") is Entry.HELD
    assert domains.enter("b.example", "other") is Entry.NOW
    assert domains.leave("a.example") == "second"
    assert domains.enter("a.example", "third") is Entry.HELD, "the second is under way"
    assert domains.leave("a.example") == "third"
    assert domains.leave("a.example") is None
    assert domains.enter("a.example", "fourth") is Entry.NOW


def test_more_than_can_be_held_come_back_later() -> None:
    domains: Domains[int] = Domains(most=2)
    entries = [domains.enter("a.example", n) for n in range(3 + MOST_HELD)]
    assert entries[:2] == [Entry.NOW] * 2
    assert entries[2:-1] == [Entry.HELD] * MOST_HELD
    assert isinstance(entries[-1], Later)


def test_nobody_waits_for_a_slow_domain_and_everybody_for_a_fast_one() -> None:
    now = [100.0]
    domains: Domains[int] = Domains(most=1, monotonic=lambda: now[0])
    for domain in ("fast.example", "slow.example"):
        for number in range(4):
            domains.enter(domain, number)
    assert domains.waiting() == 6
    now[0] = 101.5
    for _ in range(3):
        domains.leave("fast.example")
    assert domains.enter("fast.example", 5) is Entry.HELD
    assert isinstance(domains.enter("slow.example", 5), Later)
    assert domains.waiting() == 1


def test_a_few_who_are_turned_away_come_back_soon_and_many_do_not_all_the_time() -> None:
    domains: Domains[int] = Domains(most=1)
    for number in range(1 + MOST_HELD):
        domains.enter("a.example", number)
    waits = [domains.enter("a.example", number) for number in range(1000)]
    assert waits[0] == Later(1.05)
    assert waits[-1] == Later(30.0)


def test_without_limits_everybody_enters() -> None:
    domains: Domains[int] = Domains()
    assert {domains.enter("a.example", n) for n in range(100)} == {Entry.NOW}


@pytest.mark.parametrize(
    ("code", "first"), [(None, 30), (421, 60), (450, 300), (451, 300), (452, 900), (499, 60)]
)
def test_how_long_to_wait_depends_on_what_the_relay_said(code: int | None, first: int) -> None:
    assert retry_delay(1, code) == timedelta(seconds=first)
    assert retry_delay(2, code) == timedelta(seconds=2 * first)
    assert retry_delay(40, code) == RETRY_MOST
    # Four days are always enough for more than twenty attempts.
    waited, attempts = timedelta(0), 0
    while waited < timedelta(days=4):
        attempts += 1
        waited += retry_delay(attempts, code)
    assert attempts > 20
