import functools
import re

from shared.web.french import NBSP, typeset

_BLANKS = re.compile(r"\n{3,}")


def squeeze(text: str) -> str:
    return _BLANKS.sub("\n\n", text).strip("\n") + "\n"


@functools.lru_cache(maxsize=1_000)
def quoted(text: str) -> str:
    """Inner guillemets become “ ” (Lexique de l’Imprimerie nationale)."""
    return f"«{NBSP}{typeset(_CLOSING.sub('”', _OPENING.sub('“', text)))}{NBSP}»"


_OPENING, _CLOSING = re.compile(r"«\s*"), re.compile(r"\s*»")
