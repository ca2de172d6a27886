"""What came by HTTP leaves memory with its answer: a service collects its garbage rarely (`tune_gc`)."""

from typing import Any

import pytest
from starlette.requests import Request

from shared.events.cloudevents import STRUCTURED, Envelope, Record
from shared.events.cloudevents_http import BATCH
from shared.messaging.portals.admission import Rejected
from tests.conftest import Ask, Eventually
from tests.integration.enrolment.sending import a_request, post, send, structured
from tests.support.garbage import alive, without_collecting

KINDS = (Record, Envelope, Rejected, Request)
INVALID = structured(a_request(agent=7))


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param(INVALID, STRUCTURED, 422, id="invalid"),
        pytest.param([INVALID, structured()], BATCH, 200, id="a batch"),
        pytest.param([INVALID] * 101, BATCH, 413, id="too many"),
        pytest.param(b"{not json", STRUCTURED, 400, id="no JSON"),
        pytest.param(b"{not json", BATCH, 400, id="a batch that is no JSON"),
        pytest.param(structured(source="/portals/nobody"), STRUCTURED, 403, id="of another portal"),
    ],
)
async def test_nothing_of_a_request_waits_for_a_garbage_collection(
    ask: Ask, eventually: Eventually, body: Any, content_type: str, status: int
) -> None:
    async def gone() -> bool:
        return alive(*KINDS) == []

    await send(ask, a_request(agent=7))  # what is made once, by the first
    with without_collecting():
        assert (await post(ask, body, content_type)).status_code == status
        await eventually(gone, "the threads that read the requests let go of them")
