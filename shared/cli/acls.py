import shlex
from collections.abc import Iterable, Iterator
from enum import StrEnum

from shared.messaging.acls import AclResource, Operation, Right, User


class AclFormat(StrEnum):
    KAFKA_ACLS = "kafka-acls"
    STRIMZI = "strimzi"


_OPTIONS = {
    AclResource.TOPIC: "--topic",
    AclResource.GROUP: "--group",
    AclResource.TRANSACTIONAL_ID: "--transactional-id",
}
_STRIMZI_TYPES = {
    AclResource.TOPIC: "topic",
    AclResource.GROUP: "group",
    AclResource.TRANSACTIONAL_ID: "transactionalId",
}


def written(users: Iterable[User], wanted: AclFormat, cluster: str) -> str:
    """``cluster`` is the name of Strimzi's ``Kafka`` resource."""
    match wanted:
        case AclFormat.KAFKA_ACLS:
            return "\n".join(_command(user, right) for user in users for right in user.rights)
        case AclFormat.STRIMZI:
            return "\n".join(line for user in users for line in _kafka_user(user, cluster))


def _command(user: User, right: Right) -> str:
    options = [f"--allow-principal {shlex.quote(user.principal)}"]
    options += [f"--operation {_named(operation)}" for operation in right.operations]
    options += [f"{_OPTIONS[right.resource]} {shlex.quote(name)}" for name in right.names]
    if right.prefixed:
        options.append("--resource-pattern-type prefixed")
    return (
        'kafka-acls --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --command-config admin.properties --add '
        + " ".join(options)
    )


def _kafka_user(user: User, cluster: str) -> Iterator[str]:
    yield from (
        "---",
        "apiVersion: kafka.strimzi.io/v1",
        "kind: KafkaUser",
        "metadata:",
        f"  name: {user.name}",
        "  labels:",
        f"    strimzi.io/cluster: {cluster}",
        "spec:",
        "  authentication:",
        "    type: scram-sha-512",
        "  authorization:",
        "    type: simple",
        "    acls:",
    )
    for right in user.rights:
        for name in right.names:
            yield "      - resource:"
            yield f"          type: {_STRIMZI_TYPES[right.resource]}"
            yield f"          name: {name}"
            yield f"          patternType: {'prefix' if right.prefixed else 'literal'}"
            yield f"        operations: [{', '.join(_named(operation) for operation in right.operations)}]"


def _named(operation: Operation) -> str:
    return "".join(map(str.capitalize, operation.name.split("_")))
