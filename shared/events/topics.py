"""The topics of the system: name, key, partitions, clean-up, listeners. Pure data."""

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """Every topic, by its name on the broker."""

    PORTAL_ENROLMENTS = "portal.enrolments"
    PORTAL_BESPOKE = "portal.bespoke"
    PORTAL_AGENTS = "portal.agents"
    CATALOGUE_SESSIONS = "catalogue.sessions"
    CATALOGUE_RESOURCES = "catalogue.resources"
    CATALOGUE_BESPOKE = "catalogue.bespoke"
    CATALOGUE_TRAINERS = "catalogue.trainers"
    ENROLMENT_DECISIONS = "enrolment.decisions"
    ENROLMENT_OCCUPANCY = "enrolment.occupancy"
    ENROLMENT_NOTICES = "enrolment.notices"
    NOTIFIER_DELIVERIES = "notifier.deliveries"
    REQUESTS_OUTCOMES = "requests.outcomes"
    AGENTS_ERASED = "agents.erased"
    PORTAL_ANSWERS = "portal.answers"
    """One topic for each portal, named by :func:`answers_topic`; no topic has this name alone."""

    @property
    def publishers(self) -> tuple[str, ...]:
        match self:
            case Topic.REQUESTS_OUTCOMES:
                return "catalogue", "notifier"
            case Topic.AGENTS_ERASED:
                return "catalogue", "enrolment", "notifier"
            case Topic.PORTAL_ANSWERS:
                return ("enrolment",)
        return (self.value.partition(".")[0],)


def answers_topic(portal: str) -> str:
    """Return the name of the topic of a portal's answers."""
    return f"{Topic.PORTAL_ANSWERS}.{portal}"


def is_of_portals(topic: str) -> bool:
    """``portal.*`` are portals' requests, except ``portal.answers.*``."""
    return topic.startswith("portal.") and not topic.startswith(Topic.PORTAL_ANSWERS)


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How a topic is created, and which services listen to it.

    ``rejected_by`` is the service that keeps rejected records and tells their portals. ``broker_stamped``
    asks for ``LogAppendTime``: the broker then sets the time of receipt, which decides deadlines.
    """

    key: str
    partitions: int
    listeners: tuple[str, ...]
    rejected_by: str | None = None
    compacted: bool = False
    broker_stamped: bool = False

    @property
    def broker_config(self) -> dict[str, str]:
        """Use the settings' Kafka names."""
        config = {
            "message.timestamp.type": "LogAppendTime" if self.broker_stamped else "CreateTime",
            "max.message.bytes": str(MAX_RECORD_BYTES),
        }
        if self.compacted:
            return config | {"cleanup.policy": "compact"}
        return config | {
            "cleanup.policy": "delete",
            "retention.ms": str(RETENTION_DAYS * _DAY),
            # Only closed segments are deleted: without this a quiet partition keeps records twice as long.
            "segment.ms": str(_DAY),
        }


MAX_RECORD_BYTES = 4 * 1024 * 1024
RETENTION_DAYS = 7
"""Personal data may stay in Kafka this long: well inside the month that the law gives to erase it."""
_DAY = 24 * 3600 * 1000

TOPICS: dict[Topic, TopicSettings] = {
    Topic.PORTAL_ENROLMENTS: TopicSettings(
        key="session_id",
        partitions=12,
        listeners=("enrolment",),
        rejected_by="enrolment",
        broker_stamped=True,
    ),
    Topic.PORTAL_BESPOKE: TopicSettings(
        key="siret",
        partitions=6,
        listeners=("catalogue", "enrolment"),
        rejected_by="catalogue",
        broker_stamped=True,
    ),
    Topic.PORTAL_AGENTS: TopicSettings(
        key="agent_id",
        partitions=6,
        listeners=("catalogue", "enrolment", "notifier"),
        rejected_by="notifier",
        broker_stamped=True,
    ),
    Topic.CATALOGUE_SESSIONS: TopicSettings(
        key="session_id", partitions=6, listeners=("enrolment", "notifier"), compacted=True
    ),
    Topic.CATALOGUE_RESOURCES: TopicSettings(
        key="resource_id", partitions=6, listeners=("notifier",), compacted=True
    ),
    Topic.CATALOGUE_BESPOKE: TopicSettings(key="siret", partitions=6, listeners=("enrolment", "notifier")),
    Topic.CATALOGUE_TRAINERS: TopicSettings(key="session_id", partitions=6, listeners=("notifier",)),
    Topic.ENROLMENT_DECISIONS: TopicSettings(key="agent_id", partitions=12, listeners=("notifier",)),
    Topic.ENROLMENT_OCCUPANCY: TopicSettings(
        key="session_id", partitions=6, listeners=("catalogue",), compacted=True
    ),
    Topic.ENROLMENT_NOTICES: TopicSettings(key="session_id", partitions=6, listeners=("notifier",)),
    Topic.NOTIFIER_DELIVERIES: TopicSettings(key="agent_id", partitions=6, listeners=("enrolment",)),
    Topic.REQUESTS_OUTCOMES: TopicSettings(key="request_id", partitions=6, listeners=("enrolment",)),
    Topic.AGENTS_ERASED: TopicSettings(key="request_id", partitions=6, listeners=("notifier",)),
    Topic.PORTAL_ANSWERS: TopicSettings(key="agent_id", partitions=6, listeners=()),
}
