"""A program that some tests need is not on this machine: they are skipped, which in CI is a failure."""

import shutil
from typing import NoReturn

import pytest

from local.kafka import missing_tools


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
