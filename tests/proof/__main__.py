"""``make proof``: whether the promises hold while parts are killed, stopped and cut off.

First all states of the models of the protocols are visited. Then clients send requests to a whole stack on
Apache Kafka, under faults that a seed draws, and the checker compares what they did with what is left.
Writes ``.local/proof.json``. The exit code is 1 if a promise is broken.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.proof.checker import PROMISES, broken_promises, figures
from tests.proof.consuming import ConsumingProtocol
from tests.proof.evidence import DECISIONS, REQUESTS, Evidence
from tests.proof.explorer import explore
from tests.proof.feeds import FeedProtocol
from tests.proof.publishing import PublishingProtocol
from tests.proof.run import RunOptions, RunResult, play
from tests.proof.sending import SendingProtocol

LOCAL = Path(".local")
PIECE = 20_000
"""Requests of a piece, and of the run without options."""


def main() -> int:
    arguments = _arguments()
    LOCAL.mkdir(exist_ok=True)
    began, seed, states = time.monotonic(), arguments.seed, _explore()
    pieces: list[dict[str, Any]] = []
    while True:
        options = RunOptions(seed, arguments.requests, arguments.faults, arguments.rate, LOCAL / "proof")
        print(f"Piece {len(pieces) + 1}: {options.requests} requests, {options.faults} faults, seed {seed}")
        pieces.append(_report(options, play(options)))
        _write(pieces, states)
        if _is_broken(pieces[-1]) or time.monotonic() - began > arguments.hours * 3600:
            break
        seed += 1
    return 1 if _is_broken(pieces[-1]) else 0


def _explore() -> dict[str, int]:
    """Visit all states of the models. Raises ``AssertionError`` if one breaks a promise."""
    states = {}
    models: list[Any] = [PublishingProtocol(), ConsumingProtocol(), SendingProtocol(), FeedProtocol()]
    for model in models:
        explored = explore(model)
        assert explored.broken is None, explored
        states[type(model).__name__] = explored.states
        print(f"{type(model).__name__}: {explored}", flush=True)
    return states


def _report(options: RunOptions, result: RunResult) -> dict[str, Any]:
    broken = broken_promises(result.evidence)
    for promise in broken:
        print(promise, flush=True)
    report = {
        "seed": options.seed,
        "faults": dict(result.faults),
        **_counts(result.evidence),
        **figures(broken),
        "broken": [str(promise) for promise in broken],
        "seconds": round(result.seconds),
        "quiet_after": round(result.quiet_after),
    }
    held = len(PROMISES) - len(broken)
    print(
        f"{held} of {len(PROMISES)} promises hold after {result.faults.total()} faults: {report}", flush=True
    )
    return report


def _counts(evidence: Evidence) -> dict[str, Any]:
    return {
        "operations": dict(Counter(operation.state for operation in evidence.operations)),
        "requests": len(evidence.of_topic(REQUESTS)),
        "decisions": dict(Counter(record.name for record in evidence.of_topic(DECISIONS))),
        "letters": len(evidence.letters),
        "letters_in_doubt": sum(mail.state == "ambiguous" for mail in evidence.mails),
    }


def _is_broken(report: dict[str, Any]) -> bool:
    return bool(report["broken"])


def _write(pieces: list[dict[str, Any]], states: dict[str, int]) -> None:
    counted = {promise.figure for promise in PROMISES} | {"requests", "letters", "letters_in_doubt"}
    report = {
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "states": states,
        "faults": sum(sum(piece["faults"].values()) for piece in pieces),
        **{figure: sum(piece[figure] for piece in pieces) for figure in sorted(counted)},
        "pieces": pieces,
    }
    (LOCAL / "proof.json").write_text(json.dumps(report, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make proof ARGS=…", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=1, help="draws the plan and the faults; the next piece has the next"
    )
    parser.add_argument("--requests", type=int, default=PIECE, help="steps of a piece")
    parser.add_argument("--faults", type=int, default=40, help="faults of a piece")
    parser.add_argument("--rate", type=float, default=40, help="steps per second")
    parser.add_argument("--hours", type=float, default=0, help="begin no other piece after this time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
