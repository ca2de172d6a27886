"""Which names our letters may show: real ones pass, what a mail program makes a link of does not."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.catalogue.service import commands
from shared.events import names
from shared.events.documents import breaks, schema
from shared.events.index import EVENTS
from shared.events.portal import EnrolmentRequested
from shared.events.vocabulary import Email, Line, Name, Paragraph, Url

NAME: TypeAdapter[str] = TypeAdapter(Name)
SCHEMA = jsonschema.Draft202012Validator(NAME.json_schema())

REAL = [
    *(
        "Zoé",
        "Y",
        "Юлия Иванова",
        "محمد",
        "Nguyễn Thị Minh Khai",
        "D’Hoarau de l’Étang",
    ),
    *("St. Jean", "St.Jean", "Ste.Marie", "Mme. Le Goff", "M.de Villiers", "J.M.de la Tour", "Réné St.Réné"),
    *("C.C.A.S. de Rennes", "C.C.A.S.de Rennes", "C.N.R.A.C.L.", "M.N.T.", "SI.TO.M. de l'Est"),
    *("Cté d'agglo. du Pays-Basque", "Com. Com. de l'Île d'Yeu", "S.A.S. Dupont & Fils", "Sté. d'Éco. Mixte"),
    *("Esp@ce numérique", "Tiers-lieu L@b", "C.H.U. de Saint-Étienne (42)", "SDIS 35 / C.I.S. Rennes"),
    *('N°12, "Les Tilleuls" (annexe)', "Syndicat mixte n° 3 : eau/assainissement", "Direction [Ouest]"),
    "Anaïs Lefèbvre-N'Diaye",
    *("Nadia Benali, directrice des ressources humaines", "Martin - - Durand"),
]
LINKS = [
    *("http://evil.example", "Zoé https://evil", "ftp://x", "www.evil", "WWW2.evil.tld", "evil.fr"),
    *("Gagnez sur evil.com", "Impots.Gouv.Fr", "bit.ly/abc", "x@evil.unknown", "mailto:x", "tel:0899"),
    *(r"\\host\share", "impots。fr", "impots．fr", "impots․fr", "evil.fr.", "(evil.fr)", "evil.fr…"),
    *("evil.fr..x", "evil.co.uk", "evil.xn--p1ai", "evil.fr:8080", "evil.fr?x", "évil.la", "аmеli.fr"),
]
HIDDEN = list("\u202e\u2066\u200f\u061c\u200b\u200d\u00ad\ufeff\u2060\u3164\u2800\ufe0f\ue000")
CONTROLS = ["\x00", "\r\n", "\n", "\t", "\x1b", "\x7f", "\x85", "\u2028"]
LONG = ["é" * 100, " ".join(["é" * 99] * 3)]
RUNS = [
    "Z" + "\u0301" * 4,
    "e\u0300\u0301\u0302\u0303",
    "é" * 101,
    "a b" + " " * 8 + "c",
    "Zoé" + "-" * 8,
    "." * 8,
    "a" + "\u00a0" * 8 + "b",
]


def is_valid(text_type: Any, text: str) -> bool:
    try:
        TypeAdapter(text_type).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", [*REAL, *LONG])
def test_real_names_pass_in_code_and_schema(name: str) -> None:
    for form in (name, name.upper()):
        assert NAME.validate_python(form) == form
        assert SCHEMA.is_valid(form)
    assert is_valid(Name, unicodedata.normalize("NFD", name)) is (name not in LONG), "accents written apart"


@pytest.mark.parametrize("name", [*LINKS, *(f"Zo{mark}é" for mark in HIDDEN), *RUNS], ids=ascii)
def test_what_is_no_name_is_refused_in_code_and_schema(name: str) -> None:
    assert not is_valid(Name, name)
    assert not SCHEMA.is_valid(name)


@pytest.mark.parametrize("mark", [*CONTROLS, "\U000e0041", "\U000e0100", "\U0010fffd"], ids=ascii)
def test_controls_and_marks_beyond_the_plane_are_refused(mark: str) -> None:
    assert not is_valid(Name, f"Zo{mark}é")


def test_every_invisible_character_is_known() -> None:
    """All of Unicode's format characters and private ones, but signs of Arabic and Syriac, which are seen."""
    seen = re.compile(
        "[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f]"
    )
    passed = [
        hex(code)
        for code in (*range(0x20000), *range(0xE0000, 0xE1000), 0xF0000, 0x10FFFD)
        if unicodedata.category(chr(code)) in ("Cf", "Co")
        and is_shown(chr(code))
        and not seen.match(chr(code))
    ]
    assert passed == []


def is_shown(character: str) -> bool:
    try:
        return bool(names.check_name(character))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("fault", "name"), [("a link", "evil.fr"), ("invisible", "Zo\u200bé"), ("in a row", "é" * 101)]
)
def test_a_refused_name_is_explained_without_the_name_or_a_pattern(fault: str, name: str) -> None:
    with pytest.raises(ValidationError, match=fault) as refused:
        NAME.validate_python(name)
    (problem,) = refused.value.errors(include_input=False)
    assert name not in problem["msg"]
    assert "[" not in problem["msg"]


@pytest.mark.parametrize(
    "text_type", [Line, Paragraph, Email, Url], ids=["line", "paragraph", "email", "url"]
)
@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f"], ids=ascii)
def test_no_text_turns_its_direction(text_type: Any, mark: str) -> None:
    sample = "https://a.example/x" if text_type is Url else "a@b.example"
    spoilt = sample.replace("e", f"{mark}e", 1)
    assert is_valid(text_type, sample)
    assert not is_valid(text_type, spoilt)
    assert not jsonschema.Draft202012Validator(TypeAdapter(text_type).json_schema()).is_valid(spoilt)


def test_titles_may_name_a_site() -> None:
    assert is_valid(Line, "Découvrir data.gouv.fr")
    assert is_valid(Paragraph, "Voir https://www.cnfpt.fr\u200b")
    assert not is_valid(Email, "a\u200b@b.example"), "nothing in an address is invisible"
    assert not is_valid(Url, "https://a\u200b.example")


NAMES = {"given_name", "family_name", "name", "authority", "approved_by", "decided_by", "experts"}


def name_fields(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in (document, *document.get("$defs", {}).values()):
        yield from ((field, shape) for field, shape in part.get("properties", {}).items() if field in NAMES)


REQUESTS = [
    c
    for c in vars(commands).values()
    if isinstance(c, type) and issubclass(c, BaseModel) and c is not BaseModel
]


@pytest.mark.parametrize(
    "document", [*map(schema, EVENTS), *(r.model_json_schema() for r in REQUESTS)], ids=lambda d: d["title"]
)
def test_every_name_of_an_event_or_a_request_of_organisers_is_a_name(document: dict[str, Any]) -> None:
    for field, shape in name_fields(document):
        assert "#/$defs/Name" in str(shape), field


def test_the_promise_of_what_a_name_may_not_be_does_not_change() -> None:
    old = schema(EnrolmentRequested)
    new = {**old, "$defs": old["$defs"] | {"Name": {**old["$defs"]["Name"], "not": {"pattern": "x"}}}}
    assert any(fault.startswith("data.agent.given_name: not was") for fault in breaks(old, new))
