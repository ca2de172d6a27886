"""``make mutants``: breaks the product in 60 places, one at a time, and says which breaks the tests catch.

Then it breaks the rules of the protocols in ``protocol.toml``. Only the tests that are named there may catch
such a break.

Works on copies of the tree, two at a time. The test that caught a break the last time runs first. Which other
tests run for it is known from a run without a break, which records the lines that each test file runs.
`.local/mutants` keeps both, the lines until the test file changes. Writes `.local/mutants.json`.
"""

import argparse
import hashlib
import itertools
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.mutants import drawing
from tests.mutants.drawing import ROOT, Mutant, ProductFile

NUMBER, ENOUGH, SIDE_BY_SIDE = 60, 57, 2
ALWAYS_CAUGHT = {"locks", "order", "inbox", "fences", "erasure", "signatures", "protocol"}
BATCHES = (0, 8, 40, 1000)
"""Test files in the first run of pytest for a break, in the second, and so on."""
SECONDS, TEST_SECONDS = 3600, 600
SCHEDULES = "15"
"""So many schedules are played on a break. `make test` plays fewer."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - |$)", re.MULTILINE)
_SLOW = re.compile(r"^E .*(Timeout|within|seconds)", re.MULTILINE)
_TRIES = 3
_PROCESS = re.compile(r"run_service|run_cli|Forked")
_PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-p",
    "no:cacheprovider",
    f"--timeout={TEST_SECONDS}",
    "--tb=short",
]
_KILLERS = ROOT / ".local" / "mutants" / "killers.json"
_IN_PROCESS = ["-m", "not kafka and not browser and not docker"]
_MAPPED = ("tests/unit", "tests/contract", "tests/integration", ":!tests/*/local/*", ":!tests/*/*versions*")

LinesReached = dict[str, dict[str, Any]]
"""By test file: its digest, its seconds, which tests fail, and the places of the product that it runs."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="draws other places (1)")
    parser.add_argument(
        "--only", default="", help="mutants with this text in their class, path or description"
    )
    parser.add_argument("--list", action="store_true", help="print the mutants and break nothing")
    options = parser.parse_args()
    if not hasattr(sys, "monitoring"):
        parser.error("Python 3.12 or newer is needed: older ones cannot tell which lines a test runs")
    sources = drawing.product()
    mutants, lost = drawing.named(sources)
    mutants += drawing.drawn(sources, options.seed, NUMBER - len(mutants) - len(lost), mutants)
    mutants = [mutant for mutant in mutants if options.only in f"{mutant.kind} {mutant}"]
    of_protocol, lost_of_protocol = drawing.named(sources, "protocol.toml")
    mutants += [mutant for mutant in of_protocol if options.only in f"{mutant.kind} {mutant}"]
    for place in (lost := lost + lost_of_protocol):
        print(f"To be anchored anew in tests/mutants: {place}")
    if options.list:
        print(*(f"{mutant.kind:10} {mutant}" for mutant in mutants), sep="\n")
        return 0
    killers: dict[str, str] = json.loads(_KILLERS.read_text()) if _KILLERS.exists() else {}
    with TemporaryDirectory(prefix="parcours-mutants-") as folder:
        copies = [copied(Path(folder) / str(number)) for number in range(SIDE_BY_SIDE)]
        caught = play({mutant: _first(mutant, killers.get(mutant.key)) for mutant in mutants}, copies)
        if rest := [mutant for mutant in mutants if mutant not in caught and mutant not in of_protocol]:
            reached = lines_reached(sources, copies[0])
            caught |= play({mutant: batches(mutant, reached) for mutant in rest}, copies)
    _KILLERS.parent.mkdir(parents=True, exist_ok=True)
    _KILLERS.write_text(json.dumps(killers | {mutant.key: test for mutant, test in caught.items()}, indent=1))
    fields = ("kind", "path", "function", "operator", "before", "after")
    records = [
        {name: getattr(mutant, name) for name in fields} | {"caught_by": caught.get(mutant)}
        for mutant in mutants
    ]
    (ROOT / ".local" / "mutants.json").write_text(json.dumps(records, indent=1))
    survivors = [mutant for mutant in mutants if mutant not in caught]
    print(*(f"SURVIVED   {mutant.kind:10} {mutant}" for mutant in survivors), sep="\n")
    print(f"{len(caught)} of {len(mutants)} breaks were caught, seed {options.seed}")
    score = sum(mutant in caught for mutant in of_protocol)
    print(
        f"{score} of {sum(mutant in mutants for mutant in of_protocol)} breaks of the protocols were caught"
    )
    too_few = len(survivors) > NUMBER - ENOUGH or any(mutant.kind in ALWAYS_CAUGHT for mutant in survivors)
    return int(bool(lost) or too_few)


def _first(mutant: Mutant, killer: str | None) -> list[list[str]]:
    """Return the test that caught the mutant the last time, then those that its file names."""
    known = [[killer]] if killer is not None and _is_there(killer) else []
    return [*known, *([list(mutant.tests)] if mutant.tests else [])]


def _is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    return bool(name) and (ROOT / file).exists() and f"def {name}(" in (ROOT / file).read_text()


