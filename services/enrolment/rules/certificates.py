"""The code of a certificate, and comparing names: by both, anybody can verify a certificate."""

import re
import unicodedata

from shared.events.vocabulary import Agent

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Digits and capitals without those that look alike: 0 and O, 1, I and L."""
_LENGTH = 10
"""31 to the tenth: nobody finds one by trying, within the limits on wrong codes."""


def code_of(number: int) -> str:
    """Return the code that a number stands for; of a random one of 128 bits nobody can guess it."""
    letters = []
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)


def read_code(typed: str) -> str | None:
    """Return the code that somebody typed, also in small letters and without its hyphen; None: it is none."""
    code = re.sub(r"[\s-]", "", typed).upper()
    return code if len(code) == _LENGTH and set(code) <= set(_ALPHABET) else None


def written(code: str) -> str:
    """Return a code as people read it: in two halves."""
    return f"{code[: _LENGTH // 2]}-{code[_LENGTH // 2 :]}"


def is_name_of(agent: Agent, typed: str) -> bool:
    """Return whether this is the agent's whole name, in either order; accents and hyphens do not matter."""
    orders = f"{agent.given_name} {agent.family_name}", f"{agent.family_name} {agent.given_name}"
    return folded(typed) in map(folded, orders)


def folded(name: str) -> str:
    """Return a name without what people write in different ways: accents, hyphens, capitals."""
    decomposed = unicodedata.normalize("NFKD", name)
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(re.split(r"[\W_]+", letters.casefold())).strip()
