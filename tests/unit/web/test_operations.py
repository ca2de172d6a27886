"""Why a record is a dead letter, as operators' pages say it."""

from datetime import UTC, datetime

import pytest

from shared.events.cloudevents import Record
from shared.messaging.dead_letters import NEWER, DeadLetter
from shared.web.operations import Why, why


@pytest.mark.parametrize(
    ("state", "error", "traceback", "reason"),
    [
        ("rejected", "no signature", None, Why.REJECTED),
        ("parked", f"fr.cnfpt.catalogue.SessionMoved.v2 {NEWER}: redrive it", None, Why.NEWER),
        ("parked", "KeyError", "Traceback …", Why.FAILED),
        ("parked", "this is no JSON", None, Why.UNREADABLE),
    ],
)
def test_a_dead_letter_says_why_it_is_one(state: str, error: str, traceback: str | None, reason: Why) -> None:
    record = Record("catalogue.sessions", 0, 7, None, b"", (), datetime.now(UTC))
    letter = DeadLetter(
        record=record,
        event_type=None,
        error=error,
        traceback=traceback,
        id=1,
        parked_at=datetime.now(UTC),
        state=state,
    )
    assert why(letter) is reason
