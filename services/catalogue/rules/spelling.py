"""What somebody meant whose words are nearly those of the offer: ``renes`` is ``rennes``. Pure."""

import difflib
import re
from collections.abc import Collection

from services.catalogue.rules.synonyms import plain

MOST_WORDS = 6
"""Of a search that are looked at; each is compared with the whole vocabulary."""
SHORTEST, LONGEST = 4, 30
"""Letters of a word that may be mistyped: a shorter one is near too many others."""
NEAREST = 0.78
"""How much of two words is the same, as `difflib` has it, so that one stands for the other."""

_WORD = re.compile(r"[^\W\d_]+")


def corrected(text: str, vocabulary: Collection[str]) -> str | None:
    """The text with the nearest word of the vocabulary for each that it does not have; None: none is near.

    The vocabulary is in small letters without accents, and so is the answer.
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
