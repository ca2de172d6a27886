"""Addresses that lead support to the export of an agent in each service.

Addresses stand in logs and histories, so agent and purpose are encrypted.
"""

import json
from collections.abc import Mapping
from datetime import timedelta

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from shared import clock
from shared.events.vocabulary import AgentKey
from shared.guard import Guard
from shared.web.rendering import Sites, query

LASTS = timedelta(minutes=30)


def addresses(guard: Guard, agent: AgentKey, purpose: str, sites: Sites) -> Mapping[str, str]:
    """Return the addresses by the names of the services."""
    until = int((clock.now() + LASTS).timestamp())
    content = json.dumps([*agent, purpose, until])
    sealed = jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, content.encode(), _key(guard))
    return {name: f"{home}/personne" + query({"qui": sealed}) for name, home in sites.operations.items()}


def read(guard: Guard, sealed: str) -> tuple[AgentKey, str] | None:
    """Return agent and purpose, or None if the text is forged or too old."""
    try:
        content = jwe.decrypt_compact(sealed, _key(guard)).plaintext
    except (JoseError, ValueError):
        return None
    issuer, agent_id, purpose, until = json.loads(content or b"")
    return (AgentKey(issuer, agent_id), purpose) if clock.now().timestamp() < until else None


def _key(guard: Guard) -> OctKey:
    return OctKey.import_key(guard.digest("exports", ""))
