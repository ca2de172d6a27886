"""The rights of each user on a broker with ACLs: no more than the user needs.

Users are ``parcours-<service>``, ``portal-<portal>``, ``parcours-topics``, ``parcours-console`` (reads only)
and ``parcours-keda`` (counts waiting records, and reads none).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from aiokafka.errors import ClusterAuthorizationFailedError, SecurityDisabled, for_code
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest

from shared.events.topics import TOPICS, Topic, answers_topic, is_of_portals
from shared.messaging.broker import KafkaSettings
from shared.messaging.clients import admin_client
from shared.messaging.portals.registry import Portal

_ANY_ANSWERS = answers_topic("")
_ANY_HOST = _ANY_NAME = "*"
_LITERAL, _PREFIXED, _ALLOW = 3, 4, 3
_ANY = 1
_ALL_OPERATIONS = 2


class AclResource(Enum):
    """Kinds of resources, with Kafka's numbers."""

    TOPIC = 2
    GROUP = 3
    TRANSACTIONAL_ID = 5


class Operation(Enum):
    """Operations, with Kafka's numbers. Reading and writing include describing."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on resources with these names, or with these prefixes if ``prefixed``."""

    operations: tuple[Operation, ...]
    resource: AclResource
    names: tuple[str, ...]
    prefixed: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """A user by SASL username, with its rights."""

    name: str
    rights: tuple[Right, ...]

    @property
    def principal(self) -> str:
        return f"User:{self.name}"


_READ, _WRITE = (Operation.READ,), (Operation.WRITE,)
_SERVICES = tuple(dict.fromkeys(listener for topic in TOPICS.values() for listener in topic.listeners))
_REQUESTS = tuple(topic.value for topic in Topic if is_of_portals(topic))
_GROUPS = tuple(f"{service}.{topic}" for topic, settings in TOPICS.items() for service in settings.listeners)
_HEARD = tuple(topic.value for topic, settings in TOPICS.items() if settings.listeners)

_PASSED_ON = {"enrolment": _REQUESTS, "notifier": (Topic.PORTAL_AGENTS.value,)}
"""Topics of requests that a service also publishes: requests sent by HTTP, and requests of support."""


def users(portals: Iterable[Portal]) -> list[User]:
    """Return all users. Only portals that use Kafka are among them."""
    created = (Operation.CREATE, Operation.DESCRIBE)
    looked_at = (Operation.READ, Operation.DESCRIBE_CONFIGS)
    described = (Operation.DESCRIBE,)
    everything = tuple(topic.value for topic in Topic if topic is not Topic.PORTAL_ANSWERS)
    return [
        User(
            "parcours-topics",
            (
                Right(created, AclResource.TOPIC, everything),
                Right(created, AclResource.TOPIC, (_ANY_ANSWERS,), prefixed=True),
            ),
        ),
        *(User(f"parcours-{service}", tuple(_of_service(service))) for service in sorted(_SERVICES)),
        User(
            "parcours-console",
            (
                Right(looked_at, AclResource.TOPIC, everything),
                Right(looked_at, AclResource.TOPIC, (_ANY_ANSWERS,), prefixed=True),
                Right(described, AclResource.GROUP, _GROUPS),
            ),
        ),
        User(
            "parcours-keda",
            (Right(described, AclResource.TOPIC, _HEARD), Right(described, AclResource.GROUP, _GROUPS)),
        ),
        *(User(f"portal-{portal.portal}", rights) for portal in portals if (rights := tuple(_of(portal)))),
    ]


def _of_service(service: str) -> Iterator[Right]:
    own = tuple(topic.value for topic in Topic if topic.value.startswith(f"{service}."))
    shared = tuple(
        topic.value for topic in Topic if service in topic.publishers and len(topic.publishers) > 1
    )
    heard = tuple(topic.value for topic, settings in TOPICS.items() if service in settings.listeners)
    # A service that lost its database reads its own events back.
    yield Right(_READ, AclResource.TOPIC, (*heard, *own))
    yield Right(_READ, AclResource.GROUP, tuple(f"{service}.{topic}" for topic in heard))
    yield Right(_WRITE, AclResource.TOPIC, (*own, *shared, *_PASSED_ON.get(service, ())))
    if service in Topic.PORTAL_ANSWERS.publishers:
        yield Right(_WRITE, AclResource.TOPIC, (_ANY_ANSWERS,), prefixed=True)
    yield Right(_WRITE, AclResource.TRANSACTIONAL_ID, (f"{service}-relay-",), prefixed=True)


