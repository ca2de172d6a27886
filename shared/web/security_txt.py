from datetime import datetime, timedelta

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared import clock
from shared.permissions import Permission, has_row
from shared.web import responses
from shared.web.security_settings import SecuritySettings

PATH = "/.well-known/security.txt"
LASTS = timedelta(days=180)
"""RFC 9116 (2.5.5) asks for less than a year."""


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
