"""The secrets of the local stack: made once, stored below `.local`, readable only by their owner."""

import base64
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path


def link_signing_key(directory: Path) -> str:
    return kept(directory / "link-signing-key", secrets.token_urlsafe(32))


def intake_signing_key(directory: Path) -> str:
    """Return the key by which the services sign requests that portals send by HTTP."""
    return kept(directory / "intake-signing-key", _new_signing_secret())


def portals_file(directory: Path, names: Sequence[str], issuer: str) -> Path:
    """Add an entry for each missing portal to the file, and keep the existing ones.

    The new portals sign their requests and share one issuer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "portals.json"
    portals = json.loads(path.read_text()) if path.exists() else []
    missing = [name for name in names if not any(entry["portal"] == name for entry in portals)]
    if missing:
        portals += [
            {
                "portal": name,
                "issuer": issuer,
                "contact": "equipe@portail.example",
                "authentication": "signature",
                "keys": [{"id": "demo", "secret": _new_signing_secret(), "not_after": None}],
                "answers": ["kafka", "http"],
            }
            for name in missing
        ]
        write_privately(path, json.dumps(portals, indent=2) + "\n")
    return path


def signing_keys(registry: Path) -> dict[str, tuple[str, str]]:
    try:
        portals = json.loads(registry.read_text())
    except (OSError, ValueError):
        return {}  # the services report what is wrong with the file
    keys = {entry["portal"]: entry["keys"][0] for entry in portals if entry.get("keys")}
    return {portal: (key["id"], key["secret"]) for portal, key in keys.items()}


def add_key(registry: Path, portal: str) -> tuple[str, str]:
    """Give the portal one more key, and return its id and secret. The other keys stay valid."""
    portals = json.loads(registry.read_text())
    keys = next(entry["keys"] for entry in portals if entry["portal"] == portal)
    key_id, secret = f"demo-{len(keys) + 1}", _new_signing_secret()
    keys.append({"id": key_id, "secret": secret, "not_after": None})
    write_privately(registry, json.dumps(portals, indent=2) + "\n")
    return key_id, secret


def end_first_key(registry: Path, portal: str, moment: datetime) -> None:
    portals = json.loads(registry.read_text())
    first = next(entry["keys"][0] for entry in portals if entry["portal"] == portal)
    first["not_after"] = moment.isoformat()
    write_privately(registry, json.dumps(portals, indent=2) + "\n")


def api_tokens_file(directory: Path) -> Path:
    """Add the demonstration's token to the file, and keep the other tokens.

    The token itself is in `demo-token`; the file has its SHA-256.
    """
    demo_token = kept(directory / "demo-token", secrets.token_urlsafe(32))
    path = directory / "api-tokens.json"
    digest = _digest(demo_token)
    tokens = json.loads(path.read_text()) if path.exists() else []
    if not any(token["sha256"] == digest for token in tokens):
        tokens.append({"name": "demo", "sha256": digest, "role": "admin", "delegation": None})
        write_privately(path, json.dumps(tokens, indent=2) + "\n")
    return path


def organiser_tokens(directory: Path, delegations: Iterable[str]) -> dict[str, str]:
    """Add a token of each delegation's organiser to the file of tokens, and return the tokens."""
    path = api_tokens_file(directory)
    tokens = {delegation: secrets.token_urlsafe(32) for delegation in delegations}
    entries = json.loads(path.read_text()) + [
        {"name": delegation, "sha256": _digest(token), "role": "organiser", "delegation": delegation}
        for delegation, token in tokens.items()
    ]
    write_privately(path, json.dumps(entries, indent=2) + "\n")
    return tokens


def write_privately(path: Path, text: str) -> None:
    """Replace a file atomically. Only its owner can read it."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(draft).replace(path)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _new_signing_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def kept(path: Path, secret: str) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        write_privately(path, secret + "\n")
        return secret
