"""What was rejected leaves memory at once: a service collects its garbage rarely (`tune_gc`)."""

import gc
from collections.abc import Callable, Mapping

import pytest

from shared.events.cloudevents import STRUCTURED, Envelope, Record
from shared.events.portal import EnrolmentRequested
from shared.messaging.consumer import read
from shared.messaging.portals.admission import MAX_BYTES, Rejected, admit, admit_by_token
from shared.messaging.portals.registry import Portals
from tests.support.builders import as_json, enrolment_request, headers
from tests.support.garbage import alive, without_collecting
from tests.unit.messaging.portals.test_admission import SESSION, a_portal, a_record, signed

PORTAL = a_portal()
PORTALS = Portals([PORTAL])
READERS: dict[str, Callable[[Record], object]] = {
    "by Kafka": lambda record: admit(record, PORTALS, []),
    "by HTTP": lambda record: admit_by_token(record, PORTAL),
    "of a service": read,
}
GOOD = enrolment_request(SESSION)


def sent(value: bytes | None = None, **changes: bytes) -> Callable[[], Record]:
    given = dict(headers(EnrolmentRequested.TYPE, source="/portals/iel")) | changes

    def record() -> Record:
        return a_record(as_json(GOOD) if value is None else value, given)

    return record


BAD: Mapping[str, Callable[[], Record]] = {
    "signed, with a field that is none": lambda: signed(GOOD | {"agent": 7}),
    "a field that is none": sent(as_json(GOOD | {"agent": 7})),
    "no JSON": sent(b"{not json"),
    "brackets": sent(b"[" * 100_000),
    "too large": sent(b"x" * (MAX_BYTES + 1)),
    "much too large": sent(b"x" * (9 * MAX_BYTES)),
    "a name twice": sent(b'{"a":1,"a":2}'),
    "no such type": sent(ce_type=b"fr.cnfpt.portal.Unheard.v1"),
    "of nobody": sent(ce_source=b"/portals/nobody"),
    "no structured event": sent(b'{"specversion": "1.0"}', **{"content-type": STRUCTURED.encode()}),
    "no base64": sent(b'{"data_base64": "x"}', **{"content-type": STRUCTURED.encode()}),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_nothing_of_a_record_that_was_read_waits_for_a_garbage_collection(
    bad: Callable[[], Record], reader: Callable[[Record], object]
) -> None:
    with without_collecting():
        before = len(alive(Record, Envelope, Rejected))
        reader(bad())
        assert len(alive(Record, Envelope, Rejected)) == before
        assert gc.collect() == 0
