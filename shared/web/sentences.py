"""French translations of English sentences: problems, and reasons why letters are not sent.

HTTP looks the French sentence up in :data:`CATALOGUE`, a gettext file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from babel.messages.pofile import read_po

Language = Literal["en", "fr"]

CATALOGUE = Path(__file__).parent / "sentences.fr.po"

_LONGEST = 2_000
"""A longer sentence quotes a client, and the quote could make the search slow."""


def _french() -> dict[str, str]:
    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="fr", abort_invalid=True)
    return {str(message.id): str(message.string) for message in catalogue if message.id}


FRENCH: Mapping[str, str] = _french()
"""``{}`` stands for a quoted value."""


def translated(sentence: str, language: Language) -> str:
    """An unknown sentence stays English."""
    if language == "en" or not 0 < len(sentence) <= _LONGEST:
        return sentence
    if sentence in FRENCH:
        return FRENCH[sentence]
    for template, french in _TEMPLATES:
        found = template.fullmatch(sentence)
        if found is not None:
            named = (translated(text, language).replace("' or '", "' ou '") for text in found.groups())
            return french.format(*named)
    return sentence


def language_of(accept_language: str | None) -> Language:
    wanted: dict[str, float] = {}
    for item in (accept_language or "").split(","):
        tag, _, parameter = item.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        wanted.setdefault(primary, _quality(parameter))
    english = wanted.get("en", wanted.get("*", 0.0))
    french = wanted.get("fr", 0.0)
    if french != english:
        return "fr" if french > english else "en"
    first = next((primary for primary in wanted if primary in ("en", "fr")), "en")
    return "fr" if first == "fr" and french > 0 else "en"


def _quality(parameter: str) -> float:
    found = _QUALITY.fullmatch(parameter.strip())
    return float(found[1]) if found is not None else 0.0 if parameter.strip() else 1.0


_QUALITY = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)")


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("(.+)".join(re.escape(part) for part in template.split("{}")), re.DOTALL)


_TEMPLATES = [(_pattern(template), french) for template, french in FRENCH.items() if "{}" in template]
