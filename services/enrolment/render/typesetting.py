"""Typesets texts as PDF/A-2a (archives) and PDF/UA-1 (accessibility). Equal texts give equal bytes.

Import it only where a PDF is made: its library takes 7 MB. So only
``tests/unit/enrolment/test_certificates.py`` shows that the locked version can be loaded.
"""

import functools
import itertools
import json
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import typst

from services.enrolment.render import TEMPLATES, Texts

_STANDARDS: "list[typst.PDFStandard]" = ["a-2a", "ua-1"]
_TYPEFACES = TEMPLATES.parent / "typefaces"
_MOST_PROBED = 150
_MISSING = "\ufffd"
"""Replaces a character that the typeface lacks. PDF/UA forbids leaving it out silently."""


def typeset(template: bytes, name: str, texts: Texts, created_at: datetime) -> bytes:
    try:
        return _compile(template, {name: _json(texts)}, created_at)
    except typst.TypstError:
        return _compile(template, {name: _json(displayable(texts))}, created_at)


def _json(texts: Texts) -> str:
    return json.dumps(texts, ensure_ascii=False)


def _compile(source: bytes, inputs: dict[str, str], created_at: datetime) -> bytes:
    """Raises ``typst.TypstError``."""
    # Two threads must not share a compiler. Making one costs a fraction of a millisecond.
    compiler = typst.Compiler(source, root=TEMPLATES, font_paths=_fonts())
    pdf = compiler.compile(
        format="pdf",
        sys_inputs=inputs,
        pdf_standards=_STANDARDS,
        timestamp=created_at.replace(microsecond=0),
    )
    if not isinstance(pdf, bytes):
        raise TypeError("typst gave something else than one PDF")
    return pdf


@functools.cache
def _fonts() -> typst.Fonts:
    """Use our typeface and typst's own, so that every machine makes the same certificate."""
    return typst.Fonts(include_system_fonts=False, font_paths=[_TYPEFACES])


# ------------------------------------------------------------------------------ what a typeface can show


def displayable(texts: Texts) -> Texts:
    """Decompose or replace characters that the typeface lacks.

    Probing a foreign character takes one or two milliseconds. After :data:`_MOST_PROBED` characters the rest
    is replaced, so that a hostile text costs little.
    """
    written = _json(texts)
    foreign = dict.fromkeys(character for character in written if not character.isascii())
    probed = frozenset(itertools.islice(foreign, _MOST_PROBED))

    def shown(text: str) -> str:
        return "".join(
            _shown(character) if character.isascii() or character in probed else _MISSING
            for character in text
        )

    return {key: _each(value, shown) for key, value in texts.items()}


def _each(value: Any, change: Callable[[str], str]) -> Any:  # takes and returns JSON
    match value:
        case str():
            return change(value)
        case list():
            return [_each(item, change) for item in value]
        case _:
            return value


@functools.lru_cache(maxsize=10_000)
def _shown(character: str) -> str:
    if unicodedata.category(character) == "Cc":  # whether a control character can be set depends on its place
        return " " if character.isspace() else _MISSING
    if character.isascii():
        return character
    for candidate in (character, unicodedata.normalize("NFKD", character)):
        try:
            _compile(_PROBE, {"text": candidate}, datetime(2025, 1, 1, tzinfo=UTC))
        except typst.TypstError:
            continue
        return candidate
    return _MISSING


_PROBE = (
    b'#set document(title: "x")\n'
    b'#set text(lang: "fr", font: ("Atkinson Hyperlegible Next", "Libertinus Serif"))\nx#sys.inputs.text'
)
