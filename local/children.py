"""Child processes: started with a log file, and stopped by pid.

Each child has its own session, so that Ctrl-C only reaches the supervisor and the parts stop in order.
`watchdog.py` ends the children if the supervisor is killed.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pwd import struct_passwd
from typing import Any

import psutil

from local import clock, watchdog


def as_user(account: struct_passwd | None) -> dict[str, Any]:
    """Return the options of `subprocess` that run a program as this account, or as the present user."""
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


class _Watchdog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def watch(self, pid: int, number: int) -> None:
        self._write(f"+{pid} {int(number)}\n")

    def forget(self, pid: int) -> None:
        self._write(f"-{pid}\n")

    def end(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.communicate()

    def _write(self, line: str) -> None:
        with self._lock:
            # A forked copy of this process must not act for the children of the original.
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", watchdog.__file__],
                    stdin=subprocess.PIPE,
                    text=True,
                    env={},  # it needs no variable, and a moved clock would disturb its waiting
                    cwd="/",
                    start_new_session=True,
                )
                self._owner = os.getpid()
            if self._process.stdin is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()


def cpu_seconds(pid: int) -> float:
    """Return what a process, its living descendants and its ended children have spent."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    spent = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            of_child = child.cpu_times()
            spent += of_child.user + of_child.system
    return spent


_watchdog = _Watchdog()
atexit.register(_watchdog.end)


@dataclass
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log_file: Path
    stop_signal: int = field(default=signal.SIGTERM)
    _forgotten: bool = field(default=False, init=False)

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        account: struct_passwd | None = None,
        stop_signal: int = signal.SIGTERM,
    ) -> "Child":
        """`account` runs the program (root only). `stop_signal` makes this program finish and end."""
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**env, **clock.lent()} if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                **as_user(account),
            )
        _watchdog.watch(process.pid, stop_signal)
        return cls(name, process, log_file, stop_signal)

    @property
    def pid(self) -> int:
        return self.process.pid

    def exit_code(self) -> int | None:
        """Return None while the process runs. A negative code is the signal that ended it."""
        code = self.process.poll()
        if code is not None:
            self._forget()
        return code

    def running(self) -> bool:
        return self.exit_code() is None

    def listens_on(self, port: int) -> bool:
        """Return whether this process, and not another one, listens on the port."""
        try:
            sockets = psutil.Process(self.pid).net_connections(kind="tcp")
        except psutil.Error:
            return False
        return any(socket.status == psutil.CONN_LISTEN and socket.laddr[1] == port for socket in sockets)

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Ask the process to stop, and kill it after `grace_seconds`."""
        if self.running():
            self.process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_seconds)
        self.kill()

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would, if it has not ended."""
        self.process.kill()
        self.process.wait()
        self._forget()

    def last_lines(self, count: int = 15) -> str:
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-count:])

    def _forget(self) -> None:
        # Only once: from now on the system may give the pid to another process.
        if not self._forgotten:
            self._forgotten = True
            _watchdog.forget(self.process.pid)
