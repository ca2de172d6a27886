"""History of a run: what each client did and what it was told, as JSON lines.

An operation has two lines, so that a client that dies in between leaves an invoked operation.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INVOKED, OK, FAILED, UNKNOWN = "invoked", "ok", "failed", "unknown"


@dataclass
class ClientOperation:
    """``state``: ok and failed are answers; unknown: the operation may have had its effect, or may have it.

    ``asked`` has the identifiers, ``result`` what the answer said.
    """

    number: int
    client: str
    action: str
    asked: Mapping[str, Any]
    state: str
    invoked_at: datetime
    ended_at: datetime | None = None
    result: Any = None

    def __str__(self) -> str:
        named = " ".join(f"{name}={str(value)[:100]}" for name, value in self.asked.items())
        return f"{self.invoked_at:%H:%M:%S.%f} {self.client}: {self.action} {named} is {self.state}"


class History:
    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._number = 0

    @contextmanager
    def operation(self, client: str, action: str, **asked: Any) -> Iterator[ClientOperation]:
        """Write the operation before and after the block. An exception makes its end unknown."""
        self._number += 1
        operation = ClientOperation(self._number, client, action, asked, OK, datetime.now(UTC))
        self._write(operation, INVOKED)
        try:
            yield operation
        except BaseException:
            operation.state = UNKNOWN
            raise
        finally:
            self._write(operation, operation.state)

    def close(self) -> None:
        self._file.close()

    def _write(self, operation: ClientOperation, state: str) -> None:
        line: dict[str, Any] = {"number": operation.number, "state": state, "at": _now()}
        if state == INVOKED:
            line |= {"client": operation.client, "action": operation.action, "asked": operation.asked}
        elif operation.result is not None:
            line["result"] = operation.result
        self._file.write(json.dumps(line) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat()


def read_history(path: Path) -> list[ClientOperation]:
    """Return the operations in the order in which they were invoked."""
    operations: dict[int, ClientOperation] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        number, at = entry["number"], datetime.fromisoformat(entry["at"])
        if entry["state"] == INVOKED:
            operations[number] = ClientOperation(
                number, entry["client"], entry["action"], entry["asked"], UNKNOWN, at
            )
        else:
            operation = operations[number]
            operation.state, operation.ended_at, operation.result = entry["state"], at, entry.get("result")
    return list(operations.values())
