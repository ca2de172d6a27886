"""Texts that only the owner of a key can read.

Tokens of the issuer are encrypted with the secret in the cookie of their log-in. The database has only the
digest of that secret, so nobody who reads the database reads a token.
"""

import hashlib
import hmac

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import TypeAdapter

from shared.oidc.identities import IssuerTokens

_HEADER = {"alg": "dir", "enc": "A256GCM"}
_ALGORITHMS = [*_HEADER.values()]
_TOKENS = TypeAdapter(IssuerTokens)


def seal(tokens: IssuerTokens, secret: str) -> str:
    return encrypt(_TOKENS.dump_json(tokens), _key(secret))


def unseal(sealed: str, secret: str) -> IssuerTokens | None:
    """Return None if the tokens were sealed with another secret."""
    content = decrypt(sealed, _key(secret))
    try:
        return None if content is None else _TOKENS.validate_json(content)
    except ValueError:
        return None


def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"tokens of the issuer", hashlib.sha256)


def encrypt(content: bytes, key: bytes) -> str:
    """``key`` has 32 bytes."""
    return jwe.encrypt_compact(_HEADER, content, OctKey.import_key(key))


def decrypt(sealed: str, key: bytes) -> bytes | None:
    """Return None if the text was encrypted with another key, or changed."""
    try:
        return jwe.decrypt_compact(sealed, OctKey.import_key(key), algorithms=_ALGORITHMS).plaintext
    except (JoseError, ValueError, TypeError):  # as for tokens that are signed
        return None
