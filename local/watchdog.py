"""Ends the children of a supervisor that was killed with -9.

Run it as a script with a pipe on standard input: `+PID SIGNAL` watches a process, `-PID` ends the watch. The
pipe closes when the supervisor ends, in any way. Watched processes then get their signal, and SIGKILL five
seconds later.

Linux' PR_SET_PDEATHSIG would not do: it fires when the starting *thread* ends, is lost when the child changes
its user, and does not exist on macOS.

It starts with every stack, so it imports only the standard library.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 5.0


def watch() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    watched: dict[int, int] = {}
    for line in sys.stdin:
        if line.startswith("+"):
            pid, number = line[1:].split()
            watched[int(pid)] = int(number)
        elif line.startswith("-"):
            watched.pop(int(line[1:]), None)
    end_all(watched)


def end_all(watched: dict[int, int]) -> None:
    """Signal the last started process first. Kill the processes that stay."""
    for pid in reversed(list(watched)):
        _send(pid, watched[pid])
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(_send(pid, 0) for pid in watched):
        time.sleep(0.05)
    for pid in watched:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    watch()
