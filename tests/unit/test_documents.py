"""The documents lead to files and headings that exist, and name what the code has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from services.deployment import all_fields
from shared.events.outcomes import RejectionCode
from tests.support.commands import check_command
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
    """Yield the paths, tests and `path.py: function` of a document that do not exist."""
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
        elif name.startswith("test_") and not any(f"def {name}(" in content for content in files.values()):
            yield name


def test_files_and_functions_that_documents_name_exist() -> None:
    files = code()
    named = [DOCS / f"{name}.md" for name in ("architecture", "security", "security-asvs", "look")]
    missing = {
        document.name: list(missing_names(document.read_text(), files))
        for document in (*named, ROOT / "CONTRIBUTING.md")
    }
    assert {document: names for document, names in missing.items() if names} == {}


def test_every_setting_is_explained_and_every_setting_of_a_runbook_exists() -> None:
    explained = text("settings.md")
    assert [name for name in all_fields() if f"`{name}`" not in explained] == []
    named = {name for page in RUNBOOKS for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", page.read_text())}
    assert named - set(all_fields()) - {"SYNCHRONOUS_STANDBY_NAMES"} == set()


def test_every_alert_has_its_runbook_and_its_line_in_the_guide() -> None:
    alerts = {name: rule["labels"]["severity"] for name, rule in rules().items()}
    assert {page.stem for page in RUNBOOKS} == {*alerts, "README"}
    listed = [
        (name, severity)
        for severity, names in re.findall(r"(?ms)^- `(\w+)`(.+?)\.$", section("Every alert"))
        for name in re.findall(r"\[(\w+)\]\(runbooks/\1\.md\)", names)
    ]
    assert sorted(listed) == sorted(alerts.items())


def test_portals_read_what_to_do_about_every_rejection() -> None:
    guide = text("portals.md")
    assert [code for code in RejectionCode if f"\n- `{code}`: " not in guide] == []


def test_commands_that_documents_name_exist() -> None:
    guides = [DOCS / name for name in ("operations.md", "commands.md", "people.md")]
    content = "\n".join(page.read_text() for page in [*guides, *RUNBOOKS])
    typed = TYPED.findall(OF_CONSOLE.sub("parcours", content))
    assert typed
    for line in typed:
        check_command(shlex.split(line, comments=True))
