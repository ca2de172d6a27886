"""A Prometheus that scrapes services, with the alerts of ``deploy/prometheus``; they wait for seconds."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local.children import Child
from local.ports import LOOPBACK, free_port
from local.server import LocalServer
from tests.support.lacking import program
from tests.support.processes import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
WAIT, WINDOW = "for: 2s", "[20s]"
"""What a rule's wait, and the window that it looks at, are cut to."""
RATE = "20s"
"""What Grafana would put for ``$__rate_interval``."""
EMPTY = {
    "sum by (portal) (rate(parcours_requests_misrouted_total[$__rate_interval]))": "nobody partitions by CRC",
    "sum by (outcome) (increase(parcours_bounce_messages_total[$__rate_interval]))": "no mail comes back",
}
"""What dashboards ask, and may have no answer in the trial of the alerts, with the reason."""


@cache
def rules() -> Mapping[str, Mapping[str, Any]]:
    """Return the alerts, by their names."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@cache
def dashboards() -> Mapping[str, Mapping[str, Any]]:
    """Return Grafana's dashboards, by their ids."""
    found = [json.loads(path.read_text()) for path in sorted((ROOT / "deploy" / "grafana").glob("*.json"))]
    return {dashboard["uid"]: dashboard for dashboard in found}


class Prometheus(LocalServer):
    """Scrapes and evaluates every second."""

    title = "Prometheus"

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        self._folder = folder / "prometheus"
        self._folder.mkdir()
        self._port = free_port()
        jobs = [
            {"job_name": service, "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}]}
            for service, port in ports.items()
        ]
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": jobs,
        }
        quick = re.sub(r"for: \w+", WAIT, re.sub(r"\[\d+[smh]\]", WINDOW, RULES.read_text()))
        (self._folder / "rules.yml").write_text(quick)
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        self.launch()

    def start_process(self) -> Child:
        return Child.start(
            self.title,
            [
                program("prometheus", package="prometheus"),
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={LOOPBACK}:{self._port}",
            ],
            log_file=self._folder / "prometheus.log",
        )

    def answers(self) -> bool:
        try:
            return self._get("/-/ready") != b""
        except OSError:
            return False

    def firing(self) -> set[str]:
        """Return the alerts that fire now."""
        alerts = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def fired(self, alerts: set[str], seconds: float) -> set[str]:
        """Wait until each of these has fired, then return those that have not within so many seconds."""
        end, silent = time.monotonic() + seconds, set(alerts)
        while (silent := silent - self.firing()) and time.monotonic() < end:
            time.sleep(0.5)
        return silent

    def ended(self, alerts: set[str], seconds: float) -> set[str]:
        """Wait until none of these fires, then return those that still do after so many seconds."""
        end = time.monotonic() + seconds
        while (still := alerts & self.firing()) and time.monotonic() < end:
            time.sleep(0.5)
        return still

    def shown(self, expr: str, since: float) -> bool:
        """Return whether a panel that asks this showed anything since then.

        Raises ``ValueError`` where it cannot be asked.
        """
        asked = {
            "query": expr.replace("$__rate_interval", RATE),
            "start": since,
            "end": time.time(),
            "step": 1,
        }
        try:
            answer = self._get(f"/api/v1/query_range?{urllib.parse.urlencode(asked)}")
        except urllib.error.HTTPError as error:
            raise ValueError(json.loads(error.read())["error"]) from error
        return bool(json.loads(answer)["data"]["result"])

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self._port}{path}", timeout=20) as answer:
            content: bytes = answer.read()
            return content
