"""Alerts and dashboards ask for metrics that exist. Each alert is tried."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.support.lacking import program
from tests.support.metrics import series
from tests.support.prometheus import dashboards, rules

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"


def expressions() -> Iterator[tuple[str, str, str]]:
    """What is asked of Prometheus, by whom, and the text that is made from an answer's labels."""
    for name, rule in rules().items():
        yield name, rule["expr"], rule["annotations"]["summary"]
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"], target["legendFormat"]


def promtool(*arguments: str) -> None:
    """Run Prometheus's own tool. It needs no network."""
    command = [program("promtool", package="prometheus"), *arguments]
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_comes_when_it_should_and_not_before() -> None:
    promtool("test", "rules", "rules_test.yml", "rules_test_long.yml")
    promtool("check", "config", "prometheus.yml")


def test_each_alert_is_tried() -> None:
    tests = [
        test
        for path in PROMETHEUS.glob("rules_test*.yml")
        for test in yaml.safe_load(path.read_text())["tests"]
    ]
    tried = {case["alertname"] for test in tests for case in test["alert_rule_test"] if "exp_alerts" in case}
    assert tried == set(rules())


def test_the_runbook_of_failing_jobs_names_every_job_and_each_fails_often_enough_for_its_alert() -> None:
    """Twice at least within the window of the rule, or it is among the jobs with a longer one."""
    files = [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
    jobs = [job for path in files for job in re.findall(r'\bJob\("([a-z-]+)", ([\w.]+)', path.read_text())]
    page = (ROOT / "docs" / "runbooks" / "ParcoursJobFails.md").read_text()
    assert [name for name, _ in jobs if f"`{name}`" not in page] == []
    [hourly] = re.findall(r'name=~"([^"]+)"', rules()["ParcoursJobFails"]["expr"])
    seldom = {name for name, period in jobs if period[0].isdigit() and float(period) > 300}
    assert seldom == set(hourly.split("|"))


def test_prometheus_understands_what_it_is_asked(tmp_path: Path) -> None:
    asked = [
        {"record": f"asked:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, (_, expr, _) in enumerate(expressions())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": asked}]}))
    promtool("check", "rules", "--lint=none", str(tmp_path / "rules.yml"))


def test_what_is_asked_of_prometheus_exists_with_these_labels() -> None:
    known = series()
    for who, expr, text in expressions():
        asked = set(re.findall(r"parcours_\w+", expr))
        assert asked - known.keys() == set(), who
        labels = {"namespace", "job", "instance", "le"}.union(*(known[name] for name in asked))
        grouped = re.findall(r"by \(([^)]*)\)", expr)
        matched = re.findall(r"(\w+)(?:=|!=|=~|!~)\"", expr)
        assert {label for group in grouped for label in group.split(", ")} - labels == set(), who
        assert set(matched) - labels == set(), who
        shown = set(re.findall(r"\{\{ ?(?:\$labels\.)?([a-z]\w*) ?\}\}", text))
        kept = {label for group in grouped for label in group.split(", ")} if grouped else labels
        assert shown - kept == set(), who
