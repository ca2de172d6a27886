"""People log in at an issuer of OpenID Connect, if the settings name one.

Without one, the libraries of the protocol are never imported: they take 15 MB.
"""

from typing import TYPE_CHECKING

from shared.oidc.settings import OidcSettings

if TYPE_CHECKING:
    from shared.oidc.provider import Provider


def provider_of(settings: OidcSettings) -> "Provider | None":
    """Return None if people log in by token only."""
    if settings.oidc_issuer is None:
        return None
    from shared.oidc.provider import Provider  # noqa: PLC0415 it imports the libraries of the protocol

    return Provider(settings.oidc_issuer, settings)
