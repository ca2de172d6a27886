"""What the metrics of this process say."""

from prometheus_client import REGISTRY


def metric(name: str, **labels: str) -> float:
    """The value of a metric; 0 where it has none."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
