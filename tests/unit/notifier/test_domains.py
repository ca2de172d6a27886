"""The limit of mails at once for one domain, and the delays before a mail is tried again."""

from datetime import timedelta
from heapq import heappop, heappush

import pytest

from services.notifier.delivery.domains import MAX_HELD, Admitted, Domains, Later
from services.notifier.delivery.results import RETRY_MOST, retry_delay


def test_a_job_that_ends_gives_its_slot_to_one_that_was_held() -> None:
    domains: Domains[str] = Domains(most=1)
    assert domains.enter("a.example", "first") is Admitted.NOW
    assert domains.enter("a.example", "second") is Admitted.HELD
    assert domains.enter("b.example", "other") is Admitted.NOW
    assert domains.leave("a.example") == "second"
    assert domains.enter("a.example", "third") is Admitted.HELD, "the second is under way"
    assert domains.leave("a.example") == "third"
    assert domains.leave("a.example") is None
    assert domains.enter("a.example", "fourth") is Admitted.NOW


def test_more_than_can_be_held_come_back_later() -> None:
    domains: Domains[int] = Domains(most=2)
    entries = [domains.enter("a.example", n) for n in range(3 + MAX_HELD)]
    assert entries[:2] == [Admitted.NOW] * 2
    assert entries[2:-1] == [Admitted.HELD] * MAX_HELD
    assert isinstance(entries[-1], Later)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def full(most: int, *names: str) -> tuple[Domains[int], Clock]:
    """Domains whose slots are all taken, and a clock."""
    clock = Clock()
    domains: Domains[int] = Domains(most=most, monotonic=clock)
    for name in names:
        assert {domains.enter(name, n) for n in range(most)} == {Admitted.NOW}
    return domains, clock


def test_jobs_are_held_for_a_fast_domain_and_not_for_a_slow_one() -> None:
    domains, clock = full(1, "fast.example", "slow.example")
    for name in ("fast.example", "slow.example"):
        assert {domains.enter(name, n) for n in range(4)} == {Admitted.HELD}
    assert domains.waiting() == 8
    for _ in range(2):
        clock.now += 0.5
        domains.leave("fast.example")
    assert domains.enter("fast.example", 5) is Admitted.HELD
    assert isinstance(domains.enter("slow.example", 5), Later), "four wait for one that has taken a second"
    assert domains.waiting() == 3


@pytest.mark.parametrize(("most", "seconds", "number"), [(2, 0.25, 1_000), (28, 0.5, 5_000), (28, 0.05, 300)])
def test_a_slow_domain_always_has_work_and_its_mails_are_seldom_looked_at_in_vain(
    most: int, seconds: float, number: int
) -> None:
    """Simulate mails that are claimed by the hundred and take so many seconds each."""
    domains, clock = full(most)
    to_come = [(clock.now + 0.01 * (n // 100), n, "due") for n in range(number)]
    in_vain = done = 0
    while to_come:
        clock.now, mail, what = heappop(to_come)
        begun: int | None = mail
        if what == "due":
            entry = domains.enter("slow.example", mail)
            if isinstance(entry, Later):
                in_vain += 1
                heappush(to_come, (clock.now + entry.seconds, mail, "due"))
            if entry is not Admitted.NOW:
                continue
        else:
            done += 1
            begun = domains.leave("slow.example")
        if begun is not None:
            heappush(to_come, (clock.now + seconds, begun, "sent"))
    assert done == number
    assert clock.now - 100.0 < 1.3 * number * seconds / most + 1
    assert in_vain < 3 * number


def test_a_domain_that_has_become_faster_is_soon_known_as_such() -> None:
    domains, clock = full(1, "a.example")
    for seconds, ended in ((1.0, 150), (0.01, 700)):
        for _ in range(ended):
            assert domains.enter("a.example", 0) is Admitted.HELD
            clock.now += seconds
            domains.leave("a.example")
    assert {domains.enter("a.example", n) for n in range(100)} == {Admitted.HELD}


def test_without_limits_every_job_enters() -> None:
    domains: Domains[int] = Domains()
    assert {domains.enter("a.example", n) for n in range(100)} == {Admitted.NOW}


@pytest.mark.parametrize(
    ("code", "first"), [(None, 30), (421, 60), (450, 300), (451, 300), (452, 900), (499, 60)]
)
def test_the_delay_before_the_next_attempt_depends_on_the_reply_and_doubles(
    code: int | None, first: int
) -> None:
    assert [retry_delay(attempts, code) for attempts in (1, 2, 40)] == [
        timedelta(seconds=first),
        timedelta(seconds=2 * first),
        RETRY_MOST,
    ]
    in_all = sum((retry_delay(attempts, code) for attempts in range(1, 21)), timedelta(0))
    assert in_all < timedelta(days=4), "four days are enough for more than twenty attempts"
