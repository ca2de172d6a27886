"""``make proof``: whether the promises hold while parts are killed, stopped and cut off.

Its parts, in this order:

- models: all states of the models of the protocols;
- schedules: product code on Postgres, in orders that seeds draw;
- mutants: breaks of the protocols, each of which must be caught;
- faults: chosen faults, one after the other, on services as processes. ``make faults`` plays this part alone;
- run: clients of a whole stack on Apache Kafka, under faults that a seed draws. The checker compares what
  they did with what is left.

Writes ``.local/proof.json``. Figures of other parts stay there while the commit is the same. The exit code is
1 if a promise is broken.
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from local.postgres import PostgresServer
from tests.mutants.drawing import ROOT
from tests.proof.checker import PROMISES, broken_promises, figures
from tests.proof.consuming import ConsumingProtocol
from tests.proof.events_in_turn import EventWorld
from tests.proof.evidence import DECISIONS, REQUESTS, Evidence
from tests.proof.explorer import explore
from tests.proof.feeds import FeedProtocol
from tests.proof.letters_in_turn import LetterWorld, queue_letters
from tests.proof.publishing import PublishingProtocol
from tests.proof.run import RunOptions, RunResult, play
from tests.proof.schedules import NewWorld, Points, ScheduledDatabase, shrunk
from tests.proof.schedules import play as play_schedule
from tests.proof.sending import SendingProtocol
from tests.proof.trials import outages, restarts, restored, sleeping_relay, stalls
from tests.support.databases import MigratedDatabases, migrated_databases

LOCAL = ROOT / ".local"
REQUESTS_OF_PIECE, IN_BULK = 5_000, 45_000
"""Of a piece, and of the run without options."""
TRIALS = {
    "outages": outages.play,
    "stalls": stalls.play,
    "restarts": restarts.play,
    "restored": restored.play,
    "sleeping relay": sleeping_relay.play,
}


class ProofReport:
    """``.local/proof.json``, with figures of one commit."""

    def __init__(self, path: Path) -> None:
        git = ["git", "rev-parse", "HEAD"]
        commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        before = json.loads(path.read_text()) if path.exists() else {}
        self.figures: dict[str, Any] = before if before.get("commit") == commit else {"commit": commit}
        self._path = path

    def put(self, **found: Any) -> None:
        self.figures |= found
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(self.figures, indent=2) + "\n")


class Proof:
    """Each part returns whether all holds. ``make proof HOURS=…`` plays the parts of a piece again."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._report = ProofReport(LOCAL / "proof.json")
        self._seed: int = arguments.seed
        self._points = Points()
        self._schedules = 0
        self._pieces: list[dict[str, Any]] = []

    def play(self) -> bool:
        parts: dict[str, Callable[[], bool]] = {
            "models": self.models,
            "schedules": self.schedules,
            "mutants": self.mutants,
            "faults": self.faults,
            "run": self.run,
        }
        chosen = self._arguments.only or list(parts)
        end = time.monotonic() + self._arguments.hours * 3600
        broken = [part for part in chosen if not parts[part]()]
        while not broken and time.monotonic() < end:
            self._seed += 1
            broken = [part for part in chosen if part in {"schedules", "run"} and not parts[part]()]
        print(f"Not all holds: {', '.join(broken)}" if broken else "All holds.")
        return not broken

    def models(self) -> bool:
        models: list[Any] = [PublishingProtocol(), ConsumingProtocol(), SendingProtocol(), FeedProtocol()]
        explored = {type(model).__name__: explore(model) for model in models}
        for name, states in explored.items():
            print(f"{name}: {states}", flush=True)
        self._report.put(states={name: states.states for name, states in explored.items()})
        return all(states.broken is None for states in explored.values())

    def schedules(self) -> bool:
        logging.disable(logging.CRITICAL)  # of thousands of faults
        number = self._arguments.schedules
        try:
            with PostgresServer.temporary() as postgres, migrated_databases(postgres) as databases:
                holds = asyncio.run(self._play_schedules(databases, number))
        finally:
            logging.disable(logging.NOTSET)
        seen, left = self._points.seen, sorted(self._points.seen - self._points.visited)
        points = {"visited": len(seen) - len(left), "total": len(seen), "left": left}
        self._report.put(schedules=self._schedules, points=points)
        print(f"{self._schedules} schedules, points: {points}", flush=True)
        return holds

    async def _play_schedules(self, databases: MigratedDatabases, number: int) -> bool:
        worlds: dict[str, NewWorld] = {"enrolment": EventWorld, "notifier": LetterWorld}
        for service, new_world in worlds.items():
            url = databases.empty(service)
            if service == "notifier":
                await queue_letters(url)
            database = ScheduledDatabase(url)
            database.points = self._points
            try:
                for seed in range(self._seed * number, (self._seed + 1) * number, len(worlds)):
                    found = await play_schedule(new_world, database, seed)
                    self._schedules += 1
                    if found is not None:
                        print(f"{service}: {await shrunk(new_world, database, found)}", flush=True)
                        return False
            finally:
                await database.close()
        return True

    def mutants(self) -> bool:
        command = [sys.executable, "-m", "tests.mutants", "--only", "protocol"]
        subprocess.run(command, cwd=ROOT, check=False)
        records = json.loads((LOCAL / "mutants.json").read_text())
        caught = [record["caught_by"] is not None for record in records if record["kind"] == "protocol"]
        self._report.put(mutants={"caught": sum(caught), "total": len(caught)})
        return all(caught)

    def faults(self) -> bool:
        broken: dict[str, list[str]] = {}
        waits: dict[str, list[float]] = {}
        for name, play_trial in TRIALS.items():
            print(f"        --- {name}", flush=True)
            result = play_trial()
            broken[name] = result.faults
            waits |= result.waits
            print(*(f"{name}: {fault}" for fault in result.faults), sep="\n", flush=True)
        recovery = {
            what: {"median": round(median(seconds), 2), "max": round(max(seconds), 2)}
            for what, seconds in waits.items()
            if seconds
        }
        self._report.put(trials=broken, recovery_s=recovery)
        return not any(broken.values())

    def run(self) -> bool:
        arguments = self._arguments
        options = RunOptions(
            self._seed,
            arguments.requests,
            arguments.bulk,
            arguments.faults,
            arguments.rate,
            LOCAL / "proof",
            arguments.clock,
        )
        print(options, flush=True)
        self._pieces.append(_piece(options, play(options)))
        counted = {promise.figure for promise in PROMISES} | {"requests", "letters", "letters_in_doubt"}
        self._report.put(
            faults=sum(sum(piece["faults"].values()) for piece in self._pieces),
            **{figure: sum(piece[figure] for piece in self._pieces) for figure in sorted(counted)},
            pieces=self._pieces,
        )
        return not self._pieces[-1]["broken"]


