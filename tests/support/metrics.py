"""What the metrics of this process say, and which there are."""

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import REGISTRY

from shared.observability import export_build

GUIDE = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^- (`parcours_[^():]+)(?: \(([^)]*)\))?:\s+(\*database\*)?", re.MULTILINE)
_ENDS = {"counter": "_total", "info": "_info"}


def metric(name: str, **labels: str) -> float:
    """The value of a metric; 0 where it has none."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


@dataclass(frozen=True)
class ListedMetric:
    """A metric of the operators' guide: its labels, and whose figure it is, a process's or a database's."""

    labels: frozenset[str]
    of: str


def listed() -> dict[str, ListedMetric]:
    """The metrics that the operators' guide lists."""
    return {
        name: ListedMetric(frozenset(re.findall(r"\w+", labels)), "database" if of else "process")
        for names, labels, of in _ROW.findall(GUIDE.read_text())
        for name in re.findall(r"`(parcours_\w+)`", names)
    }


def existing() -> dict[str, frozenset[str]]:
    """The labels of the metrics of all services."""
    return {name + _ENDS.get(kind, ""): labels for name, kind, labels in _families()}


def series() -> dict[str, frozenset[str]]:
    """The labels of each series that Prometheus may be asked for."""
    of_histograms = {
        name + end: labels
        for name, kind, labels in _families()
        if kind == "histogram"
        for end in ("_bucket", "_count", "_sum")
    }
    return existing() | of_histograms


def _families() -> Iterator[tuple[str, str, frozenset[str]]]:
    """The name, type and labels of each metric."""
    for service in ("catalogue", "enrolment", "notifier"):
        importlib.import_module(f"services.{service}.app")
    export_build("test", "")
    for collector in set(REGISTRY._names_to_collectors.values()):
        for family in collector.collect():
            if family.name.startswith("parcours_"):
                is_info = family.type == "info"
                labels = family.samples[0].labels if is_info else getattr(collector, "_labelnames")  # noqa: B009
                yield family.name, family.type, frozenset(labels)
