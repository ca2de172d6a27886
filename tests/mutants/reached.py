"""A plugin of pytest that records which lines of the product each test file runs, in this process.

A line counts for a file even if it runs in a fixture. What a test starts as a process of its own is not seen.
"""

import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

_ROOT = Path.cwd()
_PRODUCT = (f"{_ROOT}/services/", f"{_ROOT}/shared/")
_MONITORING: Any = vars(sys)["monitoring"]  # mypy checks for Python 3.11, which has none
_TOOL = _MONITORING.COVERAGE_ID
_LINE = _MONITORING.events.LINE


class LineRecorder:
    """Writes a file of JSON at the end: lines of the product, seconds, and the tests that failed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: list[str] = []
        self._file = ""
        self._since = 0.0
        _MONITORING.use_tool_id(_TOOL, "mutants")
        _MONITORING.register_callback(_TOOL, _LINE, self._on_line)
        _MONITORING.set_events(_TOOL, _LINE)

    def _on_line(self, code: CodeType, line: int) -> object:
        if self._file and code.co_filename.startswith(_PRODUCT):
            self._lines[self._file][code.co_filename[len(f"{_ROOT}/") :]].add(line)
        return _MONITORING.DISABLE  # until the next test file

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._since = time.monotonic()
        file = nodeid.partition("::")[0]
        if file != self._file:
            self._file = file
            _MONITORING.restart_events()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._seconds[nodeid.partition("::")[0]] += time.monotonic() - self._since

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        _MONITORING.set_events(_TOOL, 0)
        lines = {
            test: {path: sorted(numbers) for path, numbers in product.items()}
            for test, product in self._lines.items()
        }
        record = {"lines": lines, "seconds": self._seconds, "failed": self._failed}
        (self._folder / f"{os.getpid()}.json").write_text(json.dumps(record))


def pytest_configure(config: pytest.Config) -> None:
    """Record in each process that runs tests: the workers, or the only one."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.register(LineRecorder(Path(os.environ["MUTANTS_REACHED"])))
