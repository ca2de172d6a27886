"""docker-compose.yml: limits and secrets of containers, and what its scripts read."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.deployment import SERVICES, fields_of, is_secret
from shared.published_secrets import is_published

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {name for name, container in CONTAINERS.items() if container.get("restart") == "no"}
TRIAL_SECRETS = ROOT / "deploy" / "try-out-secrets"


def test_each_container_has_a_limit_of_memory_and_time_to_stop() -> None:
    assert {name for name, container in CONTAINERS.items() if "mem_limit" not in container} == set()
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "parcours" / "values.yaml").read_text())
    longest = f"{chart['terminationGracePeriodSeconds']}s"
    stay = {name: container.get("stop_grace_period") for name, container in CONTAINERS.items()}
    assert {stay[name] for name in set(CONTAINERS) - ONCE} == {longest}


def test_only_what_needs_the_broker_and_the_database_is_on_their_network() -> None:
    outside = {"gateway", "grafana", "mailbox", "prometheus"}
    by_socket = {name for name, container in CONTAINERS.items() if container.get("network_mode") == "none"}
    networks = {name: set(container.get("networks", ["default"])) for name, container in CONTAINERS.items()}
    assert {name for name, own in networks.items() if "data" not in own} - by_socket == outside
    assert {name for name, own in networks.items() if own == {"data"}} == {"kafka", "postgres"}


def test_each_image_of_others_is_pinned_at_its_tag() -> None:
    pinned = yaml.safe_load((ROOT / "deploy" / "pinned-images.yml").read_text())
    used = {name: container["image"] for name, container in CONTAINERS.items() if "image" in container}
    of_others = {name: image for name, image in used.items() if not image.startswith("parcours-")}
    images = {name: container["image"] for name, container in pinned["services"].items()}
    base = re.search("(?m)^ARG PYTHON_IMAGE=(.+)$", (ROOT / "Dockerfile").read_text())
    assert base
    of_others["python"], images["python"] = base[1], pinned["x-python"]
    assert {name: image.partition("@")[0] for name, image in images.items()} == of_others
    assert [image for image in images.values() if not re.fullmatch(r".+@sha256:[0-9a-f]{64}", image)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_own_secrets_alone_and_each_as_a_file(service: str) -> None:
    container = CONTAINERS[service]
    secrets = {name for name, field in fields_of(service).items() if is_secret(name, field)}
    assert set(container["secrets"]) == secrets | {"KAFKA_CA"}
    assert {name: container["environment"][f"{name}_FILE"] for name in secrets} == {
        name: f"/run/secrets/{name}" for name in secrets
    }
    own = f"{service.upper()}_DATABASE_URL"
    of_owner = {"source": f"{service.upper()}_OWNER_DATABASE_URL", "target": own}
    assert CONTAINERS[f"{service}-migrate"]["secrets"] == [of_owner, *container["secrets"][1:]]
    assert container["secrets"][0] == own


@pytest.mark.parametrize(
    ("hours", "code"), [([], 1), ([30], 0), ([50], 1), ([50, 30], 0)], ids=["none", "new", "old", "both"]
)
def test_the_check_of_backups_fails_if_none_was_made_last_night(
    tmp_path: Path, hours: list[int], code: int
) -> None:
    (tmp_path / "base" / "draft").mkdir(parents=True)  # one that is being made, or was not finished
    for age in hours:
        (tmp_path / "base" / f"{datetime.now(UTC) - timedelta(hours=age):%Y%m%dT%H%M%SZ}").mkdir()
    script = ["sh", str(ROOT / "deploy" / "backup" / "newest.sh")]
    done = subprocess.run(
        script, env=os.environ | {"ARCHIVE": str(tmp_path)}, capture_output=True, check=False
    )
    assert done.returncode == code


def test_every_secret_is_a_file_of_the_folder_and_the_project_has_one_to_try_it_out() -> None:
    assert {name: secret["file"] for name, secret in COMPOSE["secrets"].items()} == {
        name: f"${{SECRETS_DIR:-./deploy/try-out-secrets}}/{name}" for name in COMPOSE["secrets"]
    }
    given = {path.name: path.read_text().strip() for path in TRIAL_SECRETS.iterdir()}
    assert set(given) == set(COMPOSE["secrets"])
    keys = {name: text for name, text in given.items() if text and not name.endswith("_URL")}
    assert keys.pop("GRAFANA_ADMIN_PASSWORD") == "essai"
    assert set(keys) == {"POSTGRES_PASSWORD", "LINK_SIGNING_KEY", "INTAKE_SIGNING_KEY"}
    assert all(is_published(text) for text in keys.values())


def test_no_secret_is_in_an_environment_but_the_example_portals() -> None:
    named = {name for container in CONTAINERS.values() for name in container.get("environment", {})}
    assert {name for name in named if re.search("PASSWORD$|_KEY$|SECRET$|_DATABASE_URL$", name)} == {"SECRET"}


@pytest.mark.parametrize(
    ("password", "read"), [("simple", "simple"), ("p%40ss%3A%2Fw%27rd", "p@ss:/w'rd"), ("a%25b", "a%b")]
)
def test_the_database_has_the_passwords_that_the_services_have(
    tmp_path: Path, password: str, read: str
) -> None:
    for service in SERVICES:
        for role, of_role in ((service, ""), (f"{service}_owner", "OWNER_")):
            url = f"postgresql+asyncpg://{role}:{of_role}{password}@postgres:5432/{service}"
            (tmp_path / f"{service.upper()}_{of_role}DATABASE_URL").write_text(url + "\n")
    psql = tmp_path / "psql"
    psql.write_text('#!/bin/sh\nprintf "%s\\n" "$@" | grep -E "^(name|owner|password|owner_password)="\n')
    psql.chmod(0o755)
    script = (ROOT / "deploy" / "postgres" / "10-databases.sh").read_text()
    script = script.replace("/run/secrets", str(tmp_path))
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "POSTGRES_USER": "postgres"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        line
        for service in SERVICES
        for line in (
            f"name={service}",
            f"owner={service}_owner",
            f"password={read}",
            f"owner_password=OWNER_{read}",
        )
    ]
