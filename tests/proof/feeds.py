"""Model of a portal's feed: two relays number its answers, and the portal reads "after the last" (ADR 0025).

Promise: the portal hears every answer, in the order of the numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.proof.explorer import replaced

ANSWERS = 2
"""The answers that each relay numbers, one pass after the other."""
FAULTS = 1


class RelayPass(NamedTuple):
    """``number`` is that of the answer which an open transaction marks, or None between two passes."""

    number: int | None = None
    marked: int = 0


class FeedState(NamedTuple):
    """``drawn``: the last number that any transaction took; ``feed``: what the portal can read."""

    relays: tuple[RelayPass, ...] = (RelayPass(), RelayPass())
    locked: bool = False
    drawn: int = 0
    feed: frozenset[int] = frozenset()
    heard: tuple[int, ...] = ()
    faults: int = FAULTS


START = FeedState()


@dataclass(frozen=True)
class FeedProtocol:
    """The protocol. Each switch leaves out one of its rules."""

    numbers_under_lock: bool = True
    """False: numbers come from a sequence, and transactions commit in any order."""
    start: FeedState = START

    def steps(self, state: FeedState) -> Iterator[tuple[str, FeedState]]:
        for place, relay in enumerate(state.relays):
            if relay.number is not None:
                feed = state.feed | {relay.number}
                after = state._replace(feed=feed, locked=False)
                done = RelayPass(marked=relay.marked + 1)
                yield f"relay {place} commits number {relay.number}", _with_pass(after, place, done)
            elif relay.marked < ANSWERS and not (self.numbers_under_lock and state.locked):
                # Under the lock the next number is one above those that have been committed.
                number = (max(state.feed, default=0) if self.numbers_under_lock else state.drawn) + 1
                after = state._replace(drawn=number, locked=True)
                yield (
                    f"relay {place} takes number {number}",
                    _with_pass(after, place, relay._replace(number=number)),
                )
        last = max(state.heard, default=0)
        if news := sorted(number for number in state.feed if number > last):
            yield f"the portal reads {news}", state._replace(heard=(*state.heard, *news))

    def faults(self, state: FeedState) -> Iterator[tuple[str, FeedState]]:
        if not state.faults:
            return
        for place, relay in enumerate(state.relays):
            if relay.number is not None:
                after = state._replace(faults=state.faults - 1, locked=False)
                killed = _with_pass(after, place, relay._replace(number=None))
                yield f"relay {place} is killed before the commit", killed

    def broken(self, state: FeedState, *, at_rest: bool) -> str | None:
        if at_rest and set(state.heard) != state.feed:
            return "the portal hears every answer"
        if at_rest and len(state.feed) < len(state.relays) * ANSWERS:
            return "each answer has a number of its own"
        return None


def _with_pass(state: FeedState, place: int, relay: RelayPass) -> FeedState:
    return state._replace(relays=replaced(state.relays, place, relay))
