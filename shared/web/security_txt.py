from datetime import datetime, timedelta
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared import clock
from shared.permissions import Permission, has_row
from shared.web import responses

PATH = "/.well-known/security.txt"
LASTS = timedelta(days=180)
"""RFC 9116 (2.5.5) asks for less than a year."""


class SecuritySettings(BaseSettings):
    security_contact: str = Field(
        default="", description="Whom to tell of a weakness: an address, or the https address of a form."
    )
    security_policy_url: str = Field(
        default="", description="The https address of what is asked of whoever looks for weaknesses."
    )

    @field_validator("security_contact")
    @classmethod
    def _is_a_contact(cls, value: str) -> str:
        if not value or _is_https(value):
            return value
        address = value.removeprefix("mailto:")
        local, _, domain = address.rpartition("@")
        if not local or not domain or not address.isascii() or not address.isprintable() or " " in address:
            raise ValueError(
                "is not an address such as securite@example.fr, nor one that begins with https://"
            )
        return f"mailto:{address}"

    @field_validator("security_policy_url")
    @classmethod
    def _is_a_page(cls, value: str) -> str:
        if value and not _is_https(value):
            raise ValueError("is not the address of a page, which begins with https://")
        return value


def _is_https(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme == "https" and bool(parts.hostname) and value.isascii() and " " not in value


def write(settings: SecuritySettings, now: datetime) -> str:
    """``Expires`` follows ``now``, so it is never past, and changes once a day."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    fields = {
        "Contact": settings.security_contact,
        "Expires": f"{today + LASTS:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages": "fr, en",
        "Policy": settings.security_policy_url,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def add_to(api: Starlette, settings: SecuritySettings) -> None:
    if not settings.security_contact:
        return

    @has_row(Permission.READ_OFFER)
    async def security_txt(request: Request) -> Response:
        return responses.cacheable(
            request, write(settings, clock.now()), media_type="text/plain; charset=utf-8"
        )

    api.router.routes.append(Route(PATH, security_txt))
