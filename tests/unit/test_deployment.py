"""What is written for whoever deploys the services names every setting, topic and user."""

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services import deployment
from services.deployment import NOT_IN_CHART, SERVICES, all_fields, fields_of, is_secret
from shared.events.topics import TOPICS, Topic
from shared.web.links import Purpose
from tests.conftest import settings_of
from tests.support.chart import OLDEST, NoHelm, helm

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
    assert named == taken | set(all_fields()) | {"COMPOSE_PROFILES"}


def test_the_example_of_env_has_a_meaning_above_each_and_a_copy_of_it_changes_nothing() -> None:
    lines = ENV_EXAMPLE.splitlines()
    assert {line[0] for line in lines if line} == {"#"}
    above = {line: before for before, line in pairwise(lines) if re.match(r"#\w+=", line)}
    assert [line for line, before in above.items() if not re.match(r"# [^-]", before)] == []


def test_the_example_of_env_has_no_secret() -> None:
    given = dict(re.findall(r"(?m)^#(\w+)=(.*)$", ENV_EXAMPLE))
    passwords = {name for name in given if re.search("(PASSWORD|SECRET)$", name)}
    assert passwords > {"SMTP_PASSWORD", "EXAMPLE_PORTAL_SECRET"}
    assert {name for name in SECRETS | passwords if given[name]} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_example_of_env_gives_is_what_compose_or_the_service_takes_anyway(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    environment = settings_of(service, "postgresql://x@localhost/x", "x:1")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][service]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = dict(re.findall(r"(?m)^#(\w+)=(.+)$", ENV_EXAMPLE))
    left = {name for name in fields_of(service) if compose.get(name) is None} & set(given)
    before = SERVICES[service]().model_dump(include={name.lower() for name in left - set(environment)})
    for name in left - set(environment):
        monkeypatch.setenv(name, given[name])
    assert SERVICES[service]().model_dump(include=set(before)) == before
    assert len(before) > 10


# ------------------------------------------------------------------------------------ operators of Kubernetes


def test_strimzi_has_every_topic_as_it_is_created() -> None:
    found = resources("kafka-topics.yaml", "KafkaTopic")
    assert set(found) == {topic.value for topic in Topic} - {Topic.PORTAL_ANSWERS.value}
    for name, resource in found.items():
        agreed = TOPICS[Topic(name)]
        assert resource["spec"]["partitions"] == agreed.partitions
        assert resource["spec"]["config"] == agreed.broker_config | {"min.insync.replicas": "2"}


def test_strimzi_has_a_user_for_each_service_for_who_creates_topics_and_for_who_looks() -> None:
    users = {f"parcours-{service}" for service in (*SERVICES, "topics", "console", "keda")}
    assert set(resources("kafka-users.yaml", "KafkaUser")) == users


def test_all_of_it_is_of_the_cluster_of_the_example() -> None:
    (cluster,) = resources("kafka.yaml", "Kafka")
    labelled = resources("kafka.yaml", "KafkaNodePool") | resources("kafka-topics.yaml", "KafkaTopic")
    for resource in (labelled | resources("kafka-users.yaml", "KafkaUser")).values():
        assert resource["metadata"]["labels"] == {"strimzi.io/cluster": cluster}


def test_each_service_has_a_database_of_its_own_and_nobody_elses_is_open() -> None:
    assert {
        name: database["spec"]["owner"] for name, database in resources("postgres.yaml", "Database").items()
    } == {service: f"{service}_owner" for service in SERVICES}
    cluster = resources("postgres.yaml", "Cluster")["postgres"]["spec"]
    roles = [role for service in SERVICES for role in (f"{service}_owner", service)]
    assert [role["name"] for role in cluster["managed"]["roles"]] == roles
    assert cluster["postgresql"]["pg_hba"] == [
        *(f"hostssl {service} {service},{service}_owner all scram-sha-256" for service in SERVICES),
        "host all all all reject",
    ]


