"""Which requests are traced, and that those who trace nothing pay nothing."""

import subprocess
import sys
from uuid import uuid4

import pytest
from pydantic import ValidationError

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


def test_who_exports_nothing_imports_no_sdk_and_passes_the_trace_on() -> None:
    with tracing.export(TracingSettings(otel_exporter_otlp_endpoint=""), "tests"):
        assert not tracing.is_on()
        requests = [a_request(SAMPLED), a_request(None)]
        with traces.batch(TOPIC, requests) as taken:
            assert taken is requests
        assert traces.accepted(requests[0]) == SAMPLED
        assert traces.created(requests[0].event, uuid4(), "/tests", SAMPLED) == SAMPLED
        with traces.publishing([], []) as contexts:
            assert contexts == {}
    program = (
        "import sys, services.enrolment.app, services.notifier.app, services.catalogue.app\n"
        "sys.exit('opentelemetry.sdk' in sys.modules or 'opentelemetry.exporter' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_portal_that_traces_all_is_followed_up_to_the_ratio() -> None:
    budget = Budget(0.01)
    assert sum(budget.allows(wanted=True) for _ in range(100_000)) == pytest.approx(1_000 + BURST, abs=2)


def test_a_portal_that_traces_as_many_as_the_ratio_is_followed_always() -> None:
    budget = Budget(0.01)
    for number in range(100_000):
        is_traced = number % 100 == 0
        assert budget.allows(wanted=is_traced) == is_traced


def test_what_a_portal_does_not_trace_is_not_traced() -> None:
    assert not any(Budget(1).allows(wanted=False) for _ in range(1_000))


def test_requests_without_a_trace_are_chosen_by_the_ratio() -> None:
    assert all(Budget(1).allows(wanted=None) for _ in range(1_000))
    assert not any(Budget(0).allows(wanted=None) for _ in range(1_000))
    assert not Budget(0).allows(wanted=True)


def test_what_is_not_traced_says_so_to_whoever_comes_next() -> None:
    with collecting() as collector:
        with (
            tracing.export(collector.settings(ratio=0), "tests"),
            traces.batch(TOPIC, [a_request(SAMPLED), a_request(NOT_SAMPLED), a_request(None)]) as taken,
        ):
            assert [request.traceparent for request in taken] == [NOT_SAMPLED, NOT_SAMPLED, None]
        assert collector.spans == []


def test_a_request_without_a_trace_begins_one_and_one_by_http_goes_on_in_its_own() -> None:
    with collecting() as collector:
        with tracing.export(collector.settings(), "tests"):
            with traces.batch(TOPIC, [a_request(None)]) as taken:
                pass
            accepted = traces.accepted(a_request(SAMPLED))
        (process,) = collector.named(f"process {TOPIC}")
        (accept,) = collector.named("accept WithdrawalRequested")
        begun = str(taken[0].traceparent)
        assert begun.startswith(f"00-{process.trace_id}-{process.span_id}-")
        assert tracing.is_sampled(begun)
        assert process.parent_id == ""
        assert (accept.trace_id, accept.parent_id) == (SAMPLED[3:35], SAMPLED[36:52])
        assert accepted == f"00-{accept.trace_id}-{accept.span_id}-01"
        assert not any(b"Malade" in body for body in collector.raw)


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


@pytest.mark.parametrize(
    "wrong", [{"otel_exporter_otlp_endpoint": "collector:4317"}, {"otel_traces_sampler_arg": 2}]
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TracingSettings.model_validate(wrong)
