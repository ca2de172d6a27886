"""The operators' guide: every task is whole, every command exists, no alert and no secret is left out."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from services.deployment import SERVICES, all_fields, is_secret
from tests.support.commands import check_command
from tests.support.lacking import program

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TASKS = [
    "Install",
    "Secure Kafka",
    "Upgrade",
    "Back up",
    "Restore",
    "Scale",
    "Add partitions",
    "Move to another broker",
    "Rotate keys",
]
PARTS = ["*When*", "*You need*", "*It worked when*", "*Back*"]
_OF_ALL = re.compile(r"docker compose run --rm .*\bconsole|python -m services(?= )")
_WHERE = re.compile(r"docker compose exec \w+ |kubectl exec (-it )?\S+ -- (env \S+ )?|\.venv/bin/")


def tasks() -> dict[str, str]:
    """The sections of the guide, by their headings."""
    _, *sections = re.split(r"(?m)^## ", (DOCS / "operations.md").read_text())
    return {title: text for title, _, text in (section.partition("\n") for section in sections)}


def test_the_tasks_come_in_the_order_in_which_an_operator_meets_them() -> None:
    assert list(tasks()) == [TASKS[0], "Configure", *TASKS[1:], "Every alert"]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_says_when_with_what_how_one_sees_that_it_worked_and_how_to_go_back(task: str) -> None:
    text = tasks()[task]
    assert [part for part in PARTS if part not in text] == []


@pytest.mark.parametrize("paper", ["operations.md", "commands.md", "people.md"])
def test_the_commands_that_the_guide_has_one_type_exist(paper: str) -> None:
    text = _WHERE.sub("", _OF_ALL.sub("parcours", (DOCS / paper).read_text()))
    typed = re.findall(r"(?m)^ +((?:parcours |python -m services\.).*)$", text)
    assert typed
    for line in typed:
        check_command(shlex.split(line, comments=True))


def test_the_certificates_that_secure_kafka_makes_are_taken_by_python_as_in_the_images(
    tmp_path: Path,
) -> None:
    """Python 3.13 looks as strictly as OpenSSL can; older ones do not."""
    program("openssl", package="openssl")
    typed = re.findall(r"(?m)^ +((?:openssl (?:req|x509)|printf) .*)$", tasks()["Secure Kafka"])
    assert len(typed) == 4
    for line in [*typed, "openssl verify -x509_strict -CAfile ca.pem kafka-1.pem"]:
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (line, done.returncode, done.stderr if done.returncode else "") == (line, 0, "")


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PAPERS = [*sorted(DOCS.glob("*.md")), *sorted((DOCS / "runbooks").glob("*.md")), ROOT / "README.md"]
_COMPOSED = re.compile(
    r"docker compose (exec|run|restart|stop|up|logs|ps)"
    r'((?: (?:--(?:user|index|volume|tail|since|scale)|-e) (?:"[^"]*"|[^ `]+)| -[^ `]+)*)'
    r"((?: [a-z][a-z-]*\b)*)"
)


def composed() -> list[tuple[str, str, list[str], str]]:
    """The commands of Compose in the papers: where, which, what containers it names, and the line."""
    return [
        (paper.name, verb, named.split()[: 1 if verb in ("exec", "run") else None], line)
        for paper in PAPERS
        for line in paper.read_text().splitlines()
        for verb, _, named in _COMPOSED.findall(line)
    ]


def test_what_compose_sets_for_a_trial_stands_in_the_installation_by_it() -> None:
    """Whoever installs by the guide leaves nothing as it is to try it out."""
    section = tasks()["Install"].partition("### On one machine, with Docker")[2].partition("\n### ")[0]
    given = re.findall(r"\$\{(\w+):?-[^}]", (ROOT / "docker-compose.yml").read_text())
    settings = {name for name in given if name in all_fields()}
    assert settings > {"SMTP_PORT", "PUBLIC_CONTACT", "CATALOGUE_OPERATIONS_PORT"}
    assert {name for name in settings if f"`{name}" not in section} == set()


def test_every_command_of_compose_names_containers_that_are_there() -> None:
    named = [(paper, verb, name) for paper, verb, names, _ in composed() for name in names]
    assert len(named) > 50
    assert [found for found in named if found[2] not in COMPOSE] == []


def test_nobody_is_led_to_start_one_container_where_there_were_several() -> None:
    """What `docker compose up` starts it starts once: `make up` keeps how many there are."""
    started = [(line, set(names)) for _, verb, names, line in composed() if verb == "up"]
    assert [line for line, names in started if not names and "by itself leaves one" not in line] == []
    assert [line for line, names in started if names & set(SERVICES) and "--scale" not in line] == []


def test_every_alert_stands_in_the_guide_as_urgent_as_it_is() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    alerts = [(rule["alert"], rule["labels"]["severity"]) for group in groups for rule in group["rules"]]
    listed = re.findall(r"(?m)^\| \[(\w+)\]\(runbooks/\1\.md\) \| (\w+) \|", tasks()["Every alert"])
    assert listed == alerts


def test_how_each_secret_is_changed_stands_in_the_guide() -> None:
    secrets = {name for name, field in all_fields().items() if is_secret(name, field)}
    files = {path.name for path in (ROOT / "deploy" / "try-out-secrets").iterdir()}
    named = set(re.findall(r"`([A-Z_]+)`", tasks()["Rotate keys"])) | {"KAFKA_CA"}
    of_owners = {name for name in files if name.endswith("_OWNER_DATABASE_URL")}  # "those of the owners"
    assert (secrets | files | {"PORTALS_FILE", "API_TOKENS_FILE"}) - of_owners - named == set()
