"""Version N-1: the services of the last release, from git, as processes beside today's."""

import ctypes
import fcntl
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.places import LOCAL
from tests.support.lacking import lacking_history
from tests.support.processes import ROOT, SERVICES, Files, Forked, ServiceProcess, redirect
from tests.support.releases import Release, releases

_PARTS = ("services", "shared", "requirements", "docs/asyncapi")
_FETCH_SECONDS = 60
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ReleasedCode:
    """The code of a release in a folder, and a Python that has its packages."""

    release: Release
    folder: Path
    python: Path

    def run(self, program: Path, *arguments: str) -> str:
        """What a program of ours prints when it imports that code."""
        done = subprocess.run(
            [self.python, program, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class ReleasedProcess(ServiceProcess):
    """``python -m services.<name> serve`` of the release."""

    def __init__(self, code: ReleasedCode, name: str, environment: Mapping[str, str], log: Path) -> None:
        super().__init__(name, environment, log)
        self._code = code

    def fork(self, environment: dict[str, str], files: Files) -> Forked:
        return Forked(_become, str(self._code.python), str(self._code.folder), self.name, environment, files)


def last_release() -> ReleasedCode:
    """Put the last release that the changelog names a commit of below `.local`, where it stays compiled.

    Fetches the commit where a clone lacks it; skips the test, loudly, where that is not possible.
    """
    release = next(release for release in releases() if release.commit)
    folder = LOCAL / "released" / str(release.commit)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:  # closed, it is free for the next worker
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _extract(release, folder)
        return ReleasedCode(release, folder, _python(folder))


def _extract(release: Release, folder: Path) -> None:
    archive = _archived(str(release.commit))
    if archive is None:
        fetch = ["git", "fetch", "--quiet", "--depth=1", "origin", str(release.commit)]
        why = _git(fetch).stderr.decode(errors="replace").strip()
        archive = _archived(str(release.commit))
        if archive is None:
            lacking_history(f"commit {release.commit} of release {release.version}", why)
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(draft, filter="data")
    draft.rename(folder)


def _archived(commit: str) -> bytes | None:
    done = _git(["git", "archive", "--format=tar", commit, *_PARTS])
    return done.stdout if done.returncode == 0 else None


def _git(command: list[str]) -> "subprocess.CompletedProcess[bytes]":
    never_asks = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            command, cwd=ROOT, env=never_asks, capture_output=True, timeout=_FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, b"", b"no answer within a minute")


def _python(folder: Path) -> Path:
    """Ours, while its locks are ours; else one with its own packages, which is made once."""
    locks = [Path("requirements") / f"{service}.txt" for service in SERVICES]
    if all((folder / lock).read_bytes() == (ROOT / lock).read_bytes() for lock in locks):
        return Path(sys.executable)
    digest = hashlib.sha256(b"".join((folder / lock).read_bytes() for lock in locks)).hexdigest()
    environment = LOCAL / "released" / digest[:16]
    python, ready = environment / "bin" / "python", environment / ".ready"
    if not ready.exists():
        venv.create(environment, clear=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"),
                *("--disable-pip-version-check", "--require-hashes"),
                *(word for lock in locks for word in ("-r", folder / lock)),
            ],
            check=True,
        )
        ready.touch()
    return python


def _become(python: str, folder: str, name: str, environment: Mapping[str, str], files: Files) -> None:
    """In the fork: become the service of the release, and end with the server that forked it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(folder)
    redirect(files)
    os.execve(python, [python, "-m", f"services.{name}", "serve"], dict(environment))  # noqa: S606  # no shell
