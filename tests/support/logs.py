"""Logs as a service writes them, and logging as it was before."""

import contextlib
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def logging_as_before() -> Iterator[None]:
    """Undo afterwards what configuring the logs changes in this process."""
    handlers, level = logging.root.handlers[:], logging.root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    levels = {name: logging.getLogger(name).level for name in ("services", "shared")}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        logging.captureWarnings(capture=False)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        logging.root.handlers[:], logging.root.level = handlers, level
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was logged as JSON, of which every line must be."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]
