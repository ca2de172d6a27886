"""``make bench``: where we are, on this machine, against the ceilings that were measured on one like it.

Prints a table and writes ``.local/bench.json``. Numbers move with what else the machine does: read ratios.
With names (``make bench ARGS=latency``), only those; ``latency-on-kafka`` is run by name alone.
"""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import uvloop

from shared.process import spare_the_collector
from tests.benchmarks import decisions, latency, mails, pages

CEILINGS = {
    "decisions_per_second": 22_000,
    "relayed_per_second": 22_500,
    "mails_sent_per_second": 1_500,
}
"""Measured with raw asyncpg, aiokafka and email.mime on a quiet machine of two cores, fast and bare:

a transaction per 500 decisions; a relay by 2,000 with an update of each row; a mail with its calendar, built
and not sent.
"""


BENCHMARKS: dict[str, Callable[[], dict[str, float]]] = {
    "decisions": lambda: uvloop.run(decisions.run()),
    "mails": lambda: uvloop.run(mails.run()),
    "latency": lambda: uvloop.run(latency.run()),
    "pages": pages.run,
    "latency-on-kafka": lambda: uvloop.run(latency.run(on_kafka=True)),
}
USUAL = ("decisions", "mails", "latency", "pages")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar=" | ".join(BENCHMARKS))
    names = parser.parse_args().names or USUAL
    spare_the_collector()
    results: dict[str, float] = {}
    for name in names:
        results |= BENCHMARKS[name]()
    for name, value in results.items():
        ceiling = CEILINGS.get(name)
        share = f"  {value / ceiling:6.0%} of the ceiling" if ceiling else ""
        print(f"{name:40} {value:12,.0f}{share}")
    target = Path(".local/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(
        json.dumps({"machine": platform.processor() or platform.machine(), **results}, indent=2)
    )


if __name__ == "__main__":
    main()
