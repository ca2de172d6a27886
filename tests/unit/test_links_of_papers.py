"""Papers lead to files and headings that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_EXAMPLES = [ROOT / "examples" / "README.md", *(ROOT / "examples").glob("*/README.md")]
"""Not those of what the examples fetch."""
PAPERS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *OF_EXAMPLES]


def anchors(paper: Path) -> set[str]:
    """What the headings of a paper are called in addresses: as forges do it."""
    text = re.sub(r"(?s)^```.*?^```", "", paper.read_text(), flags=re.MULTILINE)
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_there(paper: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    led_to = (paper.parent / path).resolve() if path else paper
    return led_to.exists() and (not anchor or anchor in anchors(led_to))


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_every_link_leads_somewhere(paper: Path) -> None:
    targets = set(re.findall(r"\]\(([^)\s]+)\)", paper.read_text()))
    inside = {target for target in targets if "://" not in target and not target.startswith("mailto:")}
    assert {target for target in inside if not is_there(paper, target)} == set()
