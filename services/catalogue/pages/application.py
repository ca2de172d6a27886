"""The pages as one application beside the API, and how they fail."""

import mimetypes
import re
from http import HTTPStatus

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from services.catalogue.pages import answers, browse, demands, feeds, logins, manage, sheets
from services.catalogue.pages.site import BUILT, Site, fingerprint, render, static_file
from services.catalogue.service.failures import Missing, NotYours

_FOREVER = "public, max-age=31536000, immutable"


def build(site: Site) -> Starlette:
    """The pages of ``site``."""
    routes: list[BaseRoute] = [
        *browse.routes(),
        *feeds.routes(),
        *logins.routes(),
        *sheets.routes(),
        *manage.routes(),
        *demands.routes(),
        Route("/static/{name}", _static),
    ]
    pages = Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)],
        exception_handlers={
            HTTPException: _on_http_exception,
            Missing: _on_missing,
            NotYours: _on_not_yours,
            Exception: _on_error,
        },
    )
    pages.state.site = site
    # It would name the host that a proxy calls; ours below does without.
    pages.router.redirect_slashes = False
    return pages


def beside(api: FastAPI, pages: Starlette) -> None:
    """Serve as a page whatever the API does not know, its own paths aside."""
    unknown = api.router.default

    async def page_or_problem(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/api/"):
            await pages(scope, receive, send)
        else:
            await unknown(scope, receive, send)

    api.router.default = page_or_problem


async def _static(request: Request) -> Response:
    name: str = request.path_params["name"]
    content = static_file(name)
    if content is None:
        raise HTTPException(404)
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    cache = _FOREVER if request.url.query == fingerprint(name) else answers.REVALIDATE
    return answers.cacheable(request, content, media_type=media_type, modified=BUILT, cache=cache)


# Nothing that a browser could take for another host.
_WITH_SLASH = re.compile(r"(/[a-z0-9-]+)+/")

_SAID = {
    400: ("Demande incomprise", "L’adresse ou le formulaire contient une valeur que nous ne comprenons pas."),
    403: ("Accès refusé", "Cette page n’est pas accessible avec votre compte."),
    404: ("Page introuvable", "Cette page n’existe pas, ou n’existe plus."),
    405: ("Action impossible", "Cette page ne répond pas à ce type de demande."),
    409: ("Action impossible", "Ce n’est plus possible dans l’état actuel de la session."),
    413: ("Envoi trop volumineux", "Ce que vous avez envoyé est trop volumineux."),
    500: (
        "Erreur interne",
        "Le service a rencontré une erreur. Elle est enregistrée\u00a0; vous pouvez réessayer.",
    ),
}


def _failure(request: Request, status: int) -> str:
    title, said = _SAID.get(status, (HTTPStatus(status).phrase, "La demande n’a pas abouti."))
    return render(request, "erreur.html", title=title, said=said)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404 and _WITH_SLASH.fullmatch(request.url.path):
        return RedirectResponse(request.url.path.rstrip("/"), 308, headers=answers.SECURITY)
    response = answers.private(_failure(request, error.status_code), status=error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _on_missing(request: Request, _error: Exception) -> Response:
    return answers.private(_failure(request, 404), status=404)


async def _on_not_yours(request: Request, _error: Exception) -> Response:
    return answers.private(_failure(request, 403), status=403)


async def _on_error(request: Request, _error: Exception) -> Response:
    # Starlette logs the traceback; the visitor gets none of it.
    return answers.private(_failure(request, 500), status=500)
