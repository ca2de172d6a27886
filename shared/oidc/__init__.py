"""People log in at issuers of OpenID Connect, if the settings name any.

Without one, the libraries of the protocol are never imported: they take 15 MB.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.oidc.settings import IssuerClient, OidcSettings

if TYPE_CHECKING:
    from shared.oidc.provider import Provider


def providers_of(settings: OidcSettings) -> "Sequence[Provider]":
    """Return the issuers of staff. Without one, staff log in by token only."""
    return _providers([client for client in settings.issuer_clients if client.roles])


def providers_of_agents(settings: OidcSettings) -> "Sequence[Provider]":
    return _providers([client for client in settings.issuer_clients if client.agents])


def _providers(clients: Sequence[IssuerClient]) -> "Sequence[Provider]":
    if not clients:
        return ()
    from shared.oidc.provider import Provider  # noqa: PLC0415 it imports the libraries of the protocol

    return [Provider(client) for client in clients]
