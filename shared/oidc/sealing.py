"""Tokens of the issuer, encrypted with the secret in the cookie of their log-in.

The database has only the digest of that secret, so nobody who reads the database reads a token.
"""

import hashlib
import hmac

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import TypeAdapter

from shared.oidc.identities import IssuerTokens

_HEADER = {"alg": "dir", "enc": "A256GCM"}
_TOKENS = TypeAdapter(IssuerTokens)


def seal(tokens: IssuerTokens, secret: str) -> str:
    return jwe.encrypt_compact(_HEADER, _TOKENS.dump_json(tokens), _key(secret))


def unseal(sealed: str, secret: str) -> IssuerTokens | None:
    """Return None if the tokens were sealed with another secret."""
    try:
        content = jwe.decrypt_compact(sealed, _key(secret)).plaintext
        return None if content is None else _TOKENS.validate_json(content)
    except (JoseError, ValueError):
        return None


def _key(secret: str) -> OctKey:
    return OctKey.import_key(hmac.digest(secret.encode(), b"tokens of the issuer", hashlib.sha256))
