"""Model of inbox and consumers: two processes of a group take one partition, record by record or together.

Promises: each event has its effect once, and the effects keep the order of the partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.proof.explorer import replaced

PARTITION = (0, 1, 0, 1, 2)
"""The events of one key. A relay that was killed before its mark has published two of them again."""
FAULTS = 2


class ConsumerState(NamedTuple):
    """``new``: the events of the batch that its open transaction has put into the inbox."""

    step: str = "waits"
    start: int = 0
    end: int = 0
    new: tuple[int, ...] = ()


class ConsumingState(NamedTuple):
    """``assigned_to``: the consumer that the group gives the partition to. The other may not know yet."""

    consumers: tuple[ConsumerState, ...] = (ConsumerState(), ConsumerState())
    assigned_to: int = 0
    committed: int = 0
    inbox: frozenset[int] = frozenset()
    effects: tuple[int, ...] = ()
    faults: int = FAULTS


START = ConsumingState()


@dataclass(frozen=True)
class ConsumingProtocol:
    """The protocol. Each switch leaves out one of its rules."""

    drops_known: bool = True
    commits_offset_last: bool = True
    stores_inbox_with_effects: bool = True
    """False: the inbox in a transaction of its own, before the effects."""
    waits_for_open_inserts: bool = True
    """False: an id that another open transaction inserted is taken for a new one."""
    start: ConsumingState = START

    def steps(self, state: ConsumingState) -> Iterator[tuple[str, ConsumingState]]:
        for number in range(len(state.consumers)):
            yield from self._consumer_steps(state, number)

    def _consumer_steps(self, state: ConsumingState, number: int) -> Iterator[tuple[str, ConsumingState]]:
        consumer, name = state.consumers[number], f"consumer {number}"
        match consumer.step:
            case "waits" if state.assigned_to == number and state.committed < len(PARTITION):
                for end in range(state.committed + 1, len(PARTITION) + 1):
                    taken = ConsumerState("read", state.committed, end)
                    after = _with_consumer(state, number, taken)
                    if not self.commits_offset_last:
                        after = after._replace(committed=end)
                    yield f"{name} reads {PARTITION[taken.start : end]}", after
            case "read":
                batch = PARTITION[consumer.start : consumer.end]
                other = state.consumers[1 - number]
                if self.waits_for_open_inserts and set(batch) & set(other.new):
                    return  # until the other transaction ends
                known = state.inbox if self.drops_known else frozenset()
                new = tuple(event for event in dict.fromkeys(batch) if event not in known)
                if not self.drops_known:
                    new = batch
                after = _with_consumer(state, number, consumer._replace(step="inserted", new=new))
                if not self.stores_inbox_with_effects:
                    after = after._replace(inbox=state.inbox | set(new))
                yield f"{name} puts {new} into the inbox", after
            case "inserted":
                after = state._replace(
                    inbox=state.inbox | set(consumer.new), effects=state.effects + consumer.new
                )
                stored = consumer._replace(step="stored", new=())
                yield f"{name} commits the effects of {consumer.new}", _with_consumer(after, number, stored)
            case "stored":
                after = _with_consumer(state, number, ConsumerState())
                if state.assigned_to == number:  # else the group refuses
                    after = after._replace(committed=max(state.committed, consumer.end))
                yield f"{name} commits offset {consumer.end}", after

    def faults(self, state: ConsumingState) -> Iterator[tuple[str, ConsumingState]]:
        if not state.faults:
            return
        after = state._replace(faults=state.faults - 1)
        other = 1 - state.assigned_to
        yield f"the partition goes to consumer {other}", after._replace(assigned_to=other)
        for number, consumer in enumerate(state.consumers):
            if consumer.step != "waits":
                yield (
                    f"consumer {number} is killed and starts again",
                    _with_consumer(after, number, ConsumerState()),
                )

    def broken(self, state: ConsumingState, *, at_rest: bool) -> str | None:
        if len(set(state.effects)) < len(state.effects):
            return "each event has its effect once"
        if list(state.effects) != sorted(state.effects):
            return "the effects keep the order of the partition"
        if at_rest and set(state.effects) != set(PARTITION):
            return "each event has its effect"
        return None


def _with_consumer(state: ConsumingState, number: int, consumer: ConsumerState) -> ConsumingState:
    return state._replace(consumers=replaced(state.consumers, number, consumer))
