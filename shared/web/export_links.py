"""Addresses that lead support to the export and to the incidents of an agent in each service.

Addresses stand in logs and histories, so agent and purpose are encrypted.
"""

import json
from collections.abc import Mapping
from datetime import timedelta

from shared import clock
from shared.events.vocabulary import AgentKey
from shared.guard import Guard
from shared.oidc import sealing
from shared.web.rendering import Sites, query

LASTS = timedelta(minutes=30)


EXPORT, INCIDENTS = "/personne", "/incidents/personne"


def addresses(guard: Guard, agent: AgentKey, purpose: str, sites: Sites, page: str) -> Mapping[str, str]:
    """Return the addresses of a page by the names of the services."""
    until = int((clock.now() + LASTS).timestamp())
    content = json.dumps([*agent, purpose, until])
    sealed = sealing.encrypt(content.encode(), _key(guard))
    return {name: f"{home}{page}" + query({"qui": sealed}) for name, home in sites.operations.items()}


def read(guard: Guard, sealed: str) -> tuple[AgentKey, str] | None:
    """Return agent and purpose, or None if the text is forged or too old."""
    content = sealing.decrypt(sealed, _key(guard))
    if content is None:
        return None
    issuer, agent_id, purpose, until = json.loads(content)
    return (AgentKey(issuer, agent_id), purpose) if clock.now().timestamp() < until else None


def _key(guard: Guard) -> bytes:
    return guard.digest("exports", "")
