"""Alerts and dashboards ask for metrics that exist. Each alert is tried."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.support.lacking import program
from tests.support.metrics import listed, series
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


def test_prometheus_takes_the_example_of_its_settings() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_alert_is_tried() -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    tried = {case["alertname"] for test in tests for case in test["alert_rule_test"] if "exp_alerts" in case}
    assert tried == set(rules())


def periods() -> dict[str, str]:
    """The jobs of the services by their names, with their periods as the code has them."""
    files = [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
    return {
        name: period
        for path in files
        for name, period in re.findall(r'\bJob\("([a-z-]+)", ([\w.]+)', path.read_text())
    }


def test_the_runbook_of_failing_jobs_names_every_job() -> None:
    page = (ROOT / "docs" / "runbooks" / "ParcoursJobFails.md").read_text()
    assert len(periods()) > 10
    assert [name for name in periods() if f"`{name}`" not in page] == []


def test_each_job_fails_often_enough_for_its_alert() -> None:
    """Twice at least within the window that the rule looks at, or it stands among those with a longer one."""
    expr = rules()["ParcoursJobFails"]["expr"]
    [hourly] = re.findall(r'name=~"([^"]+)"', expr)
    seldom = {name for name, period in periods().items() if period[0].isdigit() and float(period) > 300}
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


def test_figures_of_a_database_are_never_counted_once_for_each_process() -> None:
    of_databases = [name for name, found in listed().items() if found.of == "database"]
    for who, expr, _ in expressions():
        for name in of_databases:
            asked = re.findall(rf"(.{{0,60}})\b{name}\b", expr)
            assert [how for how in asked if not re.search(r"max by \([a-z, ]+\) \($", how)] == [], who


def test_each_panel_of_a_dashboard_has_a_place_of_its_own() -> None:
    assert dashboards().keys() == {"parcours-overview", "parcours-enrolment", "parcours-notifier"}
    for dashboard in dashboards().values():
        places = [
            (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
            for panel in dashboard["panels"]
            for x in range(panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["h"])
        ]
        assert len(set(places)) == len(places)
        assert max(x for x, _ in places) < 24
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)


def test_each_alert_says_what_happened_how_urgent_it_is_and_where_to_read_what_to_do() -> None:
    for name, rule in rules().items():
        assert rule["annotations"].keys() == {"summary", "runbook_url"}
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")
        assert rule["labels"]["severity"] in ("critical", "warning")