def _piece(options: RunOptions, result: RunResult) -> dict[str, Any]:
    before = time.process_time()
    broken = broken_promises(result.evidence)
    cpu = {**result.cpu, "checker": time.process_time() - before}
    counts = _counts(result.evidence)
    for promise in broken:
        print(promise, flush=True)
    piece = {
        "seed": options.seed,
        "faults": dict(result.faults),
        **counts,
        **figures(broken),
        "broken": [str(promise) for promise in broken],
        "seconds": round(result.seconds),
        "cpu_ms": {part: round(1_000 * spent / counts["requests"], 2) for part, spent in cpu.items()},
        "quiet_after": round(result.quiet_after),
    }
    held = len(PROMISES) - len(broken)
    print(
        f"{held} of {len(PROMISES)} promises hold after {result.faults.total()} faults: {piece}", flush=True
    )
    return piece


def _counts(evidence: Evidence) -> dict[str, Any]:
    return {
        "operations": dict(Counter(operation.state for operation in evidence.operations)),
        "requests": len(evidence.of_topic(REQUESTS)),
        "decisions": dict(Counter(record.name for record in evidence.of_topic(DECISIONS))),
        "letters": len(evidence.letters),
        "letters_in_doubt": sum(mail.state == "ambiguous" for mail in evidence.mails),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make proof ARGS=…", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=["models", "schedules", "mutants", "faults", "run"], help="these parts"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="draws schedules, plan and faults; the next piece has the next"
    )
    parser.add_argument("--schedules", type=int, default=1_000, help="schedules of a piece")
    parser.add_argument("--requests", type=int, default=REQUESTS_OF_PIECE, help="steps of a piece")
    parser.add_argument("--bulk", type=int, default=IN_BULK, help="seats asked for in bulk beside them")
    parser.add_argument("--faults", type=int, default=40, help="faults of a piece")
    parser.add_argument("--rate", type=float, default=25, help="steps per second")
    parser.add_argument("--clock", action="store_true", help="the stack's clock jumps too (needs faketime)")
    parser.add_argument("--hours", type=float, default=0, help="begin no other piece after this time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(0 if Proof(_arguments()).play() else 1)
