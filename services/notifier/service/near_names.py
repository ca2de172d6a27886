"""Names as they are heard: ``durant`` finds ``durand``, and ``legoff`` finds ``le goff``.

All names are folded.
"""

import difflib
import re
from collections.abc import Iterable, Iterator

from services.notifier.store import people
from shared.database import Transaction
from shared.events.vocabulary import AgentKey

MOST_WORDS = 6
LONGEST_RUN = 3
SHORTEST = 4
"""A shorter family name is near too many others."""
NEAREST = 0.78
SAME_BEGINNING = 2
MOST_NAMES = 2000
_SOUNDS = [
    (re.compile(letters), sound)
    for letters, sound in (
        ("e?au", "o"),
        ("ph", "f"),
        ("qu|ck|k", "c"),
        ("y", "i"),
        ("h", ""),
        ("[ae][nm](?![aeiou])", "an"),
        (r"(.)\1", r"\1"),
        ("[dtsxzpe]+$", ""),
    )
]


async def agents_nearly_called(tx: Transaction, typed: str, *, most: int) -> list[AgentKey]:
    heard = list(_family_names((await people.folded(tx, typed)).split()[:MOST_WORDS]))
    known = await people.family_names(
        tx, {family_name[:SAME_BEGINNING] for family_name, _ in heard}, most=MOST_NAMES
    )
    near = {
        name: [
            others
            for family_name, others in heard
            if name.startswith(family_name[:SAME_BEGINNING]) and is_near(family_name, name.replace(" ", ""))
        ]
        for name in known
    }
    found = await people.of_family_names(tx, [name for name, ways in near.items() if ways], most=MOST_NAMES)
    agents = [
        agent
        for agent, given_name, family_name in found
        if any(_is_called(given_name, others) for others in near[family_name])
    ]
    return list(dict.fromkeys(agents))[:most]


def is_near(heard: str, name: str) -> bool:
    if _sound(heard) == _sound(name):
        return True
    return abs(len(heard) - len(name)) <= 2 and bool(difflib.get_close_matches(heard, [name], 1, NEAREST))


def _sound(name: str) -> str:
    for letters, sound in _SOUNDS:
        name = letters.sub(sound, name)
    return name


def _family_names(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    for first in range(len(names)):
        for end in range(first + 1, min(first + LONGEST_RUN, len(names)) + 1):
            family_name = "".join(names[first:end])
            if len(family_name) >= SHORTEST:
                yield family_name, names[:first] + names[end:]


def _is_called(given_name: str, names: Iterable[str]) -> bool:
    given = [*given_name.split(), given_name.replace(" ", "")]
    return all(any(name.startswith(heard) or is_near(heard, name) for name in given) for heard in names)
