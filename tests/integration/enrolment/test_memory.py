"""What came by HTTP leaves memory with its answer: a service collects its garbage rarely (`tune_gc`)."""

from typing import Any

from starlette.requests import Request

from shared.events.cloudevents import STRUCTURED, Envelope, Record
from shared.events.cloudevents_http import BATCH
from shared.messaging.portals.admission import Rejected
from tests.conftest import Ask, Eventually
from tests.integration.enrolment.sending import a_request, post, send, structured
from tests.support.garbage import alive, without_collecting

KINDS = (Record, Envelope, Rejected, Request)
INVALID = structured(a_request(agent=7))


REQUESTS: list[tuple[Any, str, int]] = [
    (INVALID, STRUCTURED, 422),
    ([INVALID, structured()], BATCH, 200),
    ([INVALID] * 101, BATCH, 413),
    (b"{not json", STRUCTURED, 400),
    (b"{not json", BATCH, 400),
    (structured(source="/portals/nobody"), STRUCTURED, 403),
]


async def test_nothing_of_a_request_waits_for_a_garbage_collection(ask: Ask, eventually: Eventually) -> None:
    async def gone() -> bool:
        return alive(*KINDS) == []

    await send(ask, a_request(agent=7))  # what is made once, by the first
    with without_collecting():
        for body, content_type, status in REQUESTS:
            assert (await post(ask, body, content_type)).status_code == status
        await eventually(gone, "the threads that read the requests let go of them")
