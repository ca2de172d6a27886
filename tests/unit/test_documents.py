"""The documents lead to files and headings that exist, and name what the code has."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from services.deployment import all_fields, is_secret
from shared.events.outcomes import RejectionCode
from shared.events.topics import TOPICS
from tests.support.commands import check_command
from tests.support.lacking import program
from tests.support.prometheus import rules

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUNBOOKS = sorted((DOCS / "runbooks").glob("*.md"))
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *DOCS.rglob("*.md"),
    *ROOT.glob("examples/README.md"),
    *ROOT.glob("examples/*/README.md"),
]
OF_CONSOLE = re.compile(r"docker compose run --rm (?:--\S+ \"[^\"]*\" )*console|python -m services(?= )")
"""What stands before a command of the console, with Docker and on Kubernetes."""
WHERE = r"(?:docker compose .*? |kubectl exec .*? |\.venv/bin/)?"
TYPED = re.compile(rf"(?m)^ +{WHERE}((?:parcours |python -m services\.).*?)(?: < .+)?$")


def text(name: str) -> str:
    return (DOCS / name).read_text()


def section(title: str) -> str:
    """Return a task of the operators' guide."""
    return text("operations.md").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def anchors(document: Path) -> set[str]:
    """Return what forges call the headings of a document in addresses."""
    without_code = re.sub(r"(?sm)^```.*?^```", "", document.read_text())
    headings = re.findall(r"(?m)^#+ (.+)$", without_code)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
            path, _, anchor = target.partition("#")
            found = (document.parent / path).resolve() if path else document
            if "://" not in target and not (found.exists() and (not anchor or anchor in anchors(found))):
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert broken == []


