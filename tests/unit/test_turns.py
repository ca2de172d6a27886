"""A schedule that cannot end breaks, and says who waits for what."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine

import pytest

from tests.proof import turns
from tests.proof.turns import Actor, BrokenSchedule, Choices, ScheduleStep, Turns


class Nothing:
    """Surroundings without faults, in which all is done when nobody can go on and nobody waits."""

    def __init__(self) -> None:
        self.turns = Turns(Choices(0), self)
        self.turns.faults_left = 0
        self.is_over = False

    def others(self) -> list[ScheduleStep]:
        return []

    def faults(self) -> list[ScheduleStep]:
        return []

    async def blocked(self) -> int:
        return 0

    async def is_done(self) -> bool:
        return self.is_over

    async def pass_time(self) -> bool:
        return False

    def state(self) -> list[str]:
        return ["the mail relay took nothing"]

    async def play(self, *work: Callable[[], Coroutine[None, None, None]]) -> None:
        actors = [Actor(f"actor {number}", lambda each=each: [each()]) for number, each in enumerate(work)]  # type: ignore[misc]
        for actor in actors:
            self.turns.start(actor)
        try:
            await self.turns.play()
        finally:
            for actor in actors:
                await self.turns.crash(actor)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Nothing:
    monkeypatch.setattr(turns, "STEP_SECONDS", 0.05)
    monkeypatch.setattr(turns, "LOCK_SECONDS", 0.01)
    return Nothing()


async def test_steps_are_taken_until_all_is_done(world: Nothing) -> None:
    async def goes() -> None:
        await world.turns.gate("goes")
        world.is_over = True

    await world.play(goes)
    assert world.turns.trace == ["actor 0 goes"]


async def test_what_a_step_sends_is_heard_before_the_next_step(world: Nothing) -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)

    async def says() -> None:
        await world.turns.gate("says")
        ours.send(b"done\n")

    async def hears() -> None:
        await reader.readline()
        await world.turns.gate("hears")
        world.is_over = True

    with contextlib.closing(ours), contextlib.closing(writer):
        await world.play(says, hears)
    assert world.turns.trace == ["actor 0 says", "actor 1 hears"]


async def test_tasks_that_wait_for_each_other_are_named(world: Nothing) -> None:
    async def waits() -> None:
        await world.turns.gate("waits for the other", lambda: False)

    with pytest.raises(BrokenSchedule, match="nobody can go on") as broken:
        await world.play(waits, waits)
    assert broken.value.state == [
        "actor 0 may not go on: waits for the other",
        "actor 1 may not go on: waits for the other",
        "the mail relay took nothing",
    ]


async def test_a_task_that_turns_for_ever_at_its_gates_is_named(
    world: Nothing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def turns_for_ever() -> None:
        while True:
            await world.turns.gate("turns")

    monkeypatch.setattr(turns, "MOST_STEPS", 5)
    with pytest.raises(BrokenSchedule, match="all is never done") as broken:
        await world.play(turns_for_ever)
    assert broken.value.state[0] == "actor 0 may go on: turns"


async def test_a_task_that_comes_to_no_gate_breaks_the_schedule(world: Nothing) -> None:
    async def spins() -> None:
        again = asyncio.get_running_loop().create_future()
        again.set_result(None)
        while True:
            await asyncio.wait([again])

    with pytest.raises(BrokenSchedule, match="a step does not end"):
        await world.play(spins)


async def test_a_statement_that_neither_ends_nor_waits_for_a_lock_is_named(world: Nothing) -> None:
    async def hangs() -> None:
        world.turns.begins("SELECT 1")
        await asyncio.Event().wait()

    with pytest.raises(BrokenSchedule, match="a step does not end") as broken:
        await world.play(hangs)
    assert broken.value.state[0] == "actor 0 is busy: SELECT 1"


async def test_an_error_of_a_task_breaks_the_schedule(world: Nothing) -> None:
    async def fails() -> None:
        raise ValueError("no reason")

    with pytest.raises(BrokenSchedule, match="actor 0 ended by ValueError"):
        await world.play(fails)


async def test_no_gate_opens_for_a_task_that_outlives_its_kill(world: Nothing) -> None:
    """A library turns the cancellation into an error, and the task would try again."""
    went_on: list[str] = []

    async def tries_again() -> None:
        try:
            await world.turns.gate("tries", lambda: False)
        except asyncio.CancelledError:
            went_on.append("after the kill")
        await world.turns.gate("tries again")
        went_on.append("past a gate")

    with pytest.raises(BrokenSchedule, match="nobody can go on"):
        await world.play(tries_again)
    assert went_on == ["after the kill"]
