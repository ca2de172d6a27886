"""``make bench``: how fast this version is on this machine, beside plain loops and beside another version.

What a plain loop does that stores and sends the same, with the same guarantees, is the ceiling. All are
measured in turn, round by round, so that whatever else the machine does slows them alike: read the ratios.
Prints a table of medians and writes ``.local/bench.json``.
"""

import argparse
import json
import logging
import platform
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from local.kafka import missing_tools
from shared.garbage import tune_gc
from tests.benchmarks import decisions, first_paint, in_checkout, mails, pages, traces
from tests.benchmarks.figures import CEILING, OTHER, PROJECT, Figures
from tests.benchmarks.servers import BenchmarkServers, Checkout, NotMeasured, chromium_program, sink_program

PARTS = ("decisions", "traces", "mails", "latency", "pages", "first_paint", "stack", "whole_stack")
Measurement = Callable[[], dict[str, float]]


def main() -> None:
    arguments = _arguments()
    tune_gc()
    # A topic that was made again has no leader for a moment: the producer says so, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    figures = Figures()
    checkouts = {PROJECT: Checkout()}
    if arguments.against is not None:
        checkouts[OTHER] = Checkout(arguments.against.resolve())
    with BenchmarkServers.start(arguments.broker) as servers:
        for part in arguments.parts or PARTS:
            _measure(
                part, _measurements(part, checkouts, servers, arguments.broker), arguments.rounds, figures
            )
    print(f"\n{arguments.rounds} rounds, broker: {arguments.broker}")
    print("\n".join(figures.table()))
    _write(Path(".local/bench.json"), arguments, figures)
    medians = {name: spread.median for name, spread in figures.spread(PROJECT).items()}
    if high := pages.too_slow(medians) + first_paint.too_high(medians):
        sys.exit(f"too high: {', '.join(high)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar=" | ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts (5)")
    parser.add_argument(
        "--against", type=Path, help="a checkout of another version, measured in turn with this"
    )
    parser.add_argument(
        "--broker",
        choices=["kafka", "embedded"],
        default="embedded" if missing_tools() else "kafka",
        help="Apache Kafka where this machine has Java and Maven",
    )
    return parser.parse_args()


def _measurements(
    part: str, checkouts: Mapping[str, Checkout], servers: BenchmarkServers, broker: str
) -> dict[str, Measurement]:
    """Who is measured in a part, and how."""
    match part:
        case "decisions":
            programs = {who: decisions.Program.service(checkout) for who, checkout in checkouts.items()}
            programs[CEILING] = decisions.Program.plain()
            return {
                who: partial(_run, decisions.measure, servers, program) for who, program in programs.items()
            }
        case "traces":
            program = decisions.Program.service(checkouts[PROJECT])
            return {
                PROJECT: partial(_run, traces.measure, servers, program),
                CEILING: partial(_run, traces.measure_without, servers, program),
            }
        case "mails" if sink_program() is None:
            print("mails are not measured: smtp-sink is missing (Debian's postfix)")
            return {}
        case "mails":
            services: dict[str, Measurement] = {
                who: partial(_run, mails.measure, servers, checkout) for who, checkout in checkouts.items()
            }
            return services | {CEILING: partial(_run, mails.measure_plain)}
        case "first_paint" if chromium_program() is None:
            print("first paint is not measured: Chromium is missing (Debian's chromium-headless-shell)")
            return {}
        case "latency" | "whole_stack":
            options = [f"on_kafka={json.dumps(broker == 'kafka')}", "SECONDS=10"]
        case "pages":
            options = ["REQUESTS=60"]
        case _:
            options = []
    measurements: dict[str, Measurement] = {
        who: partial(_in, checkout, part, *options)
        for who, checkout in checkouts.items()
        if checkout.has_benchmark(part)
    }
    if part == "whole_stack":
        measurements[CEILING] = partial(_run, decisions.measure_plain_steps, servers)
    return measurements


def _measure(part: str, measurements: Mapping[str, Measurement], rounds: int, figures: Figures) -> None:
    """Measure all in turn, the other way round in every second round, so that nobody is always first."""
    for number in range(rounds):
        in_turn = list(measurements.items())
        for who, measure in in_turn if number % 2 else reversed(in_turn):
            began = time.monotonic()
            measured = measure()
            figures.add(who, measured)
            shown = ", ".join(f"{name} {value:,.0f}" for name, value in measured.items())
            print(
                f"{part}, round {number + 1}, {who}: {shown} ({time.monotonic() - began:.0f} s)", flush=True
            )


def _run(measure: Callable[..., Coroutine[Any, Any, dict[str, float]]], *arguments: Any) -> dict[str, float]:
    return uvloop.run(measure(*arguments))


def _in(checkout: Checkout, part: str, *options: str) -> dict[str, float]:
    """Measure with a version's own benchmark, which knows its tables, in its own folder."""
    printed = checkout.run(in_checkout.__file__, part, *options, settings={})
    figures: dict[str, float] = json.loads(printed.splitlines()[-1])
    return figures


def _write(target: Path, arguments: argparse.Namespace, figures: Figures) -> None:
    run = {
        "machine": platform.processor() or platform.machine(),
        "broker": arguments.broker,
        "rounds": arguments.rounds,
        "against": arguments.against and str(arguments.against),
    }
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(run | figures.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except NotMeasured as problem:
        sys.exit(str(problem))
