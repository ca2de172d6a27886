"""French texts as they are printed: no line begins with a sign."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shared.events import reasons
from shared.web import french, labels
from shared.web.rendering import TEMPLATES
from shared.web.sentences import CATALOGUE, FRENCH

ROOT = Path(__file__).parents[3]
FOLDERS = (TEMPLATES, *sorted((ROOT / "services").rglob("templates")))
IN_ENGLISH = {"api.html"}
TITLES = {*labels.OFFERS.values()}
"""As the offer's files have them."""


def texts() -> Iterator[tuple[str, str]]:
    """Each line of a template, without comments, and each text of a table or catalogue, with where it is."""
    for folder in FOLDERS:
        for path in sorted(file for file in folder.rglob("*") if file.is_file()):
            if path.name not in IN_ENGLISH:
                source = re.sub(r"{#.*?#}|^ *//.*?$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
                yield from ((path.name, line) for line in source.splitlines())
    for module in (labels, reasons):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in TITLES:
                yield module.__name__, node.value
    for sentence in FRENCH.values():
        yield CATALOGUE.name, sentence


def test_no_line_breaks_before_a_sign_or_inside_guillemets() -> None:
    found = [
        f"{where}: {text[max(0, hit.start() - 30) : hit.end() + 10]}"
        for where, text in texts()
        for hit in french.BREAKS.finditer(text)
    ]
    assert found == [], "put a no-break space there"


def test_a_title_from_outside_is_typeset() -> None:
    assert french.typeset("IA : « oui » ? Non !") == "IA\u00a0: «\u00a0oui\u00a0»\u00a0? Non\u00a0!"
    assert french.typeset("a != b ; https://x.example/?q=1") == "a != b\u00a0; https://x.example/?q=1"
