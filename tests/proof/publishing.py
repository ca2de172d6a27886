"""Model of outbox, relays and broker: two relays publish one bucket to one partition (ADR 0005, 0023).

Promises: no event is lost, the events of a key keep their order, and the last event of a key is its newest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.proof.explorer import replaced

KEYS = ("session B", "session A", "session A")
"""The key of each row of the outbox. Another writer's row may commit after a row with a higher id."""
FAULTS = 2


class RelayState(NamedTuple):
    """``producer`` is the number of its transactional id; a producer that was closed gets a new one."""

    step: str = "waits"
    producer: int = 0
    batch: tuple[int, ...] = ()
    others: frozenset[int] = frozenset()


class PublishingState(NamedTuple):
    """``on_their_way``: producer and row of each record that the broker has not taken yet, in order."""

    rows: tuple[str, ...] = ("uncommitted",) * len(KEYS)
    relays: tuple[RelayState, ...] = (RelayState(producer=0), RelayState(producer=1))
    locked_by: int | None = None
    claimed_by: frozenset[int] = frozenset()
    fenced: frozenset[int] = frozenset()
    on_their_way: tuple[tuple[int, int], ...] = ()
    partition: tuple[int, ...] = ()
    faults: int = FAULTS


START = PublishingState()


@dataclass(frozen=True)
class PublishingProtocol:
    """The protocol. Each switch leaves out one of its rules."""

    locks: bool = True
    claims: bool = True
    fences: bool = True
    reads_after_claim: bool = True
    marks_after_acknowledgement: bool = True
    reads_all_unsent: bool = True
    """False: read only ids above the last that was marked, as a watermark does."""
    keeps_claims_after_failure: bool = True
    start: PublishingState = START

    def steps(self, state: PublishingState) -> Iterator[tuple[str, PublishingState]]:
        for row, status in enumerate(state.rows):
            earlier = [state.rows[other] for other in range(row) if KEYS[other] == KEYS[row]]
            if (
                status == "uncommitted" and "uncommitted" not in earlier
            ):  # writers of a key exclude each other
                yield f"the transaction of row {row} commits", _with_row(state, row, "unsent")
        for number in range(len(state.relays)):
            yield from self._relay_steps(state, number)
        for producer in {producer for producer, _ in state.on_their_way}:
            yield self._arrival(state, producer)

    def _relay_steps(self, state: PublishingState, number: int) -> Iterator[tuple[str, PublishingState]]:
        relay = state.relays[number]
        name, holds_lock = f"relay {number}", state.locked_by == number or not self.locks
        match relay.step:
            case "waits" if self._unsent(state) and (state.locked_by is None or not self.locks):
                after = _with_relay(state._replace(locked_by=number), number, relay._replace(step="locked"))
                yield f"{name} locks the bucket", after
            case "locked" if self.reads_after_claim:
                yield f"{name} claims the bucket", self._claimed(state, number, "claimed")
            case "locked":
                read = relay._replace(step="claimed", batch=self._unsent(state))
                yield f"{name} reads rows {read.batch}", _with_relay(state, number, read)
            case "claimed" if not self.reads_after_claim:
                yield f"{name} claims the bucket", self._claimed(state, number, "read")
            case "claimed" if not holds_lock:
                yield f"{name} finds its connection lost", self._failed(state, number)
            case "claimed":
                read = relay._replace(step="read", batch=self._unsent(state))
                yield f"{name} reads rows {read.batch}", _with_relay(state, number, read)
            case "read" if relay.others and self.fences and not holds_lock:
                yield f"{name} finds its connection lost", self._failed(state, number)
            case "read":
                fenced = state.fenced | relay.others if self.fences else state.fenced
                ready = relay._replace(step="ready")
                yield (
                    f"{name} fences {sorted(relay.others)}",
                    _with_relay(state._replace(fenced=fenced), number, ready),
                )
            case "ready":
                sent = tuple((relay.producer, row) for row in relay.batch)
                sending = relay._replace(step="sends")
                after = _with_relay(state._replace(on_their_way=state.on_their_way + sent), number, sending)
                yield f"{name} sends rows {relay.batch}", after
            case "sends" if not self.marks_after_acknowledgement:
                yield self._mark(state, number)
            case "sends" if relay.producer not in {producer for producer, _ in state.on_their_way}:
                yield self._mark(state, number)

    def _unsent(self, state: PublishingState) -> tuple[int, ...]:
        sent = [row for row, status in enumerate(state.rows) if status == "sent"]
        first = 0 if self.reads_all_unsent or not sent else max(sent) + 1
        return tuple(row for row, status in enumerate(state.rows) if status == "unsent" and row >= first)

    def _claimed(self, state: PublishingState, number: int, step: str) -> PublishingState:
        relay = state.relays[number]
        if not self.claims:
            return _with_relay(state, number, relay._replace(step=step))
        others = state.claimed_by - {relay.producer}
        after = state._replace(claimed_by=state.claimed_by | {relay.producer})
        return _with_relay(after, number, relay._replace(step=step, others=others))

    def _mark(self, state: PublishingState, number: int) -> tuple[str, PublishingState]:
        relay = state.relays[number]
        if self.locks and state.locked_by != number:
            return f"relay {number} finds its connection lost", self._failed(state, number)
        rows = tuple("sent" if row in relay.batch else status for row, status in enumerate(state.rows))
        after = state._replace(rows=rows, locked_by=None, claimed_by=frozenset())
        return f"relay {number} marks rows {relay.batch}", _with_relay(
            after, number, RelayState(producer=relay.producer)
        )

    def _arrival(self, state: PublishingState, producer: int) -> tuple[str, PublishingState]:
        place = next(at for at, record in enumerate(state.on_their_way) if record[0] == producer)
        row = state.on_their_way[place][1]
        rest = state.on_their_way[:place] + state.on_their_way[place + 1 :]
        if producer not in state.fenced:
            after = state._replace(on_their_way=rest, partition=(*state.partition, row))
            return f"the broker takes row {row} of producer {producer}", after
        # The broker refuses all that a fenced producer has sent. Its relay hears it, if it still has it.
        rest = tuple(record for record in state.on_their_way if record[0] != producer)
        after = state._replace(on_their_way=rest)
        for number, relay in enumerate(state.relays):
            if relay.producer == producer:
                after = self._failed(after, number)
        return f"the broker refuses producer {producer}", after

    def _failed(self, state: PublishingState, number: int) -> PublishingState:
        """The relay closes its producer. Records may still be on their way, so the claim stays."""
        relay = RelayState(producer=state.relays[number].producer + len(state.relays))
        after = state._replace(
            locked_by=None if state.locked_by == number else state.locked_by,
            claimed_by=state.claimed_by if self.keeps_claims_after_failure else frozenset(),
        )
        return _with_relay(after, number, relay)

    def faults(self, state: PublishingState) -> Iterator[tuple[str, PublishingState]]:
        if not state.faults:
            return
        after = state._replace(faults=state.faults - 1)
        if state.locked_by is not None:
            yield f"Postgres ends the connection of relay {state.locked_by}", after._replace(locked_by=None)
        for number, relay in enumerate(state.relays):
            if relay.step != "waits":
                yield f"relay {number} is killed and starts again", self._failed(after, number)

    def broken(self, state: PublishingState, *, at_rest: bool) -> str | None:
        for key in set(KEYS):
            rows = [row for row in state.partition if KEYS[row] == key]
            firsts = list(dict.fromkeys(rows))
            if firsts != sorted(firsts):
                return f"the events of {key} keep their order"
            if at_rest and rows and rows[-1] != max(rows):
                return f"the last event of {key} is its newest"
        if at_rest and set(state.partition) != set(range(len(KEYS))):
            return "no event is lost"
        return None


def _with_row(state: PublishingState, row: int, status: str) -> PublishingState:
    return state._replace(rows=replaced(state.rows, row, status))


def _with_relay(state: PublishingState, number: int, relay: RelayState) -> PublishingState:
    return state._replace(relays=replaced(state.relays, number, relay))
