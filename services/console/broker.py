from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from services.console.asking import ConsoleSettings, Unanswered, broker_answers, portals
from services.console.findings import Finding, Mark, duration
from services.contracts import ROUTERS
from shared import clock
from shared.cli.definition import Definition
from shared.messaging import lag as lags
from shared.messaging import topics
from shared.messaging.lag import LATE, GroupLag
from shared.messaging.topics import TopicState

_CREATE = "run 'python -m services.catalogue topics create', as a user of Kafka who may"


async def lag(settings: ConsoleSettings, services: Sequence[Definition]) -> list[Finding]:
    subscriptions = [
        subscription
        for definition in services
        for subscription in ROUTERS[definition.name].subscriptions.values()
    ]
    answered = await broker_answers(settings, lags.of_groups(settings, subscriptions))
    if isinstance(answered, Unanswered):
        return [Finding("kafka", "consumer groups", Mark.UNKNOWN, answered.why)]
    return [of_group(group, clock.now()) for group in answered]


async def reading(settings: ConsoleSettings, services: Sequence[Definition]) -> list[Finding]:
    groups = await lag(settings, services)
    unasked = [line for line in groups if line.mark is Mark.UNKNOWN and line.about == "kafka"]
    return unasked or [of_service(definition.name, groups) for definition in services]


def of_service(service: str, groups: Sequence[Finding]) -> Finding:
    its_own = [line for line in groups if line.about == service]
    wrong = [line for line in its_own if line.mark is not Mark.OK]
    figures = {"topics": len(its_own), "not_well": [line.what for line in wrong]}
    if not wrong:
        return Finding(service, "topics", Mark.OK, f"reads {len(its_own)}, nothing is late", figures=figures)
    mark = Mark.ACT if any(line.mark is Mark.ACT for line in wrong) else Mark.UNKNOWN
    found = f"{len(wrong)} of {len(its_own)} are not read, or late: {wrong[0].what}: {wrong[0].found}"
    return Finding(service, "topics", mark, found, f"parcours lag --service {service}", figures)


def of_group(group: GroupLag, now: datetime) -> Finding:
    waits = None if group.oldest is None else now - group.oldest
    found, remedy = _judged(group, waits)
    mark = Mark.UNKNOWN if group.group is None else Mark.ACT if remedy else Mark.OK
    known = group.group
    figures = {
        "service": group.service,
        "topic": group.topic,
        "members": None if known is None else len(known.members),
        "partitions": None if known is None else len(known.partitions),
        "unowned": [] if known is None else sorted(known.unowned),
        "lag": group.records,
        "oldest_seconds": None if waits is None else round(waits.total_seconds(), 1),
    }
    return Finding(group.service, group.group_id, mark, found, remedy, figures)


def _judged(lag_of: GroupLag, waits: timedelta | None) -> tuple[str, str]:
    service, group = lag_of.service, lag_of.group
    if group is None:
        return f"the broker does not tell: {lag_of.unknown}", ""
    behind = "" if waits is None else f", {lag_of.records} records behind, the first for {duration(waits)}"
    if not group.partitions:
        return f"the topic {lag_of.topic} does not exist", _CREATE
    if not group.members:
        return f"nobody reads it{behind}", f"start {service}; where it runs, read its log"
    if (trouble := group.trouble()) is not None:
        return f"{trouble}{behind}", f"ask again in a minute: it may be settling; then restart {service}"
    reads = f"{len(group.members)} read {len(group.partitions)} partitions"
    if waits is None:
        return f"{reads}, nothing waits", ""
    late = f"read the log of {service}: its database may be away, or it needs more processes"
    return f"{reads}{behind}", late if waits > LATE else ""


async def all_topics(settings: ConsoleSettings) -> list[Finding]:
    answered = await broker_answers(settings, topics.states(settings, portals(settings)))
    if isinstance(answered, Unanswered):
        return [Finding("kafka", "topics", Mark.UNKNOWN, answered.why)]
    return [of_topic(state) for state in answered]


def of_topic(state: TopicState) -> Finding:
    figures = {"partitions": state.partitions, "replicas": state.replicas}
    if state.unknown:
        return Finding("kafka", state.name, Mark.UNKNOWN, f"the broker does not tell: {state.unknown}")
    wrong = list(_not_as_agreed(state))
    if wrong:
        found, remedies = zip(*wrong, strict=True)
        return Finding("kafka", state.name, Mark.ACT, "; ".join(found), "; ".join(remedies), figures)
    policy = state.agreed.broker_config["cleanup.policy"]
    found_so = f"{state.partitions} partitions, {policy}, replicated {state.replicas} times"
    return Finding("kafka", state.name, Mark.OK, found_so, figures=figures)


def _not_as_agreed(state: TopicState) -> Iterator[tuple[str, str]]:
    if not state.partitions:
        yield "does not exist: events for it wait", _CREATE
        return
    if state.partitions < state.agreed.partitions:
        yield (
            f"has {state.partitions} partitions, fewer than {state.agreed.partitions}",
            f"kafka-topics --alter --topic {state.name} --partitions {state.agreed.partitions}",
        )
    for setting, (found, wanted) in state.differences.items():
        yield (
            f"{setting} is {found}, not {wanted}",
            f"kafka-configs --alter --topic {state.name} --add-config {setting}={wanted}",
        )
