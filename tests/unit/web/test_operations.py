"""Why a record is a dead letter, as operators' pages say it."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from shared.events.catalogue import SessionScheduled
from shared.events.cloudevents import Record
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import FieldProblem
from shared.messaging.dead_letters import NEWER, DeadLetter
from shared.messaging.portals.admission import Rejected
from shared.web.operations import Why, WhyParked, reason_of, why
from tests.support.consuming import a_record
from tests.unit.notifier.builders import a_session


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


RECORD = a_record(SessionScheduled.model_validate(a_session().model_dump()), uuid4())


def test_the_reason_of_a_rejection_is_taken_apart() -> None:
    problems = (
        FieldProblem(pointer="/agent/email", message="has a link or an address; where there is none, …"),
        FieldProblem(pointer="/priority", message="Field required"),
    )
    rejection = Rejected(RECORD, RejectionCode.INVALID, problems, portal=None)
    taken = [(problem.pointer, problem.message) for problem in problems]
    assert reason_of(rejection.explanation) == WhyParked("invalid", taken)
    whole = FieldProblem(pointer="", message="ce_id 'x' is not a UUID")
    assert reason_of(Rejected(RECORD, RejectionCode.UNREADABLE, (whole,), portal=None).explanation) == (
        WhyParked("unreadable", [("", "ce_id 'x' is not a UUID")])
    )


@pytest.mark.parametrize("error", ["KeyError: 'x'", "the value is null", "", f"x.v9 {NEWER}: redrive it"])
def test_what_has_no_parts_stays_whole(error: str) -> None:
    assert reason_of(error) == WhyParked("", [("", error)])
