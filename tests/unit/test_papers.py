"""The papers of a public body's software say the same thing, and the licence is the official text."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
OFFICIAL_TEXT = "57fb42fbcd0b037ce528ed8f72f1ec095d67bc6825ecf1448ff39be1fe68a4b4"
"""SHA-256 of the English text of the EUPL 1.2, as the SPDX list of licences has it."""


def project() -> dict[str, Any]:
    """The table ``[project]`` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_the_licence_is_the_official_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == OFFICIAL_TEXT


def test_the_description_for_catalogues_has_the_version_and_licence_of_the_project() -> None:
    public = yaml.safe_load((ROOT / "publiccode.yml").read_text())
    assert public["legal"]["license"] == project()["license"] == "EUPL-1.2"
    assert public["softwareVersion"] == project()["version"]
