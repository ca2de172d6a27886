"""The certificate: an accessible PDF that says what was attended, whatever the names are made of."""

import io
import re
import threading
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf.generic import DictionaryObject

from services.enrolment.render import certificates
from services.enrolment.render.certificates import AttendedModule, Certificate, Signature
from services.enrolment.rules.certificates import code_of, is_name_of, read_code, written
from tests.support.builders import an_agent


def module(title: str, day: int) -> AttendedModule:
    return AttendedModule(
        title, datetime(2025, 3, day, 8, 30, tzinfo=UTC), datetime(2025, 3, day, 11, 0, tzinfo=UTC)
    )


def a_certificate(**changes: Any) -> Certificate:
    values: dict[str, Any] = {
        "reference": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11",
        "given_name": "Zoé",
        "family_name": "Durand",
        "employer": "Ville de Rennes",
        "session_title": "Les fondamentaux de l’IA",
        "starts_at": datetime(2025, 3, 16, 23, tzinfo=UTC),
        "ends_at": datetime(2025, 4, 11, 22, tzinfo=UTC),
        "timezone": "Europe/Paris",
        "venue": None,
        "modules": (module("Comprendre", 18), module("Pratiquer", 25)),
        "organiser": "bretagne",
        "issued_at": datetime(2025, 4, 14, 8, 0, 0, 123456, tzinfo=UTC),
        "code": "7KMPT2XWZ9",
    }
    return Certificate(**(values | changes))


SIGNATURE = Signature("", "https://parcours.example/attestations")


def render(certificate: Certificate, signature: Signature = SIGNATURE) -> bytes:
    return certificates.render(certificate, signature)


def opened(pdf: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf))


def text_of(pdf: bytes) -> str:
    return re.sub(r"\s+", " ", "\n".join(page.extract_text() for page in opened(pdf).pages))


def catalog(pdf: bytes) -> Any:
    """The root of the document, whose values pypdf knows only as objects."""
    return opened(pdf).trailer["/Root"]


def roles(pdf: bytes) -> list[str]:
    """The tags of the document in reading order."""
    found: list[str] = []

    def walk(node: Any) -> None:
        node = node.get_object()
        if isinstance(node, DictionaryObject):
            if "/S" in node:
                found.append(str(node["/S"]))
            if "/K" in node:
                walk(node["/K"])
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(catalog(pdf)["/StructTreeRoot"])
    return found


