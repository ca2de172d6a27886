"""Something that tests need is not here: they are skipped.

A missing program fails them in CI. A clone without history does not, nor does a published schema that is not
beside the project: no program that CI could install mends that, and it is said.
"""

import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from local.kafka import missing_tools

NO_HISTORY = "NOT TESTED BESIDE THE LAST RELEASE"
NO_SCHEMA = "NOT TESTED AGAINST THE PUBLISHED SCHEMA"
EXCUSED = (NO_HISTORY, NO_SCHEMA)
CHROMIUM = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
"""Debian's Chromium by its names: the one without windows does the same in two thirds of the time."""


def lacking(what: str) -> NoReturn:
    """Skip the test: ``what`` is missing."""
    pytest.skip(f"NOT TESTED: {what}")


def program(*names: str, package: str) -> str:
    """The path of the first of these programs that is here; else skip, and name Debian's package of it."""
    for name in names:
        if (found := shutil.which(name) or shutil.which(name, path="/usr/sbin")) is not None:
            return found
    lacking(f"{names[0]} is not here; install Debian's {package}")


def need_kafka() -> None:
    """Skip unless Apache Kafka can run here."""
    if (problem := missing_tools()) is not None:
        lacking(problem)


def lacking_history(what: str, why: str) -> NoReturn:
    """Skip the test, in CI too: this clone has not ``what``, and cannot fetch it."""
    pytest.skip(f"{NO_HISTORY}: {what} is not in this clone ({why}); clone the whole history")


def lacking_schema(path: Path) -> NoReturn:
    """Skip the test, in CI too: the project does not copy the schema, which stands beside it."""
    pytest.skip(f"{NO_SCHEMA}: {path} is not here")
