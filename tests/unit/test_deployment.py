"""What is written for whoever deploys the services names every setting, topic and user."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from services import deployment
from services.deployment import SERVICES, all_fields, fields_of, is_secret
from shared.events.topics import TOPICS, Topic

ROOT = Path(__file__).parents[2]
SECRETS = {
    "CATALOGUE_DATABASE_URL",
    "ENROLMENT_DATABASE_URL",
    "NOTIFIER_DATABASE_URL",
    "KAFKA_SASL_PASSWORD",
    "LINK_SIGNING_KEY",
    "INTAKE_SIGNING_KEY",
    "OIDC_CLIENT_SECRET",
    "SMTP_PASSWORD",
    "BOUNCE_IMAP_PASSWORD",
}
ENV_EXAMPLE = (ROOT / ".env.example").read_text()


def resources(path: str, kind: str) -> dict[str, dict[str, Any]]:
    """What a file of `deploy/kubernetes` has of a kind, by its name."""
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / path).read_text()))
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


@pytest.mark.parametrize("path", deployment.documents(), ids=str)
def test_what_is_written_is_as_the_code_is(path: Path) -> None:
    assert (ROOT / path).read_text() == deployment.documents()[path], "run `make contracts`"


def test_it_is_checked_and_written_by_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert deployment.main(["check"]) == 0
    assert deployment.main([]) == 2
    assert "write|check" in capsys.readouterr().err


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in all_fields().items() if not field.description] == []


def test_secrets_are_known_for_what_they_are() -> None:
    assert {name for name, field in all_fields().items() if is_secret(name, field)} == SECRETS


# ------------------------------------------------------------------------------------------ .env.example


@pytest.mark.parametrize("service", SERVICES)
def test_the_example_of_env_has_every_setting_of_a_service(service: str) -> None:
    named = re.findall(r"(?m)^#(\w+)=", ENV_EXAMPLE)
    assert set(fields_of(service)) - set(named) == set()
    assert len(named) == len(set(named))


def test_the_example_of_env_has_all_that_compose_takes_and_nothing_unknown() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    taken = set(re.findall(r"\$\{(\w+)", compose)) | set(re.findall(r"(?m)^ +([A-Z_]+):$", compose))
    named = set(re.findall(r"(?m)^#(\w+)=", ENV_EXAMPLE))
    assert taken - named == set()
    assert named == taken | set(all_fields())


def test_the_example_of_env_has_a_meaning_above_each_and_a_copy_of_it_changes_nothing() -> None:
    lines = ENV_EXAMPLE.splitlines()
    assert {line[0] for line in lines if line} == {"#"}
    above = {line: before for before, line in pairwise(lines) if re.match(r"#\w+=", line)}
    assert [line for line, before in above.items() if not re.match(r"# [^-]", before)] == []


def test_the_example_of_env_has_no_secret() -> None:
    given = dict(re.findall(r"(?m)^#(\w+)=(.*)$", ENV_EXAMPLE))
    passwords = {name for name in given if re.search("(PASSWORD|SECRET)$", name)}
    assert passwords > {"POSTGRES_PASSWORD", "EXAMPLE_PORTAL_SECRET"}
    assert {name for name in SECRETS | passwords if given[name]} == set()


# ------------------------------------------------------------------------------------ operators of Kubernetes


def test_strimzi_has_every_topic_as_it_is_created() -> None:
    found = resources("kafka-topics.yaml", "KafkaTopic")
    assert set(found) == {topic.value for topic in Topic} - {Topic.PORTAL_ANSWERS.value}
    for name, resource in found.items():
        agreed = TOPICS[Topic(name)]
        assert resource["spec"]["partitions"] == agreed.partitions
        assert resource["spec"]["config"] == agreed.broker_config | {"min.insync.replicas": "2"}


def test_strimzi_has_a_user_for_each_service_and_for_who_creates_topics() -> None:
    users = {f"parcours-{service}" for service in (*SERVICES, "topics")}
    assert set(resources("kafka-users.yaml", "KafkaUser")) == users


def test_all_of_it_is_of_the_cluster_of_the_example() -> None:
    (cluster,) = resources("kafka.yaml", "Kafka")
    labelled = resources("kafka.yaml", "KafkaNodePool") | resources("kafka-topics.yaml", "KafkaTopic")
    for resource in (labelled | resources("kafka-users.yaml", "KafkaUser")).values():
        assert resource["metadata"]["labels"] == {"strimzi.io/cluster": cluster}


def test_each_service_has_a_database_of_its_own_and_nobody_elses_is_open() -> None:
    assert {
        name: database["spec"]["owner"] for name, database in resources("postgres.yaml", "Database").items()
    } == {service: service for service in SERVICES}
    cluster = resources("postgres.yaml", "Cluster")["postgres"]["spec"]
    assert [role["name"] for role in cluster["managed"]["roles"]] == list(SERVICES)
    assert cluster["postgresql"]["pg_hba"] == [
        *(f"hostssl {service} {service} all scram-sha-256" for service in SERVICES),
        "host all all all reject",
    ]
