"""What the metrics of this process say, and which there are."""

import importlib
import re
from pathlib import Path

from prometheus_client import REGISTRY

GUIDE = Path(__file__).parents[2] / "docs" / "operations.md"
_ROW = re.compile(r"^\| (`parcours_[^|]+)\|[^|]*\| (\w+) \|", re.MULTILINE)
_ENDS = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
}
"""What the names of its series end in, by the type of a metric."""


def metric(name: str, **labels: str) -> float:
    """The value of a metric; 0 where it has none."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def existing() -> dict[str, set[str]]:
    """The metrics of all services, each with the series that it is exported as."""
    for service in ("catalogue", "enrolment", "notifier"):
        importlib.import_module(f"services.{service}.app")
    metrics = {}
    for family in REGISTRY.collect():
        if family.name.startswith("parcours_"):
            series = [family.name + end for end in _ENDS[family.type]]
            metrics[family.name if family.type == "histogram" else series[0]] = set(series)
    return metrics


def listed() -> dict[str, str]:
    """The metrics that the operators' guide lists, with whose figures they are: a process's, a database's."""
    rows = _ROW.findall(GUIDE.read_text())
    return {name: of for row, of in rows for name in re.findall(r"`(parcours_\w+)`", row)}
