"""Forges run `.ci/run`, and before a commit runs what `make check` runs."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
GITHUB, GITLAB, PRE_COMMIT = ".github/workflows/ci.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml"


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_both_forges_run_the_same_in_the_same_image_for_as_long_as_it_may_take() -> None:
    github, gitlab = read(GITHUB)["jobs"]["check"], read(GITLAB)["check"]
    assert github["steps"][-1] == {"run": "bash .ci/run"}
    assert gitlab["script"] == ["bash .ci/run"]
    assert github["container"] == gitlab["image"]
    assert f"{github['timeout-minutes']} minutes" == gitlab["timeout"]


def test_what_a_forge_runs_is_pinned() -> None:
    check = read(GITHUB)["jobs"]["check"]
    actions = [step["uses"] for step in check["steps"] if "uses" in step]
    assert [action for action in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)] == []
    assert re.fullmatch(r"[\w./:-]+@sha256:[0-9a-f]{64}", check["container"])


def test_what_runs_before_a_commit_is_what_make_check_runs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"(?m)^check:.*\n((?:\t.*\n)+)", makefile)
    assert recipe
    commands = recipe[1].replace("$(VENV)", ".venv").replace("$(PY)", ".venv/bin/python")
    (local,) = read(PRE_COMMIT)["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == [line.strip() for line in commands.splitlines()]
