"""French texts as they are printed: no line begins with a sign, one is singular, no list is a dead end."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.events import reasons
from shared.web import french, labels
from shared.web.rendering import TEMPLATES, Rendering
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


def test_a_list_that_has_nothing_leads_on() -> None:
    alone = re.compile(r'{{ empty\((?:"[^"]*"|[^",])*\) }}')
    found = [
        f"{path.name}: {hit[0]}"
        for folder in FOLDERS
        for path in folder.rglob("*.html")
        for hit in alone.finditer(path.read_text())
    ]
    assert found == []


def phrases(service: str, template: str) -> Any:
    return Rendering(ROOT / "services" / service / "templates", service=service).module(template)


def spaced(text: object) -> str:
    return re.sub(r"[\s\u00a0]+", " ", re.sub(r"<[^>]+>", "", str(text))).strip()


@pytest.mark.parametrize(
    ("number", "seats", "people", "sessions"),
    [
        (0, "0 place", "0 personne", "aucune session"),
        (1, "1 place", "1 personne", "1 session"),
        (2, "2 places", "2 personnes", "2 sessions"),
    ],
)
def test_nothing_and_one_are_singular_in_the_catalogue(
    number: int, seats: str, people: str, sessions: str
) -> None:
    said = phrases("catalogue", "phrases.html")
    assert spaced(said.seat_count(number)) == seats
    assert spaced(said.people(number)) == people
    assert spaced(said.session_count(number)) == sessions


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (0, "0 inscription sur 0 place"),
        (
            1,
            (
                "1 inscription sur 1 place, dont 1 réservée, 1 proposée, 1 personne en attente, "
                "1 accord attendu, 1 candidature"
            ),
        ),
        (
            2,
            (
                "2 inscriptions sur 2 places, dont 2 réservées, 2 proposées, 2 personnes en attente, "
                "2 accords attendus, 2 candidatures"
            ),
        ),
    ],
)
def test_nothing_and_one_are_singular_for_organisers(number: int, sentence: str) -> None:
    names = ("enrolled", "offered", "waiting", "pending_approval", "pending_selection")
    numbers = SimpleNamespace(**dict.fromkeys(names, number), session=SimpleNamespace(capacity=number))
    assert spaced(phrases("enrolment", "manage/parts.html").in_numbers(numbers, number)) == sentence


@pytest.mark.parametrize(("number", "kept"), [(1, "1 jour)"), (2, "2 jours)")])
def test_one_day_is_singular_in_a_history(number: int, kept: str) -> None:
    question = SimpleNamespace(
        label="Repas", kind="yes_no", required=False, choices=[], functions=[], kept_days=number
    )
    said = phrases("catalogue", "gestion-changements.html").question_text(question)
    assert spaced(said).endswith(f"réponse conservée {kept}")
