"""Apache Kafka itself as a local broker: durable, broker-stamped, idempotent (`broker.py`, `pom.xml`)."""

from local.kafka.broker import KafkaBroker, missing_tools, prepare

__all__ = ["KafkaBroker", "missing_tools", "prepare"]