def code() -> dict[str, str]:
    """Return every file of the product and of the tests by its path; a document may leave out the folder."""
    folders = ("services", "shared", "local", "tests")
    files = (file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return {f"/{file.relative_to(ROOT)}": file.read_text() for file in files}


def missing_names(document: str, files: dict[str, str]) -> Iterator[str]:
    """Yield the paths and `path.py: function` of a document that do not exist."""
    for name in set(re.findall(r"`([^`\n]+)`", document)):
        path, _, function = name.partition(": ")
        is_path = re.match(r"(shared|services|tests|docs|deploy)/\S+$", path)
        if is_path and not list(ROOT.glob(re.sub(r"<\w+>", "*", path).rstrip("/"))):
            yield name
        elif re.fullmatch(r"[\w/]+\.py", path):
            last = function.rpartition(".")[2]
            contents = [content for file, content in files.items() if file.endswith(f"/{path}")]
            if not any(re.search(rf"\b{last}\b", content) for content in contents):
                yield name


def test_files_and_functions_that_documents_name_exist() -> None:
    files = code()
    named = [DOCS / f"{name}.md" for name in ("architecture", "security", "security-asvs", "look")]
    missing = {
        document.name: list(missing_names(document.read_text(), files))
        for document in (*named, ROOT / "CONTRIBUTING.md")
    }
    assert {document: names for document, names in missing.items() if names} == {}


def test_the_way_of_a_request_names_functions_of_the_files_beside_them() -> None:
    steps = re.findall(r"(?m)^\| (?:\d+ \| )?(`(?:services|shared)/.+?) \| (.+?) \|", text("architecture.md"))
    assert len(steps) > 20
    for files, functions in steps:
        first, *others = re.findall(r"`([^`]+)`", files)
        paths = [ROOT / first, *((ROOT / first).parent / path for path in others)]
        content = "\n".join(path.read_text() for path in paths)
        for name in re.findall(r"`([^`]+)`", functions):
            assert re.search(rf"def {name.rpartition('.')[2]}\(", content), f"{files}: {name}"


def test_every_setting_is_explained_and_every_setting_of_a_runbook_exists() -> None:
    explained = text("settings.md")
    assert [name for name in all_fields() if f"`{name}`" not in explained] == []
    named = {name for page in RUNBOOKS for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", page.read_text())}
    assert named - set(all_fields()) - {"SYNCHRONOUS_STANDBY_NAMES"} == set()


def test_the_installation_by_compose_names_every_setting_that_compose_sets_for_a_trial() -> None:
    installation = section("Install").partition("### On one machine, with Docker")[2].partition("\n### ")[0]
    given = re.findall(r"\$\{(\w+):?-[^}]", (ROOT / "docker-compose.yml").read_text())
    assert [name for name in given if name in all_fields() and f"`{name}" not in installation] == []


def test_the_guide_says_how_to_change_every_secret() -> None:
    secrets = {name for name, field in all_fields().items() if is_secret(name, field)}
    files = {path.name for path in (ROOT / "deploy" / "try-out-secrets").iterdir()}
    changed = set(re.findall(r"`([A-Z_]+)`", section("Rotate keys"))) | {"KAFKA_CA"}
    changed |= {name.replace("_DATABASE", "_OWNER_DATABASE") for name in changed}
    assert (secrets | files | {"PORTALS_FILE", "API_TOKENS_FILE"}) - changed == set()


def test_every_topic_stands_in_the_architecture() -> None:
    described = text("architecture.md")
    assert [topic for topic in TOPICS if topic not in described and topic != "portal.answers"] == []


def test_every_alert_has_its_runbook_and_its_line_in_the_guide() -> None:
    alerts = {name: rule["labels"]["severity"] for name, rule in rules().items()}
    assert {page.stem for page in RUNBOOKS} == {*alerts, "README"}
    listed = re.findall(r"(?m)^\| \[(\w+)\]\(runbooks/\1\.md\) \| (\w+) \|", section("Every alert"))
    assert listed == list(alerts.items())


def test_portals_read_what_to_do_about_every_rejection() -> None:
    guide = text("portals.md")
    assert [code for code in RejectionCode if f"\n- `{code}`: " not in guide] == []


def test_commands_that_documents_name_exist() -> None:
    guides = [DOCS / name for name in ("operations.md", "commands.md", "people.md")]
    content = "\n".join(page.read_text() for page in [*guides, *RUNBOOKS])
    typed = TYPED.findall(OF_CONSOLE.sub("parcours", content))
    assert len(typed) > 80
    for line in typed:
        check_command(shlex.split(line, comments=True))


def test_containers_that_documents_name_exist() -> None:
    containers = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    option = r"(?: (?:--(?:user|index|volume|tail|since|scale)|-e) (?:\"[^\"]*\"|[^ `]+)| -[^ `]+)*"
    named = re.compile(rf"docker compose (?:exec|run|restart|stop|logs|ps){option} ([a-z][a-z-]*)\b")
    found = {name for document in DOCUMENTS for name in named.findall(document.read_text())}
    assert len(found) > 5
    assert found - set(containers) == set()


def test_python_accepts_the_certificates_of_secure_kafka(tmp_path: Path) -> None:
    """Python 3.13 checks as strictly as OpenSSL can."""
    program("openssl", package="openssl")
    typed = re.findall(r"(?m)^ +((?:openssl (?:req|x509)|printf) .*)$", section("Secure Kafka"))
    assert len(typed) == 4
    for line in [*typed, "openssl verify -x509_strict -CAfile ca.pem kafka-1.pem"]:
        faster = line.replace("rsa:3072", "rsa:2048")
        done = subprocess.run(["sh", "-c", faster], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (line, done.returncode, done.stderr if done.returncode else "") == (line, 0, "")


def test_the_declaration_of_accessibility_counts_as_the_criteria_do() -> None:
    criteria = text("accessibility.md").partition("\n## 1. Images\n")[2]
    held = re.findall(r"(?m)^- (\d+\.\d+) ", criteria)
    failed = re.findall(r"(?m)^- (\d+\.\d+) .*\*\*non conforme\*\*", criteria)
    paragraphs = re.findall(r"(?s)Non applicable: .*?(?=\n\n|\Z)", criteria)
    without_subject = [
        number for paragraph in paragraphs for number in re.findall(r"\b\d+\.\d+\b", paragraph)
    ]
    assert len({*held, *without_subject}) == len(held) + len(without_subject) == 106
    declaration = (ROOT / "services" / "catalogue" / "templates" / "accessibilite.html").read_text()
    assert f"{len(held) - len(failed)} sont respectés" in declaration
    assert f"{len(without_subject)} sont sans objet" in declaration
    assert (f"{len(failed)} ne l’est pas" if failed else "aucun n’est non respecté") in declaration
