"""Free ports: one process gets none twice, or two listeners of one server meet."""

import pytest

from local import ports


def test_a_port_that_nothing_listens_at_yet_is_not_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ports.free_port()
    numbers = iter([given, *range(ports.FIRST, ports.LAST)])
    monkeypatch.setattr("random.randint", lambda *_: next(numbers))
    assert ports.free_port() != given
