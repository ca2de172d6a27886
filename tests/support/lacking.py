"""A program that some tests need is not on this machine: they are skipped and say so; never in CI."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test, or fail it in CI; ``what`` is missing."""
    if os.environ.get("CI"):
        pytest.fail(f"missing, and CI must have it: {what}")
    pytest.skip(f"NOT TESTED: {what} is not here")
