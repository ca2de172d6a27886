"""``make faults``: the demonstration while its processes are killed; it must come out as without.

Once the portals publish, something dies every few seconds: enrolment by SIGKILL, Postgres and (on Apache
Kafka) the broker once each by SIGKILL, catalogue and notifier by SIGTERM. A SIGKILL of the notifier may leave
a mail *ambiguous*, of which the demonstration's model cannot know; ``tests/integration/notifier`` proves
that mail by mail. A SIGKILL of the catalogue may cut the answer to an organiser, who does not ask again here.
Before it two processes under load are replaced one after the other, and one is killed. On Apache Kafka a
service's topics are made again, its servers hang and die, the ways to them stall, all databases are lost and
put back, a relay is stopped within a pass, which must publish nothing when it wakes, and each alert is made
to fire by its cause and ended by what its page says.
Writes ``.local/faults.json`` and ends with the demonstration's exit code.
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
from tests.faults import alerts, outages, restarts, restored, sleeping_relay, stalls

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
    unheard = alerts.play() if on_kafka else []
    for line in unheard:
        print(f"operators would not hear of it, or not be led: {line}")
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
        "alerts_that_failed": unheard,
        **result,
    }
    (LOCAL / "faults.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"seed {arguments.seed}: {faults.total()} faults {dict(faults)}, exit code {exit_code}")
    return exit_code if faults and not (stale or deaf or gaps or lost or unheard) else 1


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
