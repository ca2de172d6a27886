"""Forges run `.ci/run`, and before a commit runs what `make check` runs; neither fetches programs itself."""

import re
from pathlib import Path
from typing import Any

import pytest
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


def test_a_forge_lets_a_change_read_and_nothing_else() -> None:
    assert read(GITHUB)["permissions"] == {"contents": "read"}
    assert read(GITHUB)["jobs"]["check"]["steps"][0]["with"]["persist-credentials"] is False


def test_a_forge_fetches_the_last_release_too() -> None:
    assert read(GITHUB)["jobs"]["check"]["steps"][0]["with"]["fetch-depth"] == 0
    assert read(GITLAB)["check"]["variables"] == {"GIT_DEPTH": "0"}


def test_what_runs_before_a_commit_is_what_make_check_runs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"(?m)^check:.*\n((?:\t.*\n)+)", makefile)
    assert recipe
    commands = recipe[1].replace("$(VENV)", ".venv").replace("$(PY)", ".venv/bin/python")
    (local,) = read(PRE_COMMIT)["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == [line.strip() for line in commands.splitlines()]
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in local["hooks"])


@pytest.mark.parametrize("path", [GITHUB, GITLAB, PRE_COMMIT, ".ci/run", "Makefile"])
def test_nothing_that_builds_or_checks_has_an_address_to_download_from(path: str) -> None:
    assert "://" not in (ROOT / path).read_text()


def test_go_pins_what_helm_is_built_from_by_its_hashes_and_has_no_address() -> None:
    modules = (ROOT / "requirements" / "helm" / "go.mod").read_text()
    sums = (ROOT / "requirements" / "helm" / "go.sum").read_text()
    assert "\ntool helm.sh/helm/v3/cmd/helm\n" in modules
    required = re.findall(r"(?m)^\t(\S+ v\S+)", modules)
    assert [module for module in required if f"{module} h1:" not in sums] == []
    assert "://" not in modules + sums
    assert not re.search(r"(?m)^(replace|\s*toolchain)", modules)
