"""The alerts and dashboards of ``deploy/``."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from tests.support.processes import ROOT


@cache
def rules() -> Mapping[str, Mapping[str, Any]]:
    """Return the alerts by name."""
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@cache
def dashboards() -> Mapping[str, Mapping[str, Any]]:
    """Return Grafana's dashboards by id."""
    found = [json.loads(path.read_text()) for path in sorted((ROOT / "deploy" / "grafana").glob("*.json"))]
    return {dashboard["uid"]: dashboard for dashboard in found}
