"""The inputs that `make fuzz` began with and found, and some damaged ones, are read or refused."""

import random
from collections.abc import Iterator

import pytest

from tests.fuzz.targets import CORPUS, TARGETS, Target, corpus_of

DAMAGED = 8
"""Damaged copies of each input. They are the same in each run."""


def damaged(data: bytes, chance: random.Random) -> Iterator[bytes]:
    for _ in range(DAMAGED):
        first, last = sorted(chance.choices(range(len(data) + 1), k=2))
        yield data[:first] + data[last:]
        yield data[:last] + data[first:]
        yield data[:first] + chance.randbytes(1) + data[first + 1 :]


@pytest.mark.parametrize(("name", "target"), TARGETS.items(), ids=TARGETS)
def test_a_hostile_input_is_read_or_refused(name: str, target: Target) -> None:
    chance = random.Random(name)
    inputs = corpus_of(name)
    assert inputs
    for data in inputs:
        for hostile in (data, *damaged(data, chance)):
            try:
                target(hostile)
            except Exception as error:
                error.add_note(f"for {hostile!r}")
                raise


def test_every_corpus_belongs_to_a_target() -> None:
    assert {file.stem for file in CORPUS.iterdir()} == set(TARGETS)
