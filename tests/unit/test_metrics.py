"""What a process says of its build and its requests; which metrics there are is what operators read."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Response
from prometheus_client import REGISTRY

from services.notifier.letters import LetterType
from shared.http import Probes, add_operations, new_api
from shared.process.jobs import Job, repeat
from tests.support.guards import a_guard
from tests.support.metrics import existing, listed
from tests.support.processes import ROOT
from tests.support.prometheus import rules


def test_of_each_metric_a_test_reads_the_value_or_an_alert_does_that_is_caused_for_real() -> None:
    """What is there and never counted would stand at 0 for years: nothing else would notice."""
    tests = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    asked = " ".join([*tests, *(rule["expr"] for rule in rules().values())])
    read = set(re.findall(r"parcours_\w+", asked))
    ends = ("", "_bucket", "_count")
    assert [name for name in listed() if not read & {name + end for end in ends}] == []


async def test_what_has_not_failed_yet_is_at_0_or_its_first_failure_would_be_no_increase() -> None:
    async def never() -> float | None:
        raise AssertionError

    existing()
    stopping = asyncio.Event()
    stopping.set()
    await repeat(Job("never", 1, never), stopping)
    refused = {"event": "signature", "outcome": "refused"}
    assert REGISTRY.get_sample_value("parcours_job_failures_total", {"name": "never"}) == 0
    assert REGISTRY.get_sample_value("parcours_security_events_total", refused) is not None
    for template in LetterType:
        labels = {"template": template.value}
        assert REGISTRY.get_sample_value("parcours_mail_render_failures_total", labels) is not None


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    api: FastAPI = new_api("test", "Tests.", a_guard())

    @api.get("/counted/{number}")
    async def answer(number: int) -> Response:
        return Response(status_code=number)

    @api.get("/counted-fails")
    async def fail() -> None:
        raise RuntimeError

    async def ready() -> str | None:
        return None

    add_operations(api, Probes(live=lambda: None, ready=ready, consuming=lambda: None))
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def counted(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("parcours_http_requests_total", labels) or 0.0


@pytest.mark.parametrize(
    ("method", "path", "kept"),
    [
        ("GET", "/counted/204", ("GET", "/counted/{number}", 204)),
        ("HEAD", "/counted/404", ("GET", "/counted/{number}", 404)),
        ("GET", "/counted/no-number", ("GET", "/counted/{number}", 422)),
        ("POST", "/counted/204", ("POST", "/counted/{number}", 405)),
        ("GET", "/counted-fails", ("GET", "/counted-fails", 500)),
        ("GET", "/of-nobody/12345", ("GET", "none", 404)),
    ],
)
async def test_a_request_is_counted_by_its_route_and_never_by_its_path(
    client: httpx.AsyncClient, method: str, path: str, kept: tuple[str, str, int]
) -> None:
    before = counted(*kept)
    timed = REGISTRY.get_sample_value("parcours_http_seconds_count", {"route": kept[1]}) or 0.0
    await client.request(method, path)
    assert counted(*kept) == before + 1
    assert REGISTRY.get_sample_value("parcours_http_seconds_count", {"route": kept[1]}) == timed + 1


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/consuming", "/metrics"])
async def test_health_and_metrics_are_not_counted(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200
    assert counted("GET", path, 200) == 0


def test_the_operators_guide_lists_each_metric_with_its_labels_and_no_other() -> None:
    assert {name: found.labels for name, found in listed().items()} == existing()
    assert {found.of for found in listed().values()} == {"process", "database"}
