"""The reference of an enrolment or request in letters: eight characters that can be dictated.

It is the beginning of the id in Crockford's Base32 (crockford.com/base32.html), which has no I, L, O or U.
Two ids may share a reference.
"""

import re
from uuid import UUID

_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 8
_BITS = 5 * _LENGTH
_OTHER_BITS = 128 - _BITS
_MISREAD = str.maketrans("ILO", "110")


def reference_of(known_id: UUID) -> str:
    """Return a text such as ``K7QD-2MXA``."""
    number = known_id.int >> _OTHER_BITS
    signs = [_SIGNS[number >> shift & 31] for shift in range(_BITS - 5, -1, -5)]
    return f"{''.join(signs[:4])}-{''.join(signs[4:])}"


def ids_of(typed: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last id with the typed reference, or None for an invalid one.

    Case, blanks and hyphens do not matter. I and L count as 1, O as 0.
    """
    signs = re.sub(r"[\s-]", "", typed).upper().translate(_MISREAD)
    if len(signs) != _LENGTH or not set(signs) <= set(_SIGNS):
        return None
    number = 0
    for sign in signs:
        number = number << 5 | _SIGNS.index(sign)
    first = number << _OTHER_BITS
    return UUID(int=first), UUID(int=first | (1 << _OTHER_BITS) - 1)
