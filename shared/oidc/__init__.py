"""People log in at issuers of OpenID Connect, if the settings name any.

Without one, the libraries of the protocol are never imported: they take 15 MB.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.oidc.settings import OidcSettings

if TYPE_CHECKING:
    from shared.oidc.provider import Provider


def providers_of(settings: OidcSettings) -> "Sequence[Provider]":
    """Return none if people log in by token only."""
    if settings.oidc_issuer is None:
        return ()
    from shared.oidc.provider import Provider  # noqa: PLC0415 it imports the libraries of the protocol

    return [Provider(client) for client in settings.issuer_clients]
