"""``make sequences``: the rules of enrolment played at random, many more times than ``make test`` does.

Prints the seed, with which the same sequences are played again.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=10_000, help="of the rules alone (10,000)")
    parser.add_argument("--on-postgres", type=int, default=300, help="of the store on a real Postgres (300)")
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run, to play it again")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    print(
        f"{options.sequences} sequences of the rules, {options.on_postgres} on Postgres, seed {seed}",
        flush=True,
    )
    os.environ |= {"SEQUENCES": str(options.sequences), "STORE_SEQUENCES": str(options.on_postgres)}
    started = time.monotonic()
    code = pytest.main(
        [
            "-q",
            "--timeout=0",
            f"--hypothesis-seed={seed}",
            str(_HERE / "unit/enrolment/test_machine.py"),
            str(_HERE / "integration/enrolment/test_machine.py"),
        ]
    )
    verdict = "No rule was broken" if code == 0 else "A rule was broken, or the run was not clean"
    print(f"{verdict}: {time.monotonic() - started:.0f} s; play them again with --seed {seed}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
