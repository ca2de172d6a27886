"""Sentences of problems in two languages: each that a portal may read is in the catalogue."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import shared
from shared.events.faults import sentence_of
from shared.events.portal import EVENTS
from shared.web.sentences import FRENCH, language_of, translated

ROOT = Path(shared.__file__).parents[1]
SOURCES = [
    ROOT / f"{name}.py"
    for name in (
        "services/enrolment/api/access",
        "services/enrolment/api/answers",
        "services/enrolment/api/enrolments",
        "services/enrolment/api/events",
        "services/enrolment/api/requests",
        "services/enrolment/service/order",
        "shared/auth",
        "shared/events/cloudevents",
        "shared/events/cloudevents_http",
        "shared/events/names",
        "shared/events/portal",
        "shared/events/vocabulary",
        "shared/http",
        "shared/messaging/portals/admission",
        "shared/web/paging",
    )
]
"""Where the sentences are that a portal reads over HTTP."""

NOT_TO_PORTALS = {
    "a token of role {} names its delegation (null: of all)",
    "there is no delegation {}",
    "a token of role {} acts everywhere, and cannot have a delegation",
}
"""Said where a service starts."""
SAYS = {"Problem", "FieldProblem", "Unreadable", "ValueError", "_because"}
NOT_SHOWN = {"code", "pointer", "headers", "status"}


def texts(node: ast.AST, constants: dict[str, ast.expr]) -> Iterator[str]:
    """The sentences that an expression may be, with ``{}`` for what they name."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.JoinedStr():
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        case ast.IfExp():
            yield from (*texts(node.body, constants), *texts(node.orelse, constants))
        case ast.Name(id=name) if name in constants:
            yield from texts(constants[name], constants)


def sentences_of(source: Path) -> set[str]:
    tree = ast.parse(source.read_text())
    constants = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    sentences = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYS:
            given = [*node.args, *(word.value for word in node.keywords if word.arg not in NOT_SHOWN)]
            sentences |= {text for value in given for text in texts(value, constants) if " " in text}
    return sentences


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_each_sentence_that_the_code_says_to_a_portal_is_there_in_french(source: Path) -> None:
    assert sentences_of(source) - FRENCH.keys() - NOT_TO_PORTALS == set()


def test_nothing_is_in_the_catalogue_that_names_more_or_less_than_its_english() -> None:
    wrong = {
        english
        for english, french in FRENCH.items()
        if not french or french.count("{}") > english.count("{}")
    }
    assert wrong == set()


SPOILT: list[Any] = [None, True, 1, -1, 10**9, 1.5, float("inf"), "", "x", " ", "é\n", "a" * 5000, "2026"]
SPOILT += ["2026-11-25T08:30:00", [], ["x"], [{}] * 501, {}, {"x": 1}]


def spoilt(event: Any) -> Iterator[Any]:
    """Data of an event in which each field, at each depth, is each of the spoilt values."""
    from tests.support.builders import an_agent

    agent = an_agent().model_dump(mode="json")
    yield from SPOILT
    for name in event.model_fields:
        for value in SPOILT:
            yield {name: value}
    for name in agent:
        for value in SPOILT:
            yield {"agent": agent | {name: value}}
            yield {"agents": [agent | {"employer": agent["employer"] | {"siret": value}}]}
    yield {"agents": [agent, agent]}
    for name in ("name", "email"):
        for value in SPOILT:
            yield {"requested_by": {"name": "A", "email": "a@b.fr"} | {name: value}}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_whatever_pydantic_finds_wrong_with_an_event_is_said_in_french_without_a_pattern(event: Any) -> None:
    english = set()
    for data in spoilt(event):
        try:
            TypeAdapter(event).validate_json(json.dumps(data))
        except ValidationError as error:
            english |= {sentence_of(fault) for fault in error.errors()}
    assert english
    assert {sentence for sentence in english if translated(sentence, "fr") == sentence} == set()
    assert not any("^" in sentence or "pattern" in sentence for sentence in english)


def test_what_a_sentence_names_stays_and_what_it_quotes_of_ours_is_french_too() -> None:
    assert translated("The value has more than 2097152 bytes.", "fr") == "La valeur dépasse 2097152 octets."
    assert translated("The data is not UTF-8.", "fr") == "Les données\u00a0: ce n’est pas de l’UTF-8."
    assert translated("Input should be 'agent' or 'employer'", "fr").endswith("'agent' ou 'employer'")
    assert translated("Nobody wrote this.", "fr") == "Nobody wrote this."
    assert translated("Field required", "en") == "Field required"
    endless = "application/cloudevents" + " is not read here, only JSON." * 2_000
    assert translated(endless, "fr") == endless, "a client could repeat it for ever"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("FR-be", "fr"),
        ("fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("en, fr", "en"),
        ("de, fr;q=0.3", "fr"),
        ("fr;q=0", "en"),
        ("fr;q=0.2, *", "en"),
        ("fr;q=x", "en"),
        (";;,,q=", "en"),
    ],
)
def test_the_language_is_that_which_is_preferred(header: str | None, language: str) -> None:
    assert language_of(header) == language
