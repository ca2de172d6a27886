"""What docs/accessibility.md says of each criterion of RGAA 4.1.2, and the declaration that visitors read."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAPER = (ROOT / "docs/accessibility.md").read_text()
DECLARATION = (ROOT / "services/catalogue/templates/accessibilite.html").read_text()
CRITERIA = 9, 2, 3, 13, 8, 2, 5, 10, 4, 14, 13, 11, 12
"""How many each of the thirteen themes of RGAA 4.1.2 has: 106."""
ROWS = re.findall(
    r"^\| (\d+)\.(\d+) \| .+ \| (conforme|non conforme|non applicable) \| (.+) \|$", PAPER, re.MULTILINE
)
VERDICTS = Counter(verdict for _, _, verdict, _ in ROWS)


def test_every_criterion_has_its_verdict() -> None:
    expected = [(theme, number) for theme, count in enumerate(CRITERIA, 1) for number in range(1, count + 1)]
    assert [(int(theme), int(number)) for theme, number, _, _ in ROWS] == expected


def test_the_tests_that_it_names_are_there() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"`(test_\w+)`", PAPER))
    assert {name for name in named if name not in files and f"def {name}(" not in code} == set()


def test_the_declaration_says_the_same_numbers() -> None:
    missing = VERDICTS["non conforme"]
    for text in (
        f"{VERDICTS['conforme']} sont respectés",
        f"{missing} ne l’est pas" if missing else "aucun n’est non respecté",
        f"{VERDICTS['non applicable']} sont sans objet",
    ):
        assert text in DECLARATION
    said = f"{len(ROWS)} criteria, {VERDICTS['conforme']} conforme, {VERDICTS['non conforme']} non conforme, "
    assert f"{said}{VERDICTS['non applicable']} non applicable" in PAPER


def test_the_declaration_names_each_criterion_that_is_not_held() -> None:
    for theme, number, verdict, _ in ROWS:
        assert (verdict == "non conforme") == (f"critère {theme}.{number}" in DECLARATION)
