"""What is written for whoever deploys the services names every setting, topic and user."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services import deployment
from services.deployment import NOT_IN_CHART, SERVICES, all_fields, fields_of, is_secret
from shared.events.topics import TOPICS
from shared.web.links import Purpose
from tests.support.chart import OLDEST

ROOT = Path(__file__).parents[2]
SECRETS = {
    "CATALOGUE_DATABASE_URL",
    "ENROLMENT_DATABASE_URL",
    "NOTIFIER_DATABASE_URL",
    "KAFKA_SASL_PASSWORD",
    "LINK_SIGNING_KEY",
    "INTAKE_SIGNING_KEY",
    "OIDC_CLIENT_SECRET",
    "OIDC_OTHERS",
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


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in all_fields().items() if not field.description] == []


def test_secrets_are_known_for_what_they_are() -> None:
    assert {name for name, field in all_fields().items() if is_secret(name, field)} == SECRETS


# ------------------------------------------------------------------------------------------ .env.example


def test_the_example_of_env_has_all_that_compose_or_a_service_takes_and_nothing_unknown() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    taken = set(re.findall(r"\$\{(\w+)", compose)) | set(re.findall(r"(?m)^ +([A-Z_]+):$", compose))
    named = re.findall(r"(?m)^#(\w+)=", ENV_EXAMPLE)
    assert set(named) == taken | set(all_fields()) | {"COMPOSE_PROFILES"}
    assert len(named) == len(set(named))


def test_the_example_of_env_has_no_secret_and_a_copy_of_it_changes_nothing() -> None:
    given = dict(re.findall(r"(?m)^#(\w+)=(.*)$", ENV_EXAMPLE))
    passwords = {name for name in given if re.search("(PASSWORD|SECRET)$", name)}
    assert {name for name in SECRETS | passwords if given[name]} == set()
    assert {line[0] for line in ENV_EXAMPLE.splitlines() if line} == {"#"}


# ------------------------------------------------------------------------------------ operators of Kubernetes


def test_each_service_reaches_its_own_database_and_no_other() -> None:
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
    assert set(fields_of(service)) - set(listed) == set(NOT_IN_CHART) & set(fields_of(service))
    assert set(known["secrets"]) == SECRETS & set(fields_of(service))
    assert known["topics"] == [topic for topic, settings in TOPICS.items() if service in settings.listeners]


def test_a_secret_is_never_among_the_settings_of_a_config_map() -> None:
    settings, secrets = (SCHEMA["definitions"][kind] for kind in ("settings", "secrets"))
    assert set(settings["properties"]) & (SECRETS | {"PORTALS_FILE", "API_TOKENS_FILE"}) == set()
    assert settings["additionalProperties"] is secrets["additionalProperties"] is False


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_each_file_of_values_has_only_what_the_chart_knows(values: Path) -> None:
    jsonschema.validate(yaml.safe_load(values.read_text()), SCHEMA)


def test_the_chart_is_of_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


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
    assert reached.pop("topics") == {"kafka"}
    assert reached == {
        service: {"database"}
        | {DESTINATIONS[name] for name in DESTINATIONS.keys() & fields_of(service).keys()}
        | ({"webhooks"} if service == "enrolment" else set())
        for service in SERVICES
    }
