"""Corrects words that are nearly those of the offer: ``renes`` is ``rennes``."""

import difflib
import re
from collections.abc import Collection

from services.catalogue.rules.synonyms import plain

MOST_WORDS = 6
"""Each corrected word is compared with the whole vocabulary."""
SHORTEST, LONGEST = 4, 30
"""A shorter word is near too many others."""
NEAREST = 0.78

_WORD = re.compile(r"[^\W\d_]+")


def corrected(text: str, vocabulary: Collection[str]) -> str | None:
    """Return known words in lower case without accents, or None if no known word is near."""
    typed = plain(text)
    known = sorted(vocabulary)
    replaced: dict[str, str] = {}
    for word in dict.fromkeys(_WORD.findall(typed)):
        if len(replaced) == MOST_WORDS or not SHORTEST <= len(word) <= LONGEST or word in vocabulary:
            continue
        near = [other for other in known if abs(len(other) - len(word)) <= 2]
        replaced[word] = next(iter(difflib.get_close_matches(word, near, 1, NEAREST)), word)
    meant = _WORD.sub(lambda match: replaced.get(match[0], match[0]), typed)
    return meant if meant != typed else None
