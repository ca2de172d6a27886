"""What traces cost: decisions of one process with one trace in a hundred exported, and with none.

The ceiling is the same process without them; the aim is no more than 3 % below it.
"""

from tests.benchmarks import decisions
from tests.benchmarks.decisions import Program
from tests.benchmarks.servers import BenchmarkServers, NotMeasured
from tests.support.otlp import collecting

SAMPLED = "0.01"


async def measure(servers: BenchmarkServers, program: Program) -> dict[str, float]:
    """With a collector of traces, which must hear of some."""
    with collecting() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_TRACES_SAMPLER_ARG": SAMPLED}
        figures = await decisions.measure(servers, program, settings)
    if not collector.spans:
        raise NotMeasured("no span was exported")
    return _named(figures)


async def measure_without(servers: BenchmarkServers, program: Program) -> dict[str, float]:
    return _named(await decisions.measure(servers, program))


def _named(figures: dict[str, float]) -> dict[str, float]:
    """Decisions are a part of their own, with a ceiling of its own."""
    return {f"traced_{name}": value for name, value in figures.items()}
