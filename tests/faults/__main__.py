"""``make faults``: the demonstration while its processes are killed, and its books after it.

Once the portals publish, something dies every few seconds: enrolment by SIGKILL, Postgres and (on Apache
Kafka) the broker once each by SIGKILL, catalogue and notifier by SIGTERM. A SIGKILL of the notifier may leave
a mail *ambiguous*, which the books of the demonstration cannot judge; ``tests/integration/notifier`` proves
that mail by mail. A SIGKILL of the catalogue may cut the answer to an organiser, who does not ask again here.
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

LOCAL = Path(".local")
PAUSE_SECONDS = (2.0, 5.0)
LAST_FAULT_SECONDS = 40.0
"""After that the day must be able to end."""


def main() -> int:
    """Play with faults; returns the exit code."""
    arguments = _arguments()
    dice = random.Random(arguments.seed)
    LOCAL.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="parcours-faults-") as folder:
        directory = Path(folder) / "local"
        command = ["local", "demo", "--directory", str(directory), "--broker", arguments.broker]
        command += ["--scale", "enrolment=2 notifier=2"]
        demo = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
        publishing = threading.Event()
        threading.Thread(target=_repeat, args=(demo, publishing), daemon=True).start()
        publishing.wait()
        faults = _harass(demo, directory / "stack.json", dice, with_broker=arguments.broker == "kafka")
        code = demo.wait()
        books = directory / "demo.json"
        result = json.loads(books.read_text()) if books.exists() else {}
    report = {
        "seed": arguments.seed,
        "broker": arguments.broker,
        "faults": faults,
        "exit_code": code,
        **result,
    }
    (LOCAL / "faults.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"seed {arguments.seed}: {sum(faults.values())} faults {dict(faults)}, exit code {code}")
    return code if faults else 1


def _repeat(demo: "subprocess.Popen[str]", publishing: threading.Event) -> None:
    """Say what the demonstration says, and when its portals have begun to publish."""
    assert demo.stdout is not None
    for line in demo.stdout:
        print(line, end="", flush=True)
        if "records published" in line:
            publishing.set()
    publishing.set()


def _harass(
    demo: "subprocess.Popen[str]", description: Path, dice: random.Random, *, with_broker: bool
) -> Counter[str]:
    """Kill things while the demonstration runs; returns how often which."""
    faults: Counter[str] = Counter()
    once = ["postgres", "kafka"] if with_broker else ["postgres"]
    last = time.monotonic() + LAST_FAULT_SECONDS
    while demo.poll() is None and time.monotonic() < last:
        time.sleep(dice.uniform(*PAUSE_SECONDS))
        if not description.exists():
            break
        pids = json.loads(description.read_text())["pids"]
        part = (
            once.pop()
            if once and dice.random() < 0.3
            else dice.choice(["catalogue", "enrolment", "notifier"])
        )
        if pids[part]:
            how = signal.SIGTERM if part in ("catalogue", "notifier") else signal.SIGKILL
            try:
                os.kill(dice.choice(pids[part]), how)
            except ProcessLookupError:  # it is just being started again
                continue
            faults[part] += 1
            print(f"        {how.name} to {part}", flush=True)
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
