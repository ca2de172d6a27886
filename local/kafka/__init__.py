from local.kafka.broker import KafkaBroker, missing_tools, prepare

__all__ = ["KafkaBroker", "missing_tools", "prepare"]