MARKUP = '#read("attestation.typ") *x* $y$ <z> @w \\ // = "é'
ONE_DAY: dict[str, Any] = {
    "modules": (),
    "starts_at": datetime(2025, 4, 3, 7, tzinfo=UTC),
    "ends_at": datetime(2025, 4, 3, 13, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("certificate", "phrases"),
    [
        (
            {"venue": "Rennes, 2 rue du Test"},
            [
                "Attestation de participation",
                "La délégation Bretagne du CNFPT atteste que",
                "Zoé Durand",
                "Ville de Rennes",
                "Les fondamentaux de l’IA",
                "du lundi 17 mars 2025 au vendredi 11 avril 2025",
                "Lieu : Rennes, 2 rue du Test",
                "mardi 18 mars 2025 de 9 h 30 à 12 h, heure de Paris",
                "Durée totale suivie : 5 h.",
                "Attestation établie le lundi 14 avril 2025.",
                "ouvrez https://parcours.example/attestations",
                "Code de vérification : 7KMPT-2XWZ9",
                "Référence : DW62-Y3KA",
                "territoriale : La délégation Bretagne du CNFPT",
            ],
        ),
        ({"timezone": "Indian/Reunion"}, ["mardi 18 mars 2025 de 12 h 30 à 15 h, heure de La Réunion"]),
        (ONE_DAY, ["Durée totale suivie : 6 h."]),
        ({"given_name": "Жанна"}, ["Жанна"]),
        ({"given_name": MARKUP}, [f"{MARKUP} Durand"]),
    ],
    ids=["all", "its zone", "the length of a day", "another script", "markup as text"],
)
def test_the_certificate_says(certificate: dict[str, Any], phrases: list[str]) -> None:
    text = text_of(render(a_certificate(**certificate)))
    assert [phrase for phrase in phrases if phrase not in text] == []


def test_a_longer_session_attended_as_a_whole_has_no_table_and_no_length() -> None:
    pdf = render(a_certificate(modules=()))
    assert "Durée" not in text_of(pdf)
    assert "/Table" not in roles(pdf)


def test_a_person_may_sign_for_the_delegation() -> None:
    signed = Signature("Ada Durand, directrice", "https://x.example")
    assert "Ada Durand, directrice" in text_of(render(a_certificate(), signed))


def test_it_is_tagged_in_french_with_a_title_that_is_shown() -> None:
    pdf = render(a_certificate())
    root = catalog(pdf)
    assert root["/Lang"] == "fr"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    metadata = opened(pdf).metadata
    assert metadata is not None
    assert metadata.title == "Attestation de participation – Les fondamentaux de l’IA"
    tags = roles(pdf)
    assert [tag for tag in tags if re.fullmatch(r"/H[0-9]", tag)] == ["/H1", "/H2"]
    assert (tags.count("/TH"), tags.count("/TD")) == (3, 6)


def test_it_claims_pdf_ua_and_pdf_a_which_the_typesetter_checked() -> None:
    metadata = catalog(render(a_certificate()))["/Metadata"].get_object().get_data().decode()
    assert re.search(r'pdfuaid:part(="1"|>1<)', metadata)
    assert re.search(r'pdfaid:part(="2"|>2<)', metadata)


def test_the_same_certificate_is_the_same_file() -> None:
    assert render(a_certificate()) == render(a_certificate())


def test_a_long_word_stays_on_the_page() -> None:
    certificate = a_certificate(family_name="W" * 300, modules=(module("W" * 300, 18),))
    for page in opened(render(certificate)).pages:
        ends: list[float] = []
        page.extract_text(visitor_text=lambda _text, cm, tm, *_: ends.append(cm[4] + tm[4]))  # noqa: B023 called at once
        assert max(ends) < float(page.mediabox.right)
    assert certificates.texts_of(certificate, SIGNATURE)["name"].count("\u200b") == 12


@pytest.mark.parametrize("character", ["日", "😀", "\U0010fffd", "\ue000", "\x07"])
def test_a_character_without_a_glyph_is_shown_as_missing(character: str) -> None:
    assert "Zo\ufffd Durand" in text_of(render(a_certificate(given_name=f"Zo{character}")))


@settings(max_examples=10)
@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_a_name_is_made_of_there_is_a_certificate(given_name: str, title: str) -> None:
    assert render(a_certificate(given_name=given_name, session_title=title)).startswith(b"%PDF-")


async def test_it_is_made_beside_the_event_loop() -> None:
    with patch.object(certificates, "render", lambda _, __: threading.current_thread().name):
        made_in: object = await certificates.pdf_of(a_certificate(), SIGNATURE)
    assert made_in != threading.current_thread().name


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("7KMPT-2XWZ9", "7KMPT2XWZ9"),
        ("7kmpt2xwz9", "7KMPT2XWZ9"),
        (" 7KMPT 2XWZ9 ", "7KMPT2XWZ9"),
        ("", None),
        ("7KMPT-2XWZ", None),
        ("7KMPT-2XWZ99", None),
        ("0KMPT-2XWZ9", None),
        ("ÉKMPT-2XWZ9", None),
    ],
)
def test_a_code_is_read_however_it_is_typed(typed: str, code: str | None) -> None:
    assert read_code(typed) == code


def test_a_new_code_is_one() -> None:
    codes = {code_of(number * 31**9 // 100) for number in range(100)}
    assert len(codes) == 100
    assert all(read_code(written(code)) == code for code in codes)


@pytest.mark.parametrize(
    ("typed", "matches"),
    [
        ("Zoé Le Goff-Durand", True),
        ("LE GOFF DURAND  zoe", True),
        ("zoë le goff durand", True),
        ("Zoé", False),
        ("Zoé Durand", False),
        ("", False),
        ("Zoé Le Goff Durand Martin", False),
    ],
)
def test_a_whole_name_matches_without_accents_hyphens_or_order(typed: str, matches: bool) -> None:
    assert is_name_of(an_agent(given_name="Zoé", family_name="Le Goff-Durand"), typed) is matches
