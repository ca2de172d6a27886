"""``make faults``: the demonstration while its processes are killed. Its result must be the same as without.

On Apache Kafka these faults come first, each under load: processes are replaced and killed one after the
other, the topics of a service are made again, servers hang and die, connections stall, all databases are lost
and restored, and a relay sleeps in the middle of a pass and must publish nothing when it wakes.

Then the demonstration runs. Every few seconds a process dies: enrolment by SIGKILL, Postgres and (on Apache
Kafka) the broker once each by SIGKILL, catalogue and notifier by SIGTERM. A SIGKILL of the notifier may leave
a mail *ambiguous*, which the demonstration's model cannot know; ``tests/integration/notifier`` proves that
case. A SIGKILL of the catalogue may cut the answer to an organiser, and the demonstration does not ask again.

Writes ``.local/faults.json``. The exit code is that of the demonstration.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from local.kafka import missing_tools
from tests.faults import outages, restarts, restored, sleeping_relay, stalls

LOCAL = Path(".local")
PAUSE_SECONDS = (2.0, 5.0)
HOLD_SECONDS = "45"
"""How long a seat is held: longer than a broker is away, or agents could not answer in time."""
LAST_FAULT_SECONDS = 40.0
"""After that the day must be able to end."""


def main() -> int:
    """Play with faults; returns the exit code."""
    arguments = _arguments()
    LOCAL.mkdir(exist_ok=True)
    on_kafka = arguments.broker == "kafka"
    deaf = [*outages.play(), *stalls.play()] if on_kafka else []
    gaps = restarts.play_on_each(with_kafka=on_kafka)
    for line in gaps:
        print(f"too long without an answer: {line}")
    lost = restored.play() if on_kafka else []
    for line in lost:
        print(f"after a restore of the databases: {line}")
    for line in deaf:
        print(f"a service did not say that it was cut off, or did not heal: {line}")
    stale = sleeping_relay.play() if on_kafka else []
    for line in stale:
        print(f"a relay that slept published what is old: {line}")
    with TemporaryDirectory(prefix="parcours-faults-") as folder:
        directory = Path(folder) / "local"
        command = ["local", "demo", "--directory", str(directory), "--broker", arguments.broker]
        command += ["--scale", "enrolment=2 notifier=2"]
        demo = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ENROLMENT_LONGEST_HOLD_SECONDS": HOLD_SECONDS},
        )
        publishing = threading.Event()
        threading.Thread(target=_print_output, args=(demo, publishing), daemon=True).start()
        publishing.wait()
        choices = random.Random(arguments.seed)
        faults = _cause_faults(demo, directory / "stack.json", choices, with_broker=on_kafka)
        exit_code = demo.wait()
        figures = directory / "demo.json"
        result = json.loads(figures.read_text()) if figures.exists() else {}
    report = {
        "seed": arguments.seed,
        "broker": arguments.broker,
        "faults": faults,
        "exit_code": exit_code,
        "outages_not_healed": deaf,
        "gaps_while_processes_are_replaced": gaps,
        "faults_after_a_restore": lost,
        "stale_keys_of_a_sleeping_relay": len(stale),
        **result,
    }
    (LOCAL / "faults.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"seed {arguments.seed}: {faults.total()} faults {dict(faults)}, exit code {exit_code}")
    return exit_code if faults and not (stale or deaf or gaps or lost) else 1


def _print_output(demo: "subprocess.Popen[str]", publishing: threading.Event) -> None:
    """Print what the demonstration prints; set the event when its portals have begun to publish."""
    assert demo.stdout is not None
    for line in demo.stdout:
        print(line, end="", flush=True)
        if "records published" in line:
            publishing.set()
    publishing.set()


def _cause_faults(
    demo: "subprocess.Popen[str]", description: Path, choices: random.Random, *, with_broker: bool
) -> Counter[str]:
    """Kill processes while the demonstration runs; return how many of each part."""
    faults: Counter[str] = Counter()
    once = ["postgres", "kafka"] if with_broker else ["postgres"]
    end = time.monotonic() + LAST_FAULT_SECONDS
    while demo.poll() is None and time.monotonic() < end:
        time.sleep(choices.uniform(*PAUSE_SECONDS))
        if not description.exists():
            break
        pids = json.loads(description.read_text())["pids"]
        is_server = once and choices.random() < 0.3
        part = once.pop() if is_server else choices.choice(["catalogue", "enrolment", "notifier"])
        if not pids[part]:
            continue
        signal_number = signal.SIGTERM if part in ("catalogue", "notifier") else signal.SIGKILL
        try:
            os.kill(choices.choice(pids[part]), signal_number)
        except ProcessLookupError:  # it is just being started again
            continue
        faults[part] += 1
        print(f"        {signal_number.name} to {part}", flush=True)
    return faults


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults ARGS=…", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="repeats a run's choices")
    parser.add_argument(
        "--broker",
        choices=["embedded", "kafka"],
        default="embedded" if missing_tools() else "kafka",
        help="Apache Kafka where this machine has Java and Maven",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
