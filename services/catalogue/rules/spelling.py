"""Corrects words that are nearly those of the offer: ``renes`` is ``rennes``."""

import difflib
import re
from collections.abc import Collection

from services.catalogue.rules.synonyms import plain

MOST_WORDS = 6
"""Words of a search that are corrected; each is compared with the whole vocabulary."""
SHORTEST, LONGEST = 4, 30
"""Letters of a word that may be mistyped: a shorter word is near too many others."""
NEAREST = 0.78
"""The least similarity of two words, as `difflib` measures it."""

_WORD = re.compile(r"[^\W\d_]+")


def corrected(text: str, vocabulary: Collection[str]) -> str | None:
    """The text with each unknown word replaced by the nearest known word; None if none is near.

    The vocabulary and the result are in small letters without accents.
    """
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
