import re

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from services.catalogue.pages import browse, feeds, manage
from services.catalogue.pages.site import FILES, Site, rendering_in, rendering_of
from services.catalogue.pages.staff_area import STAFF_AREA
from services.catalogue.service.failures import Missing, NotYours, Withdrawn
from shared.guard import Guard
from shared.permissions import Permission, has_row
from shared.web import assets, responses
from shared.web.logins import Logins


def build(site: Site) -> Starlette:
    rendering = rendering_of(site)
    logins = Logins(
        STAFF_AREA,
        site.database,
        site.tokens,
        site.guard,
        address=site.address,
        rendering=rendering,
        providers=site.providers,
    )
    routes: list[BaseRoute] = [
        *(_limited(route, site.guard) for route in (*browse.routes(), *feeds.routes())),
        *logins.routes(),
        *manage.routes(logins),
        *(Route(f"/static/{file.name}", assets.serving(assets.read_asset(file))) for file in FILES.iterdir()),
    ]
    pages = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _on_http_exception,
            Missing: _on_missing,
            NotYours: _on_not_yours,
            Withdrawn: _on_withdrawn,
            Exception: _on_error,
        },
    )
    pages.state.site = site
    pages.state.guard = site.guard
    pages.state.rendering = rendering
    pages.state.known_words = browse.KnownWords()
    # Its redirects would name the proxy's host. Our own redirects below do not.
    pages.router.redirect_slashes = False
    return pages


def _limited(route: Route, guard: Guard) -> Route:
    @has_row(Permission.READ_OFFER)
    async def limited(request: Request) -> Response:
        guard.take_here(request, "read", guard.rates.read, number=feeds.COSTS.get(route.path, 1))
        async with guard.turn(request):
            response: Response = await route.endpoint(request)
        return response

    return Route(route.path, limited, middleware=[_COMPRESSION])


_COMPRESSION = Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
"""Only for public pages, which have no key of a form (:data:`shared.http.NOT_COMPRESSED`)."""


def mount(api: FastAPI, pages: Starlette) -> None:
    pages.state.imports = api.state.imports
    unknown = api.router.default

    async def page_or_problem(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/api/"):
            await pages(scope, receive, send)
        else:
            await unknown(scope, receive, send)

    api.router.default = page_or_problem


# No match that a browser could take for another host.
_WITH_SLASH = re.compile(r"(/[a-z0-9-]+)+/")


def _failure(request: Request, status: int) -> Response:
    return rendering_in(request).failure(status, path=request.url.path)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404 and _WITH_SLASH.fullmatch(request.url.path):
        return RedirectResponse(request.url.path.rstrip("/"), 308, headers=responses.SECURITY)
    response = _failure(request, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _on_missing(request: Request, _error: Exception) -> Response:
    return _failure(request, 404)


async def _on_not_yours(request: Request, _error: Exception) -> Response:
    return _failure(request, 403)


async def _on_withdrawn(request: Request, _error: Exception) -> Response:
    return _failure(request, 410)


async def _on_error(request: Request, _error: Exception) -> Response:
    # Starlette logs the traceback, and the visitor does not see it.
    return _failure(request, 500)