def test_the_wal_is_archived_and_a_base_backup_is_made_each_night() -> None:
    (archive,) = resources("postgres.yaml", "ObjectStore")
    cluster = resources("postgres.yaml", "Cluster")["postgres"]["spec"]
    (plugin,) = cluster["plugins"]
    assert plugin["isWALArchiver"]
    assert plugin["parameters"] == {"barmanObjectName": archive}
    (backup,) = resources("postgres.yaml", "ScheduledBackup").values()
    assert backup["spec"]["pluginConfiguration"] == {"name": plugin["name"]}


def test_keda_reaches_kafka_as_its_user_by_what_strimzi_makes() -> None:
    (secret,) = resources("keda.yaml", "Secret").values()
    (authentication,) = resources("keda.yaml", "TriggerAuthentication").values()
    sources = {
        each["parameter"]: (each["name"], each["key"]) for each in authentication["spec"]["secretTargetRef"]
    }
    of_secret = {key: (secret["metadata"]["name"], key) for key in secret["stringData"]}
    (cluster,) = resources("kafka.yaml", "Kafka")
    user = secret["stringData"]["username"]
    assert user in resources("kafka-users.yaml", "KafkaUser")
    assert sources == of_secret | {
        "password": (user, "password"),
        "ca": (f"{cluster}-cluster-ca-cert", "ca.crt"),
    }


# ------------------------------------------------------------------------------------------------ the chart

CHART = ROOT / deployment.CHART
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = sorted(CHART.glob("values*.yaml"))


def known_to_chart(service: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = yaml.safe_load((CHART / "settings.yaml").read_text())[service]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_chart_has_every_setting_of_a_service_or_says_why_not(service: str) -> None:
    known = known_to_chart(service)
    listed = [*known["settings"], *known["secrets"], *known["files"]]
    assert len(listed) == len(set(listed))
    assert set(fields_of(service)) == (set(listed) | set(NOT_IN_CHART)) & set(fields_of(service))
    assert set(listed) - set(fields_of(service)) == {"PGSSLROOTCERT", "SSL_CERT_FILE"}
    assert set(listed) & set(NOT_IN_CHART) == set()
    assert set(known["secrets"]) == SECRETS & set(fields_of(service))
    assert set(known["files"]) - {"PGSSLROOTCERT"} == {name for name in listed if name.endswith("_FILE")}


@pytest.mark.parametrize("service", SERVICES)
def test_the_chart_knows_what_a_service_cannot_do_without_and_what_it_listens_to(service: str) -> None:
    known = known_to_chart(service)
    assert {"KAFKA_BOOTSTRAP_SERVERS", f"{service.upper()}_DATABASE_URL"} <= set(known["required"])
    assert known["topics"] == [topic for topic, settings in TOPICS.items() if service in settings.listeners]


def test_the_console_has_the_settings_of_all_services() -> None:
    for kind, names in known_to_chart("console").items():
        assert set(names) == {name for service in SERVICES for name in known_to_chart(service)[kind]}


def test_a_secret_is_never_among_the_settings_of_a_config_map() -> None:
    settings, secrets = (SCHEMA["definitions"][kind] for kind in ("settings", "secrets"))
    assert set(settings["properties"]) & (SECRETS | {"PORTALS_FILE", "API_TOKENS_FILE"}) == set()
    assert set(secrets["properties"]) > set(settings["properties"]) | SECRETS
    assert settings["additionalProperties"] is secrets["additionalProperties"] is False


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_each_file_of_values_has_only_what_the_chart_knows(values: Path) -> None:
    jsonschema.validate(yaml.safe_load(values.read_text()), SCHEMA)


def named_secrets(values: Any) -> set[str]:
    """The secrets that values name, wherever."""
    if not isinstance(values, dict):
        return set()
    own = {value for key, value in values.items() if key in ("secret", "existingSecret", "tlsSecret")}
    return own.union(*(named_secrets(value) for value in values.values()))


def test_all_that_the_values_for_production_name_is_made_by_the_examples_or_by_a_command_of_the_guide() -> (
    None
):
    values = yaml.safe_load((CHART / "values-production.yaml").read_text())
    guide = (ROOT / "docs" / "operations.md").read_text()
    made = set(re.findall(r"kubectl create secret (?:generic|tls) ([\w-]+)", guide))
    made |= set(resources("kafka-users.yaml", "KafkaUser"))
    made |= {f"{name}-cluster-ca-cert" for name in resources("kafka.yaml", "Kafka")}
    made |= {f"{name}-ca" for name in resources("postgres.yaml", "Cluster")}
    assert len(named_secrets(values)) > 6
    assert named_secrets(values) - made == set()
    assert values["autoscaling"]["authentication"] in resources("keda.yaml", "TriggerAuthentication")


def test_each_container_of_production_is_a_user_of_its_own_at_kafka() -> None:
    values = yaml.safe_load((CHART / "values-production.yaml").read_text())
    own = values["services"] | {name: values[name] for name in ("console", "topics")}
    for name, of in own.items():
        user = of["settings"]["KAFKA_SASL_USERNAME"]
        assert user == f"parcours-{name}"
        assert of["secrets"]["KAFKA_SASL_PASSWORD"] == {"secret": user, "key": "password"}


def test_the_chart_is_of_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


def test_the_images_run_as_the_user_of_the_chart_by_its_number() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"(?m)^USER (\S+)$", dockerfile) == ["10001", "0", "10001"]
    assert "--gid 10001 parcours && useradd --system --uid 10001 --gid parcours" in dockerfile
    pod = (CHART / "templates" / "_parcours.tpl").read_text()
    assert re.findall(r"(?:runAsUser|runAsGroup|fsGroup): (\d+)", pod) == ["10001"] * 3


