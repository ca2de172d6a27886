"""Which requests are traced, and that a process without traces pays nothing."""

from uuid import uuid4

import pytest

from shared import tracing
from shared.events.cloudevents import Received
from shared.events.portal import WithdrawalRequested
from shared.messaging import traces
from shared.tracing import TracingSettings
from shared.tracing.spans import BURST, Budget
from tests.support.consuming import received
from tests.support.otlp import collecting

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = f"{SAMPLED[:-2]}00"
TOPIC = "portal.enrolments"


def a_request(traceparent: str | None) -> Received[WithdrawalRequested]:
    event = WithdrawalRequested(session_id=uuid4(), agent_id="A-1", reason="Malade")
    made = received(event, issuer="iel")
    return Received(event, made.id, made.source, made.record, None, traceparent, made.sender)


def test_a_process_that_exports_nothing_passes_the_trace_on() -> None:
    with tracing.export(TracingSettings(otel_exporter_otlp_endpoint=""), "tests"):
        assert not tracing.is_on()
        requests = [a_request(SAMPLED), a_request(None)]
        with traces.batch(TOPIC, requests) as taken:
            assert taken is requests
        assert traces.accepted(requests[0]) == SAMPLED
        assert traces.created(requests[0].event, uuid4(), "/tests", SAMPLED) == SAMPLED
        with traces.publishing([], []) as contexts:
            assert contexts == {}


def test_a_portal_is_followed_up_to_the_ratio_of_its_requests() -> None:
    traces_all, traces_some = Budget(0.01), Budget(0.01)
    assert sum(traces_all.allows(wanted=True) for _ in range(100_000)) == pytest.approx(1_000 + BURST, abs=2)
    wanted = [number % 100 == 0 for number in range(100_000)]
    assert [traces_some.allows(wanted=is_traced) for is_traced in wanted] == wanted


@pytest.mark.parametrize(
    ("ratio", "wanted", "traced"),
    [(1, False, False), (1, None, True), (0, None, False), (0, True, False)],
)
def test_only_what_a_portal_traces_or_says_nothing_of_is_traced(
    ratio: float, wanted: bool | None, traced: bool
) -> None:
    budget = Budget(ratio)
    assert {budget.allows(wanted=wanted) for _ in range(1_000)} == {traced}


def test_what_is_not_traced_says_so_to_the_next_service() -> None:
    requests = [a_request(SAMPLED), a_request(NOT_SAMPLED), a_request(None)]
    with collecting() as collector:
        settings = collector.settings(ratio=0)
        with tracing.export(settings, "tests"), traces.batch(TOPIC, requests) as taken:
            assert [request.traceparent for request in taken] == [NOT_SAMPLED, NOT_SAMPLED, None]
        assert collector.spans == []


def test_a_batch_that_fails_says_by_what_and_nothing_of_its_data() -> None:
    with collecting() as collector:
        with (
            tracing.export(collector.settings(), "tests"),
            pytest.raises(ValueError, match="Malade"),
            traces.batch(TOPIC, [a_request(SAMPLED)]),
        ):
            raise ValueError("Malade")
        assert [span.failed for span in collector.spans] == [True, True]
        assert not any(b"Malade" in body for body in collector.raw)