def copied(folder: Path) -> Path:
    """Copy what Git knows of the tree, with what is not committed yet."""
    for name in _files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def _files(*folders: str) -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def lines_reached(sources: dict[str, ProductFile], copy: Path) -> LinesReached:
    """Return which places of the product each test file runs; run those that changed since that was known."""
    kept = ROOT / ".local" / "mutants" / "reached.json"
    known: LinesReached = json.loads(kept.read_text()) if kept.exists() else {}
    digests = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in _files(*_MAPPED)}
    reached = {test: record for test, record in known.items() if record["digest"] == digests.get(test)}
    new = [name for name in digests if Path(name).name.startswith("test_") and name not in reached]
    if new:
        print(f"Running {len(new)} test files without a break, to know which lines they run", flush=True)
        with TemporaryDirectory(prefix="parcours-reached-") as folder:
            plugin = ["-p", "tests.mutants.reached", "-n", "2", "--dist", "loadfile"]
            _run([*_PYTEST, *plugin, *_IN_PROCESS, *new], copy, {"MUTANTS_REACHED": folder})
            for path in Path(folder).glob("*.json"):
                reached |= _records(sources, json.loads(path.read_text()), digests)
        for test in new:
            reached.setdefault(test, {"digest": digests[test], "seconds": 0, "failed": [], "places": {}})
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(reached))
    if failed := [test for record in reached.values() for test in record["failed"]]:
        print("These tests fail without a break, and are left out:", *failed, sep="\n  ")
    return reached


def _records(sources: dict[str, ProductFile], part: dict[str, Any], digests: dict[str, str]) -> LinesReached:
    records: LinesReached = {}
    for test, seconds in part["seconds"].items():
        places: dict[str, dict[str, list[int]]] = {}
        for path, lines in part["lines"].get(test, {}).items():
            for function, number in (sources[path].places[line] for line in lines if path in sources):
                places.setdefault(path, {}).setdefault(function, []).append(number)
        failed = [failed for failed in part["failed"] if failed.startswith(f"{test}::")]
        records[test] = {"digest": digests[test], "seconds": seconds, "failed": failed, "places": places}
    return records


def play(tests: dict[Mutant, list[list[str]]], copies: list[Path]) -> dict[Mutant, str]:
    """Try each mutant with its batches of tests. Return the test that catches it, by mutant."""
    free: queue.Queue[Path] = queue.Queue()
    for copy in copies:
        free.put(copy)

    def try_one(mutant: Mutant) -> str | None:
        copy = free.get()
        try:
            killer = next(filter(None, (killer_in(batch, mutant, copy) for batch in tests[mutant])), None)
        finally:
            free.put(copy)
        print(f"{mutant.kind:10} {mutant}\n{'':10} {killer or 'not caught by these tests'}", flush=True)
        return killer

    with ThreadPoolExecutor(len(copies)) as pool:
        caught = zip(tests, pool.map(try_one, tests), strict=True)
        return {mutant: killer for mutant, killer in caught if killer is not None}


def killer_in(batch: list[str], mutant: Mutant, copy: Path) -> str | None:
    """Return the first of these tests that fails on a mutant, without the values of its parameters."""
    for _ in range(_TRIES):
        failed = _FAILED.search(_run_broken([*_PYTEST, "-x", "--hypothesis-seed=0", *batch], copy, mutant))
        if failed is None:
            return None
        # A test that waits in vain may only be slow: it must pass on the sound product.
        if not _SLOW.search(failed.string) or not _FAILED.search(_run([*_PYTEST, failed[1]], copy, {})):
            return failed[1].partition("[")[0]
        print(f"{failed[1]} is too slow for this machine and proves nothing", flush=True)
    return None


def _run_broken(command: list[str], copy: Path, mutant: Mutant) -> str:
    file = copy / mutant.path
    sound = file.read_bytes()
    try:
        file.write_bytes(sound[: mutant.start] + mutant.after.encode() + sound[mutant.end :])
        return _run(command, copy, {"SCHEDULES": SCHEDULES})
    finally:
        file.write_bytes(sound)


def batches(mutant: Mutant, reached: LinesReached) -> list[list[str]]:
    """Return the test files that run a line of the mutant: first those of its service, then by their time.

    Where none does, those that run its function, else those that start services as processes. A break of
    messaging meets Kafka last.
    """

    def runs(record: dict[str, Any], path: str, function: str, number: int | None) -> bool:
        numbers = record["places"].get(path, {}).get(function, ())
        return bool(numbers) if number is None else number in numbers

    functions = {(path, function, None) for path, function, _ in mutant.places}
    found: list[str] = []
    for places in (mutant.places, functions):
        found = found or [
            test for test, record in reached.items() if any(runs(record, *place) for place in places)
        ]
    if not found:
        found = [name for name in _files("tests/integration") if _PROCESS.search((ROOT / name).read_text())]
    service = mutant.path.split("/")[1]
    found.sort(key=lambda test: (service not in test, reached.get(test, {}).get("seconds", 0)))
    unfit = [f"--deselect={test}" for record in reached.values() for test in record["failed"]]
    slices = [found[first:last] for first, last in itertools.pairwise(BATCHES)]
    in_process = [[*_IN_PROCESS, *unfit, *files] for files in slices if files]
    kafka = [name for name in _files("tests/integration/messaging") if Path(name).name.startswith("test_")]
    on_kafka = [["-m", "kafka", *kafka]] if service == "messaging" else []
    return [*in_process, *on_kafka]


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run pytest in a copy; return what it wrote."""
    with subprocess.Popen(
        command, cwd=folder, env=os.environ | environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    # 5: no test was selected; 2: a test file could not be imported.
    if process.returncode not in (0, 1, 5) and not _FAILED.search(output):
        raise RuntimeError(f"pytest ended with {process.returncode}:\n{output[-3000:]}")
    return output


if __name__ == "__main__":
    sys.exit(main())
