"""docker-compose.yml: what runs by which profile, which secrets a container sees, what `make up` does."""

import json
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
DOCKER = """#!/bin/sh
case "$*" in
    "compose ps --all --quiet enrolment") printf 'a\\nb\\nc\\n' ;;
    "compose ps --all --quiet notifier") ;;
    "compose ps"*) echo a ;;
    "compose up --help") echo "      --wait   Wait for services to be running|healthy" ;;
esac
"""


def of_profile(profile: str) -> set[str]:
    return {name for name, container in CONTAINERS.items() if container.get("profiles") == [profile]}


def test_what_is_for_trials_or_for_watching_runs_by_its_profile_alone() -> None:
    assert of_profile("demo") == {"mailbox", "portal", "offer"}
    assert of_profile("observability") == {"prometheus", "grafana"}
    assert of_profile("archive") == {"archive"}
    assert {name for name in CONTAINERS if "profiles" not in CONTAINERS[name]} == {
        *("kafka", "postgres", "gateway", "topics", *SERVICES),
        *(f"{service}-migrate" for service in SERVICES),
    }


def test_nothing_waits_for_what_a_profile_leaves_out() -> None:
    for name, container in CONTAINERS.items():
        for awaited in container.get("depends_on", []):
            assert CONTAINERS[awaited].get("profiles") in (None, container.get("profiles")), name


def test_somebody_waits_for_all_that_ends_or_compose_would_take_its_end_for_a_failure() -> None:
    awaited = {
        awaited
        for container in CONTAINERS.values()
        if isinstance(container.get("depends_on"), dict)
        for awaited, how in container["depends_on"].items()
        if how["condition"] == "service_completed_successfully"
    }
    assert awaited == ONCE - {"console", "restore"}


def test_a_trial_loads_its_offer_on_a_new_volume_alone() -> None:
    assert " load-offer --if-none " in CONTAINERS["offer"]["command"]


def test_each_container_has_a_limit_of_memory_and_time_to_stop() -> None:
    assert {name for name, container in CONTAINERS.items() if "mem_limit" not in container} == set()
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "parcours" / "values.yaml").read_text())
    longest = f"{chart['terminationGracePeriodSeconds']}s"
    stay = {name: container.get("stop_grace_period") for name, container in CONTAINERS.items()}
    assert {stay[name] for name in set(CONTAINERS) - ONCE} == {longest}


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
def test_whoever_watches_is_told_that_no_base_backup_was_made_last_night(
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


def test_grafana_finds_prometheus_and_the_dashboards_where_they_are() -> None:
    grafana, prometheus = CONTAINERS["grafana"], CONTAINERS["prometheus"]
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == (
        "prometheus",
        "http://prometheus:9090",
        True,
    )
    assert "127.0.0.1:9090:9090" in prometheus["ports"]
    [settings] = re.findall(r"--config.file=(\S+)\"", json.dumps(prometheus["command"]))
    assert f"${{PROMETHEUS_FILE:-./deploy/prometheus/prometheus.yml}}:{settings}:ro" in prometheus["volumes"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "parcours.yml").read_text())["providers"]
    assert f"./deploy/grafana:{provider['options']['path']}:ro" in grafana["volumes"]
    assert "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro" in grafana["volumes"]


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
    assert {name for name in named if re.search("PASSWORD$|_KEY$|SECRET$", name)} == {
        "SECRET"
    }  # the example portal's
    assert not {name for name in named if name.endswith("_DATABASE_URL")}


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
    executable(
        tmp_path / "psql",
        '#!/bin/sh\nprintf "%s\\n" "$@" | grep -E "^(name|owner|password|owner_password)="\n',
    )
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


@pytest.mark.parametrize(
    ("scale", "also"), [("", ""), ("notifier=2 catalogue=4", " --scale notifier=2 --scale catalogue=4")]
)
def test_make_up_waits_and_keeps_as_many_containers_as_there_are(
    tmp_path: Path, scale: str, also: str
) -> None:
    executable(tmp_path / "docker", DOCKER)
    done = subprocess.run(
        ["make", "--dry-run", "up", f"SCALE={scale}"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    kept = "--scale catalogue=1 --scale enrolment=3 --scale notifier=1"
    assert f"docker compose up --detach --wait {kept}{also}\n" in done.stdout


def test_make_up_builds_the_image_of_the_commands_too(tmp_path: Path) -> None:
    executable(tmp_path / "docker", '#!/bin/sh\necho "$2 of $COMPOSE_PROFILES"\n')
    done = subprocess.run(
        ["make", "up", "PROFILES=archive"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert [line for line in said if " of " in line][:2] == ["build of commands,archive", "up of archive"]


@pytest.mark.parametrize("image", [*SERVICES, "console", "mailbox"])
def test_an_image_is_built_from_the_commit_that_make_up_names(image: str, tmp_path: Path) -> None:
    assert CONTAINERS[image]["build"]["args"] == {"COMMIT": "${PARCOURS_COMMIT:-}"}
    executable(tmp_path / "docker", '#!/bin/sh\necho "built from $PARCOURS_COMMIT"\n')
    executable(tmp_path / "git", "#!/bin/sh\n[ \"$*\" = 'rev-parse HEAD' ] && echo a1\n")
    done = subprocess.run(
        ["make", "up"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "built from a1\n" in done.stdout


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
