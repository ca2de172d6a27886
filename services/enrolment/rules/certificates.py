import re
import unicodedata

from shared.events.vocabulary import Agent

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Digits and capitals without 0 and O, 1, I and L, which look alike."""
_LENGTH = 10
"""31 to the tenth is too many to find a code within the limits on wrong codes."""


def code_of(number: int) -> str:
    """A random number of 128 bits makes the code unguessable."""
    letters = []
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)


def read_code(typed: str) -> str | None:
    """Return None for an invalid code. Case and hyphens do not matter."""
    code = re.sub(r"[\s-]", "", typed).upper()
    return code if len(code) == _LENGTH and set(code) <= set(_ALPHABET) else None


def written(code: str) -> str:
    return f"{code[: _LENGTH // 2]}-{code[_LENGTH // 2 :]}"


def is_name_of(agent: Agent, typed: str) -> bool:
    """Given and family name count in either order. Accents and hyphens are ignored."""
    orders = f"{agent.given_name} {agent.family_name}", f"{agent.family_name} {agent.given_name}"
    return folded(typed) in map(folded, orders)


def folded(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name)
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(re.split(r"[\W_]+", letters.casefold())).strip()
