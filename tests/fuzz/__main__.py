"""``make fuzz``: looks for inputs on which a parser fails or takes long, guided by the code that they reach.

Every target has an equal part of the time, in a process of its own. What was found stays in `.local/fuzz`,
where a later run begins. An input that breaks a target is printed: add it to the target's corpus with the
change that mends it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

FOUND = Path(__file__).parents[2] / ".local" / "fuzz" / "found"
INSTRUMENTED = [
    "services",
    "shared",
    "email",
    "urllib",
    "csv",
    "python_multipart",
    "itsdangerous",
    "idna",
    "uvicorn",
]
MEGABYTES = 2048
SECONDS_OF_AN_INPUT = 10
LONGEST = 4096


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="of all targets together (600)")
    parser.add_argument("--target", default=None, help="one of them alone")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_this_process:
        fuzz(options.target, options.seconds)
    from tests.fuzz.targets import TARGETS  # the process that is guided imports them in its own way

    names = list(TARGETS) if options.target is None else [options.target]
    seconds = max(1, options.seconds // len(names))
    broken = [name for name in names if not is_whole(name, seconds)]
    print(f"Broken: {', '.join(broken)}" if broken else f"No target was broken in {seconds} s each")
    return bool(broken)


def is_whole(name: str, seconds: int) -> bool:
    """Return whether the target has held; print what broke it."""
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", "--in-this-process"]
    done = subprocess.run(
        [*command, "--target", name, "--seconds", str(seconds)], capture_output=True, text=True, check=False
    )
    print(f"{name}: {len(list((FOUND / name).iterdir()))} inputs", flush=True)
    if done.returncode == 0:
        return True
    print(done.stdout, done.stderr)
    for file in FOUND.glob(f"{name}-*"):
        print(f"{file}: {json.dumps(file.read_bytes().decode('latin-1'))}")
    return False


def fuzz(name: str, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from shared.garbage import tune_gc
        from tests.fuzz.targets import TARGETS, corpus_of
    tune_gc()
    folder = FOUND / name
    for number, data in enumerate(corpus_of(name)):
        (folder / f"corpus-{number}").write_bytes(data)
    atheris.Setup(
        [
            "fuzz",
            f"-max_total_time={seconds}",
            f"-timeout={SECONDS_OF_AN_INPUT}",
            f"-rss_limit_mb={MEGABYTES}",
            f"-max_len={LONGEST}",
            f"-artifact_prefix={FOUND}/{name}-",
            str(folder),
        ],
        TARGETS[name],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
