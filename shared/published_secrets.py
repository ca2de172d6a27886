"""Secrets that this project publishes, for trials. Anybody can read them: elsewhere they protect nothing."""

import hashlib

_DIGESTS = frozenset(
    {
        "9ecaed2ef3aa449274f5e4c6d7c12c92eb4b57a10ce844375378fc4db987d9ff",
        "85200f301b2bdc23f188b75f16521f794e3d02d8b064606d2d94d0b5b5d2d032",
        "59389299d1f24ffbafac700afc34f739ee1b977f6712c07af341581cca21f430",
        "71b4e190fc7a0aa86f24cb18d88c09bfd8a45292f1ae434fac3c0351f4d838d3",
    }
)
"""Their SHA-256, in hexadecimal: of docker-compose.yml and deploy/try-out-*.json."""


def is_published(secret: str) -> bool:
    """Whether a secret stands in this project for all to read."""
    return is_published_digest(hashlib.sha256(secret.encode()).hexdigest())


def is_published_digest(digest: str) -> bool:
    """Whether the secret with this hexadecimal SHA-256 does."""
    return digest in _DIGESTS
