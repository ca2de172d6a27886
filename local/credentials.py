"""The secrets of the local stack: made once, kept below `.local`, readable by their owner alone."""

import hashlib
import json
import os
import secrets
import tempfile
from pathlib import Path


def link_signing_key(directory: Path) -> str:
    """Return the key that signs the links in mails; links stay valid from one run to the next."""
    return _kept(directory / "link-signing-key")


def api_tokens_file(directory: Path) -> Path:
    """Return the file of API tokens, with the demonstration's own token in it.

    The clear token is in `demo-token`. Tokens that somebody added to the file stay.
    """
    demo_token = _kept(directory / "demo-token")
    path = directory / "api-tokens.json"
    digest = hashlib.sha256(demo_token.encode()).hexdigest()
    tokens = json.loads(path.read_text()) if path.exists() else []
    if not any(token["sha256"] == digest for token in tokens):
        tokens.append({"name": "demo", "sha256": digest, "role": "admin", "delegation": None})
        write_privately(path, json.dumps(tokens, indent=2) + "\n")
    return path


def write_privately(path: Path, text: str) -> None:
    """Replace a file at once and whole, readable by its owner alone."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(draft).replace(path)


def _kept(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        secret = secrets.token_urlsafe(32)
        write_privately(path, secret + "\n")
        return secret
