"""Secrets that this project publishes for trials. Anybody can read them, so they protect nothing else."""

import hashlib

_DIGESTS = frozenset(
    {
        "9ecaed2ef3aa449274f5e4c6d7c12c92eb4b57a10ce844375378fc4db987d9ff",
        "85200f301b2bdc23f188b75f16521f794e3d02d8b064606d2d94d0b5b5d2d032",
        "59389299d1f24ffbafac700afc34f739ee1b977f6712c07af341581cca21f430",
        "71b4e190fc7a0aa86f24cb18d88c09bfd8a45292f1ae434fac3c0351f4d838d3",
        "d2504e52b8b07484a2b690e7ffaedeabe91320c09012844d0f7c81c2ec72e882",
        "10b54f11faba109883647c9048461ed9a5bfaf76ea69c22feaa3e35d5a5fe12d",
        "6a7694ff667fed233f77dfac3ab4dcd6bd5155e77cfe3d355698f39b120cfbcd",
        "a942b37ccfaf5a813b1432caa209a43b9d144e47ad0de1549c289c253e556cd5",
    }
)
"""Hexadecimal SHA-256 of the secrets in deploy/try-out-*, including database passwords."""


def is_published(secret: str) -> bool:
    return is_published_digest(hashlib.sha256(secret.encode()).hexdigest())


def is_published_digest(digest: str) -> bool:
    return digest in _DIGESTS
