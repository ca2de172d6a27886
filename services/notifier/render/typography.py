"""Quotation marks and empty lines of a letter. Pure."""

import functools
import re

from shared.web.french import NBSP, typeset

_BLANKS = re.compile(r"\n{3,}")


def squeeze(text: str) -> str:
    """Leave at most one empty line at a time."""
    return _BLANKS.sub("\n\n", text).strip("\n") + "\n"


@functools.lru_cache(maxsize=1_000)
def quoted(text: str) -> str:
    """Put text between guillemets. Inner ones become “ ” (Lexique de l’Imprimerie nationale)."""
    return f"«{NBSP}{typeset(_CLOSING.sub('”', _OPENING.sub('“', text)))}{NBSP}»"


_OPENING, _CLOSING = re.compile(r"«\s*"), re.compile(r"\s*»")
