"""What each user of a broker may do: what it needs and no more, written in two ways."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from shared.cli.acls import AclFormat, written
from shared.events.topics import TOPICS, Topic
from shared.messaging.acls import AclEntry, User, users
from shared.messaging.portals.registry import Portal

GrantedRight = tuple[str, str, str, bool, str]
"""User, resource, name, whether it is a prefix, operation."""

REQUESTS = ["portal.enrolments", "portal.bespoke", "portal.agents"]


def a_portal(name: str = "iel", **changes: Any) -> Portal:
    key = {"id": "2026-11", "secret": "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM="}
    entry = {"portal": name, "issuer": name, "contact": "equipe@portail.example", "keys": [key]}
    return Portal.model_validate(entry | {"answers": ["kafka", "http"]} | changes)


def granted(given: list[User]) -> Iterator[GrantedRight]:
    for user in given:
        for right in user.rights:
            for name in right.names:
                for operation in right.operations:
                    yield user.name, right.resource.name, name, right.prefixed, operation.name


def rights_of(user: str, *portals: Portal) -> set[tuple[str, str, bool, str]]:
    return {entry[1:] for entry in granted(users(portals)) if entry[0] == user}


def test_a_portal_sends_requests_and_reads_its_own_answers_with_groups_of_its_own() -> None:
    assert rights_of("portal-iel", a_portal(), a_portal("sirh")) == {
        *(("TOPIC", topic, False, "WRITE") for topic in REQUESTS),
        ("TOPIC", "portal.answers.iel", False, "READ"),
        ("GROUP", "portal.iel.", True, "READ"),
    }


@pytest.mark.parametrize(
    ("changes", "operations"),
    [
        ({"answers": ["http"]}, {"WRITE"}),
        ({"keys": []}, {"READ"}),
        ({"keys": [], "authentication": "none"}, {"READ", "WRITE"}),
        ({"keys": [], "answers": ["http"]}, set()),
    ],
)
def test_a_portal_may_do_by_kafka_only_what_it_does_there(
    changes: dict[str, Any], operations: set[str]
) -> None:
    assert {right[3] for right in rights_of("portal-iel", a_portal(**changes))} == operations


@pytest.mark.parametrize("service", ["catalogue", "enrolment", "notifier"])
def test_a_service_reads_what_it_listens_to_with_its_own_groups_and_writes_what_is_its_own(
    service: str,
) -> None:
    rights = rights_of(f"parcours-{service}", a_portal())
    heard = {topic.value for topic, settings in TOPICS.items() if service in settings.listeners}
    own = {topic.value for topic in Topic if topic.value.startswith(f"{service}.")}
    said_too = {
        "catalogue": {"requests.outcomes", "agents.erased"},
        "enrolment": {*REQUESTS, "portal.answers.", "agents.erased"},
        "notifier": {"requests.outcomes", "agents.erased", "portal.agents"},
    }[service]
    assert rights == {
        *(("TOPIC", topic, False, "READ") for topic in heard | own),
        *(("GROUP", f"{service}.{topic}", False, "READ") for topic in heard),
        *(("TOPIC", topic, topic.endswith("."), "WRITE") for topic in own | said_too),
        ("TRANSACTIONAL_ID", f"{service}-relay-", True, "WRITE"),
    }


def test_no_portal_has_the_user_or_the_groups_of_a_service() -> None:
    given = users([a_portal("enrolment"), a_portal("topics")])
    assert len({user.name for user in given}) == len(given)
    groups = {entry[2] for entry in granted(given) if entry[0] == "portal-enrolment" and entry[1] == "GROUP"}
    assert groups == {"portal.enrolment."}


def operation_of(spelling: str) -> str:
    """Our name of an operation that Kafka and Strimzi spell DescribeConfigs."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", spelling).upper()


def test_the_commands_of_kafka_give_just_these_rights() -> None:
    given = users([a_portal(), a_portal("sirh")])
    options = {"--topic": "TOPIC", "--group": "GROUP", "--transactional-id": "TRANSACTIONAL_ID"}
    found = []
    for command in written(given, AclFormat.KAFKA_ACLS, "kafka").splitlines():
        arguments = shlex.split(command)
        assert arguments[:6] == [
            *("kafka-acls", "--bootstrap-server", "$KAFKA_BOOTSTRAP_SERVERS"),
            *("--command-config", "admin.properties", "--add"),
        ]
        pairs = list(zip(arguments[6::2], arguments[7::2], strict=True))
        [user] = [value for option, value in pairs if option == "--allow-principal"]
        operations = [operation_of(value) for option, value in pairs if option == "--operation"]
        prefixed = ("--resource-pattern-type", "prefixed") in pairs
        found += [
            (user.removeprefix("User:"), options[option], name, prefixed, operation)
            for option, name in pairs
            if option in options
            for operation in operations
        ]
    assert sorted(found) == sorted(granted(given))


def test_the_resources_of_strimzi_give_just_these_rights() -> None:
    given = users([a_portal(), a_portal("sirh")])
    types = {"topic": "TOPIC", "group": "GROUP", "transactionalId": "TRANSACTIONAL_ID"}
    documents = list(yaml.safe_load_all(written(given, AclFormat.STRIMZI, "parcours")))
    found = []
    for document in documents:
        assert (document["kind"], document["spec"]["authentication"]) == (
            "KafkaUser",
            {"type": "scram-sha-512"},
        )
        assert document["metadata"]["labels"] == {"strimzi.io/cluster": "parcours"}
        found += [
            (
                document["metadata"]["name"],
                types[acl["resource"]["type"]],
                acl["resource"]["name"],
                {"literal": False, "prefix": True}[acl["resource"]["patternType"]],
                operation_of(operation),
            )
            for acl in document["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        ]
    assert sorted(found) == sorted(granted(given))


READ, ALL = 3, 2
WANTED = AclEntry(2, "enrolment.decisions", False, "User:parcours-notifier", READ)


@pytest.mark.parametrize(
    ("changes", "covers"),
    [
        ({}, True),
        ({"operation": ALL}, True),
        ({"operation": 4}, False),
        ({"name": "*"}, True),
        ({"name": "enrolment.", "prefixed": True}, True),
        ({"name": "enrolment."}, False),
        ({"name": "catalogue.", "prefixed": True}, False),
        ({"resource": 3}, False),
        ({"principal": "User:parcours-catalogue"}, False),
    ],
)
def test_a_right_counts_where_the_broker_would_let_it_count(changes: dict[str, Any], covers: bool) -> None:
    assert replace(WANTED, **changes).covers(WANTED) is covers
    wanted = replace(WANTED, name="portal.answers.", prefixed=True)
    assert not replace(wanted, prefixed=False).covers(wanted), "one name is not all that begin so"