def _of(portal: Portal) -> Iterator[Right]:
    """A portal with keys may write requests. Each portal may read its own answers.

    It gets no transactions: an open transaction would block all readers of the topic.
    """
    if portal.keys or portal.authentication == "none":
        yield Right(_WRITE, AclResource.TOPIC, _REQUESTS)
    if "kafka" in portal.answers:
        yield Right(_READ, AclResource.TOPIC, (answers_topic(portal.portal),))
        yield Right(_READ, AclResource.GROUP, (f"portal.{portal.portal}.",), prefixed=True)


async def apply(settings: KafkaSettings, granted: Sequence[User]) -> None:
    """Add these rights on the broker. Existing rights stay. Raises ``KafkaError``.

    aiokafka has Kafka's requests for ACLs, but no method of its admin client sends them.
    """
    async with admin_client(settings, "parcours-acls") as admin:
        for user in granted:
            for request in _requests(user):
                response = await admin._send_request(request)  # noqa: SLF001 see above
                for code, _ in response.creation_responses:  # the broker's message quotes its internals
                    if code:
                        raise for_code(code)(f"the rights of {user.name} could not be added")


class RightsNotListed(Exception):
    """The broker does not list the rights of its users."""


class NoAuthorizer(RightsNotListed):
    """The broker has no ACLs: every client may do everything."""


async def missing(settings: KafkaSettings, granted: Sequence[User]) -> dict[str, list[str]]:
    """Return the rights that users lack on the broker, in words, by username.

    A right on all names or to all operations counts too. Raises :class:`NoAuthorizer`,
    :class:`RightsNotListed`, ``KafkaError``.
    """
    given = await _given(settings)
    lacking = {
        user.name: [str(entry) for entry in _entries(user) if not any(g.covers(entry) for g in given)]
        for user in granted
    }
    return {name: lacks for name, lacks in lacking.items() if lacks}


async def _given(settings: KafkaSettings) -> list["AclEntry"]:
    async with admin_client(settings, "parcours-acls") as admin:
        every = DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)
        answer = await admin._send_request(every)  # noqa: SLF001 see apply
    match answer.error_code:
        case SecurityDisabled.errno:
            raise NoAuthorizer("the broker has no authorizer")
        case ClusterAuthorizationFailedError.errno:
            raise RightsNotListed("this user may not list rights")
        case code if code:
            raise for_code(code)("the rights could not be listed")
    return [
        AclEntry(resource, name, pattern == _PREFIXED, principal, operation)
        for resource, name, pattern, rules in answer.resources
        for principal, host, operation, permission in rules
        if permission == _ALLOW and host == _ANY_HOST
    ]


@dataclass(frozen=True, slots=True)
class AclEntry:
    """One operation of one user on one resource name, in Kafka's numbers."""

    resource: int
    name: str
    prefixed: bool
    principal: str
    operation: int

    def __str__(self) -> str:
        kind = AclResource(self.resource).name.lower().replace("_", " ")
        return f"{Operation(self.operation).name.lower()} {kind} {self.name}{'…' if self.prefixed else ''}"

    def covers(self, wanted: "AclEntry") -> bool:
        if self.resource != wanted.resource or self.principal != wanted.principal:
            return False
        if self.operation not in (_ALL_OPERATIONS, wanted.operation):
            return False
        if self.prefixed:
            return wanted.name.startswith(self.name)
        return self.name == _ANY_NAME or (self.name == wanted.name and not wanted.prefixed)


def _entries(user: User) -> Iterator[AclEntry]:
    for right in user.rights:
        for name in right.names:
            for operation in right.operations:
                yield AclEntry(right.resource.value, name, right.prefixed, user.principal, operation.value)


def _requests(user: User) -> Iterator[CreateAclsRequest]:
    for entry in _entries(user):
        yield CreateAclsRequest(
            resource_type=entry.resource,
            resource_name=entry.name,
            resource_pattern_type_filter=_PREFIXED if entry.prefixed else _LITERAL,
            principal=entry.principal,
            host=_ANY_HOST,
            operation=entry.operation,
            permission_type=_ALLOW,
        )