def test_a_service_of_the_cluster_cannot_set_our_ports() -> None:
    assert "enableServiceLinks: false" in (CHART / "templates" / "_parcours.tpl").read_text()


def test_the_link_of_every_letter_leads_to_the_service_that_owns_its_page() -> None:
    text = (CHART / "templates" / "ingress.yaml").read_text()
    paths = dict(re.findall(r'"(/\w*)" "(\w+)"', text))
    for page in [*Purpose, *("/", "/sessions", "/gestion", "/donnees-personnelles")]:
        owner = page.owner if isinstance(page, Purpose) else "catalogue"
        assert paths["/" + page.split("/")[1] if "/" + page.split("/")[1] in paths else "/"] == owner
    assert {paths[path] for path in ("/attestations", "/problems")} == {"enrolment"}


DESTINATIONS = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka",
    "OIDC_ISSUER": "issuer",
    "SMTP_HOST": "relay",
    "BOUNCE_IMAP_HOST": "bounces",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "traces",
}
"""What a setting of a service leads to, by the names of the chart's ``networkPolicy.egress``."""


def test_the_network_policies_let_each_service_reach_what_its_settings_lead_to() -> None:
    text = (CHART / "templates" / "networkpolicies.yaml").read_text()
    reached = {
        service: set(re.findall(r'"(\w+)"', names))
        for service, names in re.findall(r'"(\w+)" \(list (.+?)\)', text)
    }
    assert reached.pop("console") == {"kafka", "database", "relay"}  # what `parcours doctor` looks at
    assert reached == {
        service: {"database"}
        | {DESTINATIONS[name] for name in DESTINATIONS.keys() & fields_of(service).keys()}
        for service in SERVICES
    }


def test_the_chart_installs_the_alerts_that_are_tried() -> None:
    assert (CHART / "alerts.yaml").resolve() == ROOT / "deploy" / "prometheus" / "rules.yml"


def test_the_address_of_the_runbooks_is_a_value_of_the_chart() -> None:
    given = yaml.safe_load((CHART / "values.yaml").read_text())["prometheusRule"]["runbooks"]
    assert f'replace "{given}" .Values' in (CHART / "templates" / "monitoring.yaml").read_text()
    urls = re.findall(r"runbook_url: (\S+)/\w+\.md", (CHART / "alerts.yaml").read_text())
    assert set(urls) == {given}


def test_without_helm_and_go_nobody_believes_that_the_chart_was_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoHelm, match="neither helm nor Go"):
        helm(tmp_path)
