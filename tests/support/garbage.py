"""What is left of what a test made that only a garbage collection frees, which a service runs rarely."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Garbage = TypeVar("Garbage")


@contextmanager
def without_collecting() -> Iterator[None]:
    """Collect no garbage, so that what nothing refers to is gone and what is in a cycle stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(*kinds: type[Garbage]) -> list[Garbage]:
    """Return the objects of these classes that are in memory."""
    return [found for found in gc.get_objects() if isinstance(found, kinds)]
