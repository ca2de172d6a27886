"""An audit that could not ask never reads like one that found nothing."""

import json
from pathlib import Path
from typing import Any

from tests.support import audit
from tests.support.audit import NOT_ASKED, VULNERABLE, findings

FINE = {"name": "fine", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"], "aliases": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def a_program(folder: Path, script: str) -> str:
    program = folder / "pip-audit"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_all_were_looked_up_and_none_is_vulnerable() -> None:
    found = findings([FINE])
    assert found.code == 0
    assert found.lines == ("1 packages were looked up, and no vulnerability is known of any.",)


def test_a_vulnerability_is_named_with_the_version_that_mends_it() -> None:
    found = findings([FINE, BAD])
    assert found.code == VULNERABLE
    assert found.lines == ("bad 2.0: CVE-1, mended in 2.1",)


def test_a_package_that_the_service_does_not_know_was_not_audited() -> None:
    reports: list[list[dict[str, Any]]] = [[UNKNOWN], [FINE, UNKNOWN], [BAD, UNKNOWN], []]
    for packages in reports:
        found = findings(packages)
        assert found.code == NOT_ASKED
        assert any(line.startswith("NOT AUDITED") for line in found.lines)
        assert not any("no vulnerability is known" in line for line in found.lines)
    assert "bad 2.0: CVE-1, mended in 2.1" in findings([BAD, UNKNOWN]).lines


def test_every_lock_is_asked_about_and_one_that_fails_fails_the_whole(tmp_path: Path) -> None:
    fine = json.dumps({"dependencies": [FINE]})
    assert audit.audit(a_program(tmp_path, f"echo '{fine}'"), []).code == 0
    one_fails = f"case \"$*\" in *requirements/audit.txt*) exit 1;; esac; echo '{fine}'"
    assert audit.audit(a_program(tmp_path, one_fails), []).code == NOT_ASKED


def test_a_service_that_is_away_is_no_success(tmp_path: Path) -> None:
    program = a_program(tmp_path, "echo 'ConnectionError: no route' >&2; exit 1")
    found = audit.audit(program, [])
    assert found.code == NOT_ASKED
    assert "NOT AUDITED: pip-audit failed: ConnectionError: no route" in found.lines
