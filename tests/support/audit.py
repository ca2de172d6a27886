"""``python -m tests.support.audit``: whether a locked package has a known vulnerability. For `make audit`.

It asks by pip-audit, which ends with 0 and finds no vulnerability where its service does not know a
package: a mirror of PyPI that lacks that interface answers so for all of them. Here that is a failure, told
loudly.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCKS = ("dev", "audit", "chart", "fuzz", "pip")
"""The locks that hold every package: ``dev`` has those of the services too."""
VULNERABLE = 1
NOT_ASKED = 2


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of an audit, for a person, and the exit code that it stands for."""

    lines: tuple[str, ...]
    code: int


def findings(packages: Sequence[dict[str, Any]]) -> Findings:
    """Judge the packages of pip-audit's reports: every one has to have been looked up."""
    asked = [package for package in packages if "skip_reason" not in package]
    others = [package["name"] for package in packages if "skip_reason" in package]
    vulnerable = tuple(
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"mended in {', '.join(vulnerability['fix_versions']) or 'no version'}"
        for package in asked
        for vulnerability in package["vulns"]
    )
    if others or not asked:
        unknown = (
            f"NOT AUDITED: {len(others)} of {len(packages)} packages ({', '.join(others[:5])} …), of which "
            "the service of vulnerabilities knows nothing: a mirror may lack it."
        )
        return Findings((*vulnerable, unknown, _INSTEAD), NOT_ASKED)
    if vulnerable:
        return Findings(vulnerable, VULNERABLE)
    return Findings((f"{len(asked)} packages were looked up, and no vulnerability is known of any.",), 0)


def audit(program: str, arguments: Sequence[str]) -> Findings:
    """Ask for every locked package; ``arguments`` go to pip-audit too."""
    command = [
        program,
        "--disable-pip",
        "--require-hashes",
        "--format=json",
        "--progress-spinner=off",
        *arguments,
    ]
    packages: dict[str, dict[str, Any]] = {}
    for lock in LOCKS:  # one by one: pip-audit takes no package that stands in two
        asked = [*command, "--requirement", f"requirements/{lock}.txt"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        try:
            report = json.loads(answer.stdout)
        except ValueError:
            last = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return Findings((f"NOT AUDITED: pip-audit failed: {last[:300]}", _INSTEAD), NOT_ASKED)
        packages |= {
            f"{package['name']} {package.get('version')}": package for package in report["dependencies"]
        }
    return findings(list(packages.values()))


_INSTEAD = (
    "Nothing is known about these from this run. Run it where PyPI itself can be reached, or OSV: "
    "make audit ARGS='--vulnerability-service osv'."
)


def main() -> int:
    """Print what came of it; returns 0: all looked up and none is known, 1: some are known, 2: not asked."""
    found = audit(str(Path(sys.argv[1])), sys.argv[2:])
    sys.stdout.write("\n".join((*found.lines, "")))
    return found.code


if __name__ == "__main__":
    sys.exit(main())
